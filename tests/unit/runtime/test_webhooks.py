"""What the stream tells subscribers, on the in-memory ports; deliveries themselves are in tests/handlers."""

from dataclasses import replace
from typing import cast

import pytest

from shared.errors import WorldFault
from shared.memory.jobs import MemoryJobs
from shared.memory.side import MemorySide
from shared.moves import Move
from shared.payloads.generic import GenericPayload
from shared.payloads.results import ProcessResult
from shared.ports import Applied, Refused
from shared.runtime.context import Context
from shared.runtime.webhooks import SUBSCRIPTIONS_MAX, announce, subscribe
from shared.webhooks import EventName
from tests.world import World, in_world

URL = "https://example.org/hook"


async def answer(_payload: GenericPayload, _context: Context) -> ProcessResult:
    return ProcessResult()


async def listen(world: World, *events: EventName, tenant_id: str = "default") -> str:
    made, _ = await subscribe(world.ports, tenant_id, URL, events or ("completed",), (), who="ann")
    return made.webhook_id


def deliveries(world: World) -> list[str]:
    return [key for key, row in world.jobs.rows.items() if row.type == "webhook"]


def test_a_tenant_that_nobody_subscribed_for_costs_no_write() -> None:
    async def story(world: World) -> None:
        await listen(world, tenant_id="another")
        await world.submit()
        await world.drain()
        items, rows = dict(cast("MemorySide", world.ports.side).items), dict(world.jobs.rows)
        await announce(world.ports, world.jobs.stream)
        assert (cast("MemorySide", world.ports.side).items, world.jobs.rows) == (items, rows)

    in_world(answer, story)


def test_the_stream_may_tell_it_again_and_in_any_order() -> None:
    async def story(world: World) -> None:
        await listen(world, "queued", "active", "completed")
        await world.submit()
        await world.drain()
        records = list(world.jobs.stream)
        await announce(world.ports, [*records, *reversed(records)])
        once = deliveries(world)
        await announce(world.ports, world.jobs.stream)
        assert len(once) == 3
        assert deliveries(world) == once

    in_world(answer, story)


def test_a_delivery_is_a_small_row_that_no_list_shows() -> None:
    async def story(world: World) -> None:
        await listen(world)
        job = await world.submit()
        await world.drain()
        before = len(cast("MemorySide", world.ports.side).items)
        await announce(world.ports, world.jobs.stream)
        (key,) = deliveries(world)
        assert world.jobs.rows[key].list_shard is None
        assert world.jobs.rows[key].payload_place == "row"
        assert len(cast("MemorySide", world.ports.side).items) == before, "one write, and nothing beside the row"
        assert [one.job_id for one in (await world.service.list("default")).jobs] == [job.job_id]

    in_world(answer, story)


def test_what_aws_refuses_for_now_is_told_again_and_the_rest_is_enqueued_meanwhile() -> None:
    class Throttled(MemoryJobs):
        refused = 1

        async def apply(self, move: Move) -> Applied | Refused:
            if self.refused:
                self.refused -= 1
                raise WorldFault("throttled", "slow down")
            return await super().apply(move)

    async def story(world: World) -> None:
        await listen(world)
        await listen(world)
        await world.submit()
        await world.drain()
        throttled = Throttled()
        throttled.rows = world.jobs.rows
        with pytest.raises(WorldFault):
            await announce(replace(world.ports, jobs=throttled), world.jobs.stream)
        assert len(deliveries(world)) == 1
        await announce(replace(world.ports, jobs=throttled), world.jobs.stream)
        assert len(deliveries(world)) == 2

    in_world(answer, story)


def test_what_cannot_be_told_is_logged_and_holds_up_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    async def story(world: World) -> None:
        await listen(world)
        await world.submit()
        await world.submit()
        await world.drain()
        first = next(record for record in world.jobs.stream if record.new and record.new.completed_at)
        assert first.new is not None
        broken = replace(first, new=replace(first.new, metadata="not JSON"))
        await announce(world.ports, [broken if record is first else record for record in world.jobs.stream])
        assert len(deliveries(world)) == 1

    in_world(answer, story)
    assert "webhook_not_enqueued" in capsys.readouterr().out


def test_a_subscription_that_cannot_be_read_holds_up_no_other_tenant() -> None:
    async def story(world: World) -> None:
        await listen(world)
        cast("MemorySide", world.ports.side).items["webhooks#another", "wh_x"] = "nonsense"
        await world.submit()
        await world.service.submit(GenericPayload(tenant_id="another", operation="x"))
        await world.drain()
        await announce(world.ports, world.jobs.stream)
        assert len(deliveries(world)) == 1

    in_world(answer, story)


def test_a_tenant_has_so_many_and_another_has_its_own() -> None:
    async def story(world: World) -> None:
        for _ in range(SUBSCRIPTIONS_MAX):
            await listen(world)
        with pytest.raises(Exception, match="too_many_webhooks"):
            await listen(world)
        await listen(world, tenant_id="another")

    in_world(answer, story)
