"""Quarantine, seen by its operator: looked at, sent again once it can be read, and removed only after that."""

import asyncio
import json
from collections.abc import Sequence

import pytest

from shared.aws.expressions import item_of
from shared.aws.streams import read_record
from shared.consequences import Record
from shared.envelope import Wakeup, wakeup_body
from shared.errors import Conflict, NotFound, WorldFault
from shared.ids import derived_job_id
from shared.payloads.backup import BackupPayload
from shared.payloads.generic import GenericPayload
from shared.payloads.results import ProcessResult
from shared.ports import Outgoing
from shared.runtime.context import Context
from shared.runtime.quarantine import quarantine
from shared.runtime.quarantined import quarantined, quarantined_item, retry
from shared.runtime.reactor import react
from tests.world import World, in_world


async def answer(_payload: GenericPayload, _context: Context) -> ProcessResult:
    return ProcessResult()


async def keep(world: World, body: str, *, source: str = "generic", item_id: str = "m-1") -> str:
    await quarantine(world.ports, stack="t", source=source, item_id=item_id, body=body, reason="as it was then")
    return f"{source}#{item_id}"


async def ids(world: World) -> list[str]:
    return [item.id for item in await quarantined(world.ports)]


def test_the_last_in_is_listed_first_and_a_source_alone_if_asked_for() -> None:
    async def story(world: World) -> None:
        await keep(world, "a", item_id="z")
        await asyncio.sleep(1)
        await keep(world, "b", source="stream", item_id="a")
        assert await ids(world) == ["stream#a", "generic#z"]
        assert [item.id for item in await quarantined(world.ports, source="generic")] == ["generic#z"]
        assert await quarantined(world.ports, source="gen") == []

    in_world(answer, story)


@pytest.mark.parametrize("size", [10, 70_000], ids=["beside", "in S3"])
def test_an_item_is_shown_with_its_body_wherever_that_is(size: int) -> None:
    async def story(world: World) -> None:
        item = await quarantined_item(world.ports, await keep(world, "é" * size))
        assert (item.body, item.source, item.reason) == ("é" * size, "generic", "as it was then")
        with pytest.raises(NotFound):
            await quarantined_item(world.ports, "generic#none")

    in_world(answer, story)


def test_what_can_be_read_by_now_is_sent_again_and_is_the_same_job_if_sent_twice() -> None:
    async def story(world: World) -> None:
        item_id = await keep(world, '{"operation": "x"}')
        kept = dict(world.ports.side.items)  # type: ignore[attr-defined]  # as it was before
        assert await retry(world.ports, item_id) == "sent to the queue of generic"
        assert await ids(world) == []
        assert world.queues.held["generic"][0].visible_at == world.ports.now()
        world.ports.side.items.update(kept)  # type: ignore[attr-defined]  # whoever retried died before removing it
        await retry(world.ports, item_id)
        await world.drain()
        assert [run.job_id for run in world.runs] == [derived_job_id("generic", "m-1")]

    in_world(answer, story)


@pytest.mark.parametrize(
    ("body", "source", "reason"),
    [
        ("nonsense", "generic", "not JSON"),
        ('{"operation": "x"}', "gone", "no job type"),
        ("nonsense", "stream", "not a record"),
        ("{}", "stream", "not a record"),
        ('{"dynamodb": {"SequenceNumber": "1", "NewImage": {"pk": {"S": "x"}}}}', "stream", "not a job's row"),
    ],
)
def test_what_still_cannot_be_read_stays_with_the_reason_of_today(body: str, source: str, reason: str) -> None:
    async def story(world: World) -> None:
        item_id = await keep(world, body, source=source)
        with pytest.raises(Conflict, match=reason):
            await retry(world.ports, item_id)
        assert await ids(world) == [item_id]

    in_world(answer, story)


def test_an_item_is_removed_only_after_it_was_sent() -> None:
    async def story(world: World) -> None:
        item_id = await keep(world, '{"operation": "x"}')

        async def down(_messages: Sequence[Outgoing]) -> Sequence[int]:
            raise WorldFault("throttled", "slow down")

        async def refused(_messages: Sequence[Outgoing]) -> Sequence[int]:
            return [0]

        for fault, error in ((down, WorldFault), (refused, Conflict)):
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(world.queues, "send", fault)
                with pytest.raises(error):
                    await retry(world.ports, item_id)
            assert await ids(world) == [item_id]

    in_world(answer, story)


def test_what_is_over_by_now_is_removed_and_nothing_is_sent() -> None:
    async def story(world: World) -> None:
        job = await world.submit()
        await world.drain()
        item_id = await keep(world, wakeup_body(Wakeup("default", job.job_id, 1)))
        assert await retry(world.ports, item_id) == "dropped: settled"
        assert await ids(world) == []
        assert world.queues.held["generic"] == []

    in_world(answer, story)


def test_a_stream_record_is_handed_to_the_reactor_again() -> None:
    async def story(world: World) -> None:
        for delay_s, expected_s in ((0, 0), (5_000, 900)):
            job = await world.submit(delay_s=delay_s)
            raw = json.dumps({"dynamodb": {"SequenceNumber": "7", "NewImage": item_of(job)}})
            assert await react([Record("7", None, None, raw, "unreadable then")], world.ports, stack="t") is None
            assert await retry(world.ports, "stream#7") == "sent to the queue of generic"
            (held,) = world.queues.held["generic"]
            assert held.body == wakeup_body(Wakeup("default", job.job_id, 1))
            assert (held.visible_at - world.ports.now()) // 1000 == expected_s
            assert await ids(world) == []
            world.queues.held["generic"].clear()
        world.seen = len(world.jobs.stream)

    in_world(answer, story)


def test_a_record_whose_queue_was_missing_is_kept_whole_for_the_day_when_it_is_there() -> None:
    async def story(world: World) -> None:
        payload = BackupPayload(database="sqlite:///shop.db")
        job = await world.service.submit(payload)
        record = read_record({"dynamodb": {"SequenceNumber": "7", "NewImage": item_of(job)}})
        assert await react([record], world.ports, stack="t") is None
        with pytest.raises(NotFound, match="no queue for the job type backup"):
            await retry(world.ports, "stream#7")
        world.queues._job_types = {"backup"}
        assert await retry(world.ports, "stream#7") == "sent to the queue of backup"
        world.seen = len(world.jobs.stream)

    in_world(answer, story)
