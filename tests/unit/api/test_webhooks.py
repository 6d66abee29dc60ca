"""Webhooks over the API: what an operator may do with the tenant's own, and nobody with another's."""

import pytest

from shared.runtime import webhooks
from shared.runtime.api.messages import Caller, Role
from tests.unit.api.test_api import EVE, Client, document, with_client

ASK = {"url": "https://example.org/hook"}


def test_a_webhook_from_its_making_to_its_end() -> None:
    async def story(client: Client) -> None:
        answer = await client.ask("POST", "/webhooks", ASK)
        made = document(answer)
        path = f"/webhooks/{made['webhook_id']}"
        assert (answer.status, answer.headers["Location"]) == (201, path)
        assert made["secret"].startswith("whsec_")
        assert (made["events"], made["types"], made["created_by"]) == (["cancelled", "completed", "failed"], [], "ann")
        shown = document(await client.ask("GET", path))
        assert shown == {name: value for name, value in made.items() if name != "secret"}, "the secret is shown once"
        assert document(await client.ask("GET", "/webhooks")) == {"webhooks": [shown]}
        rotated = document(await client.ask("POST", f"{path}/rotate"))
        assert rotated["secret"] not in (made["secret"], None)
        ping = await client.ask("POST", f"{path}/ping")
        assert ping.status == 202
        delivery = document(await client.ask("GET", f"/jobs/{document(ping)['delivery_id']}"))
        assert (delivery["type"], delivery["status"]) == ("webhook", "QUEUED")
        assert document(await client.ask("GET", f"{path}/deliveries")) == {"deliveries": []}
        assert (await client.ask("DELETE", path)).status == 204
        assert (await client.ask("GET", path)).status == 404
        assert document(await client.ask("GET", "/webhooks")) == {"webhooks": []}

    with_client(story)


def test_a_disabled_one_says_why_and_is_not_pinged_until_it_is_enabled() -> None:
    async def story(client: Client) -> None:
        made = document(await client.ask("POST", "/webhooks", ASK))
        path = f"/webhooks/{made['webhook_id']}"
        await webhooks.changed(
            client.world.ports,
            "acme",
            made["webhook_id"],
            lambda one: one.model_copy(update={"disabled_reason": "gone", "failures": 3}),
        )
        assert document(await client.ask("GET", path))["disabled_reason"] == "gone"
        assert (await client.ask("POST", f"{path}/ping")).status == 409
        enabled = document(await client.ask("POST", f"{path}/enable"))
        assert ("disabled_reason" in enabled, enabled["failures"]) == (False, 0)
        assert (await client.ask("POST", f"{path}/ping")).status == 202

    with_client(story)


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "url"),
        ({"url": "http://example.org/"}, "url"),
        ({"url": "https://10.0.0.1/"}, "url"),
        ({**ASK, "events": []}, "events"),
        ({**ASK, "events": ["done"]}, "events.0"),
        ({**ASK, "types": ["nothing"]}, "types"),
        ({**ASK, "types": ["webhook"]}, "types"),
        ({**ASK, "secret": "mine"}, "secret"),
        ({**ASK, "tenant_id": "evil"}, "tenant_id"),
    ],
)
def test_what_is_wrong_is_told_by_its_field(body: dict[str, object], field: str) -> None:
    async def story(client: Client) -> None:
        answer = await client.ask("POST", "/webhooks", body)
        assert (answer.status, document(answer)["field"]) == (422, field)

    with_client(story)


def test_another_tenants_webhook_is_the_same_as_none_whatever_is_asked() -> None:
    async def story(client: Client) -> None:
        made = document(await client.ask("POST", "/webhooks", ASK))["webhook_id"]
        never = f"wh_{'0' * 16}"
        asked = [("GET", ""), ("DELETE", ""), ("GET", "/deliveries")]
        for method, rest in [*asked, ("POST", "/rotate"), ("POST", "/enable"), ("POST", "/ping")]:
            hers = await client.ask(method, f"/webhooks/{made}{rest}", caller=EVE)
            nobodys = await client.ask(method, f"/webhooks/{never}{rest}", caller=EVE)
            assert hers.status == nobodys.status == 404
            assert hers.body.replace(made.encode(), b"") == nobodys.body.replace(never.encode(), b"")
        assert document(await client.ask("GET", "/webhooks", caller=EVE)) == {"webhooks": []}
        assert (await client.ask("GET", f"/webhooks/{made}")).status == 200

    with_client(story)


@pytest.mark.parametrize("role", [Role.VIEWER, Role.PRODUCER])
def test_webhooks_are_an_operators(role: Role) -> None:
    async def story(client: Client) -> None:
        for method, path in (("POST", "/webhooks"), ("GET", "/webhooks"), ("GET", "/webhooks/x")):
            answer = await client.ask(method, path, ASK, caller=Caller("acme", "ann", role))
            assert answer.status == 403

    with_client(story)


def test_nobody_submits_a_delivery() -> None:
    async def story(client: Client) -> None:
        made = document(await client.ask("POST", "/webhooks", ASK))["webhook_id"]
        delivery = {"type": "webhook", "webhook_id": made, "event": "job.completed", "at": "now", "data": {}}
        answer = await client.ask("POST", "/jobs", delivery)
        assert (answer.status, document(answer)["field"]) == (422, "type")
        assert "webhook" not in document(answer)["detail"]
        types = document(await client.ask("GET", "/types"))["types"]
        assert "webhook" not in [one["type"] for one in types]

    with_client(story)
