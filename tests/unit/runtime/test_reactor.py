"""The reactor: the world's faults block the stream, a record's own do not, and nothing is harmed by a repetition."""

from collections.abc import Sequence
from dataclasses import replace

import pytest

from shared.consequences import Record
from shared.errors import WorldFault
from shared.job import Job
from shared.memory.clock import run_virtual
from shared.memory.ports import memory_ports
from shared.memory.queues import MemoryQueues
from shared.payloads.generic import GenericPayload
from shared.payloads.results import ProcessResult
from shared.ports import Clock, Outgoing, Ports
from shared.runtime.context import Context
from shared.runtime.reactor import react
from shared.runtime.service import Service
from shared.status import Status
from tests.world import World, in_world


async def answer(_payload: GenericPayload, _context: Context) -> ProcessResult:
    return ProcessResult()


class Partly(MemoryQueues):
    """Takes all messages but those at `missed`; or none at all, if `down`."""

    missed: Sequence[int] = ()
    down = False

    async def send(self, messages: Sequence[Outgoing]) -> Sequence[int]:
        if self.down:
            raise WorldFault("throttled", "slow down")
        await super().send([message for index, message in enumerate(messages) if index not in self.missed])
        return self.missed


async def submitted(ports: Ports, count: int) -> list[Record]:
    service = Service(ports)
    jobs = [await service.submit(GenericPayload(operation=f"n{number}")) for number in range(count)]
    return [Record(str(number), None, job) for number, job in enumerate(jobs, 1)]


def test_the_first_record_that_was_not_taken_comes_again_and_all_after_it() -> None:
    async def main(now: Clock) -> None:
        queues = Partly(now)
        queues.missed = [3, 1]
        ports = memory_ports(now, queues=queues)
        assert await react(await submitted(ports, 5), ports, stack="t") == "2"
        assert len(queues.held["generic"]) == 3

    run_virtual(main)


def test_a_world_that_is_down_brings_everything_again() -> None:
    async def main(now: Clock) -> None:
        queues = Partly(now)
        queues.down = True
        ports = memory_ports(now, queues=queues)
        records = await submitted(ports, 3)
        assert await react(records, ports, stack="t") == "1"
        queues.down = False
        assert await react(records, ports, stack="t") is None
        assert len(queues.held["generic"]) == 3

    run_virtual(main)


@pytest.mark.parametrize("type_", ["gone", "backup"])
def test_a_record_of_an_unknown_type_or_without_a_queue_is_quarantined_and_the_stream_goes_on(type_: str) -> None:
    async def story(world: World) -> None:
        good = await world.submit()
        lost = replace(good, type=type_, job_id="lost")
        records = [Record("1", None, lost, raw="raw-1"), Record("2", None, good)]
        assert await react(records, world.ports, stack="t") is None
        ((_, kept),) = await world.ports.side.query("quarantine", limit=10)
        assert type_ in kept
        assert "raw-1" in kept
        assert len(world.queues.held["generic"]) == 1

    in_world(answer, story)


def test_a_record_that_cannot_be_read_is_quarantined_with_its_reason() -> None:
    async def story(world: World) -> None:
        record = Record("9", None, None, raw='{"dynamodb": {}}', problem="not a job's row")
        assert await react([record], world.ports, stack="t") is None
        ((key, kept),) = await world.ports.side.query("quarantine", limit=10)
        assert key == "stream#9"
        assert "not a job's row" in kept

    in_world(answer, story)


def test_a_type_that_fails_to_say_what_follows_blocks_nobody() -> None:
    async def story(world: World) -> None:
        good = await world.submit()
        strange = replace(good, job_id="strange", type="fine_tuning", status=Status.CANCELLED, checkpoint="bedrock/?")
        records = [Record("1", good, strange, raw="raw-1"), Record("2", None, good)]
        assert await react(records, world.ports, stack="t") is None
        ((_, kept),) = await world.ports.side.query("quarantine", limit=10)
        assert "what follows can't be told" in kept
        assert len(world.queues.held["generic"]) == 1

    in_world(answer, story)


def test_a_record_that_cannot_even_be_quarantined_comes_again() -> None:
    async def story(world: World) -> None:
        async def down(*_args: object, **_kwargs: object) -> bool:
            raise WorldFault("throttled", "slow down")

        world.ports.side.put_once = down  # type: ignore[method-assign]
        good = await world.submit()
        records = [Record("1", None, good), Record("2", None, None, raw="{}", problem="?"), Record("3", None, good)]
        assert await react(records, world.ports, stack="t") == "2"

    in_world(answer, story)


def test_only_a_new_seq_is_dispatched() -> None:
    async def story(world: World) -> None:
        job = await world.submit()
        beaten = replace(job, updated_at=job.updated_at + 1)
        records = [Record("1", job, beaten), Record("2", job, None), Record("3", beaten, requeued(beaten))]
        assert await react(records, world.ports, stack="t") is None
        assert [held.body for held in world.queues.held["generic"]] == [
            f'{{"longshore":1,"tenant_id":"default","job_id":"{job.job_id}","seq":2}}'
        ]

    in_world(answer, story)


def requeued(job: Job) -> Job:
    return replace(job, seq=job.seq + 1)
