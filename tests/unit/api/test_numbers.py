"""What the API tells of numbers, and of the stack to those who look after it."""

import json
from dataclasses import replace
from urllib.parse import quote

import pytest

from shared.errors import WorldFault
from shared.ports import Outgoing
from shared.runtime import stats
from shared.runtime.api.messages import Caller, Role
from shared.runtime.audit import daily_audit
from shared.runtime.quarantine import quarantine
from tests.unit.api.test_api import ANN, EVE, Client, document, done, with_client
from tests.world import World, in_world

ADMIN = Caller("acme", "root", Role.ADMIN)


@pytest.fixture(autouse=True)
def _only_generic(monkeypatch: pytest.MonkeyPatch) -> None:
    """The world in memory has one queue."""
    for module in ("health", "numbers"):
        monkeypatch.setattr(f"shared.runtime.api.{module}.TYPES", {"generic": None})


async def counted(client: Client) -> None:
    await stats.count(client.world.ports, "shard", client.world.jobs.stream, None, is_last=True)


def test_a_tenants_numbers_are_its_own() -> None:
    async def story(client: Client) -> None:
        for _ in range(3):
            await client.submit()
        await client.world.drain()
        await client.submit()
        await counted(client)
        (generic,) = document(await client.ask("GET", "/stats"))["types"]
        told = {name: generic[name] for name in ("type", "queued", "running", "succeeded_24h", "failed_24h")}
        assert told == {"type": "generic", "queued": 1, "running": 0, "succeeded_24h": 3, "failed_24h": 0}
        assert generic["failure_rate_24h"] == 0
        assert generic["hours"][-1]["created"] == 4
        assert generic["p95_s"] >= 0
        assert 9e-6 < generic["cost_usd_24h"] < 30e-6
        assert document(await client.ask("GET", "/stats", caller=EVE))["types"] == []

    with_client(story)


def test_a_job_tells_what_it_cost() -> None:
    async def story(client: Client) -> None:
        job_id = await client.submit()
        queued = document(await client.ask("GET", f"/jobs/{job_id}"))["cost_usd"]
        await client.world.drain()
        done = document(await client.ask("GET", f"/jobs/{job_id}"))["cost_usd"]
        assert 1e-6 < queued < done < 10e-6

    with_client(story)


def test_the_stacks_operator_sees_every_queue_and_a_tenants_does_not() -> None:
    async def story(client: Client) -> None:
        queues = client.world.ports.queues
        await queues.send([Outgoing("generic", "{}", delay_s=delay_s) for delay_s in (0, 0, 60)])
        await queues.receive("generic", max_messages=1, wait_s=0)
        assert document(await client.ask("GET", "/queues", caller=ADMIN)) == {
            "queues": [{"type": "generic", "waiting": 1, "in_flight": 1, "delayed": 1}],
            "dead_letters": 0,
        }
        for path in ("/queues", "/quarantine", "/audit", "/quarantine/generic%23x"):
            assert (await client.ask("GET", path, caller=ANN)).status == 403

    with_client(story)


def test_every_lane_has_a_depth_and_a_health_of_its_own() -> None:
    async def story(world: World) -> None:
        client = Client(world)
        await world.ports.queues.send([Outgoing("generic", "{}", lane="low")])
        queues = document(await client.ask("GET", "/queues", caller=ADMIN))["queues"]
        assert [(queue.get("lane"), queue["waiting"]) for queue in queues] == [
            ("urgent", 0), ("high", 0), (None, 0), ("low", 1),
        ]  # fmt: skip
        body = {"type": "generic", "operation": "x", "priority": "urgent"}
        job_id = document(await client.ask("POST", "/jobs", body))["job_id"]
        assert document(await client.ask("GET", f"/jobs/{job_id}"))["priority"] == "urgent"
        row = await world.ports.jobs.get("acme", job_id)
        assert row is not None
        world.jobs.rows[row.key] = replace(row, due_at=world.ports.now() - 600_000)
        assert (await client.ask("GET", "/health/deep")).status == 503, "what waits in another lane is not its wake-up"
        await world.react()
        parts = document(await client.ask("GET", "/health/deep"))["parts"]
        assert (parts["reactor"]["status"], parts["workers"]["status"]) == ("ok", "failing"), "nobody takes it"
        await world.ports.queues.receive("generic-urgent", max_messages=1, wait_s=0)
        assert (await client.ask("GET", "/health/deep")).status == 200

    in_world(done, story, lanes=True)


def test_what_is_in_quarantine_is_listed_shown_and_sent_again() -> None:
    async def story(client: Client) -> None:
        ports, good = client.world.ports, json.dumps({"tenant_id": "acme", "type": "generic", "operation": "x"})
        for item_id, body in (("bad", "no JSON at all"), ("good", good), ("large", "x" * 60_000)):
            await quarantine(ports, stack="s", source="generic", item_id=item_id, body=body, reason="unreadable")
        listed = document(await client.ask("GET", "/quarantine?source=generic", caller=ADMIN))["items"]
        assert {item["id"] for item in listed} == {"generic#bad", "generic#good", "generic#large"}
        assert document(await client.ask("GET", "/quarantine?source=other", caller=ADMIN)) == {"items": []}
        assert (await client.ask("GET", "/quarantine?limit=0", caller=ADMIN)).status == 422
        shown = document(await client.ask("GET", f"/quarantine/{quote('generic#bad', safe='')}", caller=ADMIN))
        assert (shown["body"], shown["reason"]) == ("no JSON at all", "unreadable")
        large = document(await client.ask("GET", "/quarantine/generic#large", caller=ADMIN))
        assert ("body" in large, "href" in large) == (False, True)
        assert (await client.ask("GET", "/quarantine/generic%23none", caller=ADMIN)).status == 404
        assert (await client.ask("POST", "/quarantine/generic%23bad/retry", caller=ADMIN)).status == 409
        done = await client.ask("POST", "/quarantine/generic%23good/retry", caller=ADMIN)
        assert (done.status, document(done)["done"]) == (200, "sent to the queue of generic")
        assert (await client.ask("POST", "/quarantine/generic%23good/retry", caller=ADMIN)).status == 404
        await client.world.drain()
        assert len(document(await client.ask("GET", "/jobs"))["jobs"]) == 1

    with_client(story)


def test_the_last_audit_is_told() -> None:
    async def story(client: Client) -> None:
        assert (await client.ask("GET", "/audit", caller=ADMIN)).status == 404
        await client.submit()
        now = client.world.ports.now()
        assert await daily_audit(client.world.ports, stack="s", ends_at=now + 60_000) is not None
        assert document(await client.ask("GET", "/audit", caller=ADMIN))["rows"] == 1

    with_client(story)


def test_every_part_is_looked_at_and_one_that_fails_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    async def story(client: Client) -> None:
        answer = await client.ask("GET", "/health/deep")
        parts = document(answer)["parts"]
        assert (answer.status, set(parts)) == (
            200,
            {"jobs_table", "side_table", "bucket", "queues", "websocket", "reactor", "workers"},
        )
        assert {part["status"] for part in parts.values()} == {"ok"}

        async def gone(_key: str) -> bytes:
            raise WorldFault("denied", "no")

        monkeypatch.setattr(client.world.ports.objects, "get", gone)
        answer = await client.ask("GET", "/health/deep")
        assert (answer.status, document(answer)["status"]) == (503, "failing")
        assert document(answer)["parts"]["bucket"] == {"status": "failing", "reason": "denied"}

    with_client(story)


def test_what_a_pause_keeps_is_nobodys_delay() -> None:
    async def story(client: Client) -> None:
        await client.ask("POST", "/pauses", {"type": "generic", "reason": "the host moves"})
        job_id = await client.submit()
        await client.world.drain()
        row = await client.world.ports.jobs.get("acme", job_id)
        assert row is not None
        client.world.jobs.rows[row.key] = replace(row, due_at=client.world.ports.now() - 600_000)
        answer = await client.ask("GET", "/health/deep")
        assert (answer.status, document(answer)["parts"]["reactor"]) == (200, {"status": "ok", "late_s": 0.0})

    with_client(story)


def test_a_reactor_that_is_behind_is_told_from_a_queue_that_is() -> None:
    async def story(client: Client) -> None:
        ports = client.world.ports
        job_id = await client.submit()
        row = await ports.jobs.get("acme", job_id)
        assert row is not None
        late = replace(row, due_at=ports.now() - 600_000)
        client.world.jobs.rows[row.key] = late
        answer = await client.ask("GET", "/health/deep")
        assert (answer.status, document(answer)["parts"]["reactor"]) == (503, {"status": "failing", "late_s": 600.0})

        await ports.queues.send([Outgoing("generic", "{}")])
        parts = document(await client.ask("GET", "/health/deep"))["parts"]
        assert parts["reactor"] == {"status": "ok", "late_s": 0.0}
        assert parts["workers"] == {"status": "failing", "late_s": 600.0}
        await ports.queues.send([Outgoing("generic", "{}")])
        await ports.queues.receive("generic", max_messages=1, wait_s=0)
        assert (await client.ask("GET", "/health/deep")).status == 200, "they are at work"

    with_client(story)
