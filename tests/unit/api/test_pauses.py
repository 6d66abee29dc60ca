"""Pauses over the API: who may, what is seen of whom, and what a job says that waits."""

from dataclasses import replace

import pytest

from shared.runtime.api.messages import Caller, Role
from shared.throttle import Concurrency, Rate, throttles_text
from tests.unit.api.test_api import EVE, Client, document, with_client

BOSS = Caller("other", "boss", Role.ADMIN)


def test_a_pause_from_its_making_to_its_end() -> None:
    async def story(client: Client) -> None:
        made = await client.ask("POST", "/pauses", {"type": "generic", "reason": "the host moves"})
        assert (made.status, made.headers["Location"]) == (201, "/pauses/tenant.generic")
        assert (await client.ask("POST", "/pauses", {"type": "generic"})).status == 200
        job_id = await client.submit()
        await client.world.drain()
        (reason,) = document(await client.ask("GET", f"/jobs/{job_id}/why"))["reasons"]
        assert reason["code"] == "paused"
        assert reason["text"].startswith("'generic' is paused by ann since ")
        assert reason["text"].endswith(": the host moves.")
        assert reason["action"] == "resume it: longshore resume tenant.generic"
        (shown,) = document(await client.ask("GET", "/pauses"))["pauses"]
        assert shown == document(made)
        resumed = await client.ask("DELETE", "/pauses/tenant.generic")
        assert document(resumed) == {"pause_id": "tenant.generic", "woken": 1, "left": 0}
        await client.world.drain()
        assert document(await client.ask("GET", f"/jobs/{job_id}"))["status"] == "SUCCESS"
        assert document(await client.ask("GET", "/pauses")) == {"pauses": []}
        assert (await client.ask("DELETE", "/pauses/tenant.generic")).status == 404

    with_client(story)


def test_what_concerns_everybody_takes_an_admin_and_names_nobody_to_others() -> None:
    async def story(client: Client) -> None:
        everything = {"scope": "stack"}
        assert (await client.ask("POST", "/pauses", everything)).status == 403
        assert (await client.ask("POST", "/pauses", everything, caller=BOSS)).status == 201
        (shown,) = document(await client.ask("GET", "/pauses"))["pauses"]
        assert (shown["pause_id"], shown["who"], "type" in shown) == ("stack.all", "an admin", False)
        (shown,) = document(await client.ask("GET", "/pauses", caller=BOSS))["pauses"]
        assert shown["who"] == "boss"
        assert (await client.ask("DELETE", "/pauses/stack.all")).status == 403
        assert (await client.ask("DELETE", "/pauses/stack.all", caller=BOSS)).status == 200

    with_client(story)


def test_a_tenant_neither_sees_nor_resumes_anothers() -> None:
    async def story(client: Client) -> None:
        await client.ask("POST", "/pauses", {})
        assert document(await client.ask("GET", "/pauses", caller=EVE)) == {"pauses": []}
        assert (await client.ask("DELETE", "/pauses/tenant.all", caller=EVE)).status == 404
        (shown,) = document(await client.ask("GET", "/pauses"))["pauses"]
        assert shown["pause_id"] == "tenant.all"

    with_client(story)


@pytest.mark.parametrize(
    ("body", "field"), [({"type": "nothing"}, "type"), ({"scope": "world"}, "scope"), ({"tenant_id": "x"}, "tenant_id")]
)
def test_what_is_wrong_is_told_by_its_field(body: dict[str, object], field: str) -> None:
    async def story(client: Client) -> None:
        answer = await client.ask("POST", "/pauses", body)
        assert answer.status == 422
        assert document(answer)["field"] == field

    with_client(story)


def test_a_job_that_waits_says_for_what_and_until_when() -> None:
    async def story(client: Client) -> None:
        job_id, ports = await client.submit(), client.world.ports
        row = await client.world.service.get("acme", job_id)
        text = throttles_text((Concurrency(1, by="operation"), Rate(10, 60)), "acme", {"operation": "x", "type": "g"})
        client.world.jobs.rows[row.key] = replace(row, throttles=text)
        assert await codes(client, job_id) == ["due"]
        until = ports.now() + 30_000
        await ports.side.put_once(row.key, "slot#00001", str(until))
        (reason,) = document(await client.ask("GET", f"/jobs/{job_id}/why"))["reasons"]
        assert (reason["code"], reason["text"]) == ("throttled", "Its turn is yet to come: 10/60s by type.")
        assert reason["until"].endswith("Z")
        held = '{"held":{"acme#another":{"epoch":1,"until":1,"token":"t"}},"token":"t"}'
        (place,) = {key for key in (text or "").split('"') if key.startswith("acme#operation")}
        await ports.side.put_once(f"throttle#{place}", "held", held)
        assert await codes(client, job_id) == ["no_place", "throttled"]

    with_client(story)


async def codes(client: Client, job_id: str) -> list[str]:
    return [reason["code"] for reason in document(await client.ask("GET", f"/jobs/{job_id}/why"))["reasons"]]
