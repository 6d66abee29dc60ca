"""The heart: beats from a thread of its own, while the worker's loop is blocked by its author's code."""

import asyncio
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from structlog.testing import capture_logs

from shared.memory.jobs import MemoryJobs
from shared.memory.ports import memory_ports
from shared.memory.queues import MemoryQueues
from shared.moves import Lease, Move, claim
from shared.payloads.generic import GenericPayload
from shared.payloads.results import ProcessResult
from shared.ports import Applied, Ports, Refused
from shared.runtime import beats
from shared.runtime.beats import HeartThread, keep_beating
from shared.runtime.context import Context
from shared.runtime.process import Assignment, serve
from shared.runtime.run import Run
from shared.runtime.wiring import now_ms
from shared.status import Event, Status
from tests.world import World, in_world

PATIENCE_S = 20.0
LEASE_S = 60


class Witnessed(MemoryJobs):
    """Tells when a beat has reached the row."""

    def __init__(self) -> None:
        super().__init__()
        self.beaten = threading.Event()

    async def apply(self, move: Move) -> Applied | Refused:
        answer = await super().apply(move)
        if move.event is Event.BEAT:
            self.beaten.set()
        return answer


def test_a_loop_that_is_blocked_for_ever_keeps_its_lease_no_longer_than_its_job_may_run() -> None:
    async def story(world: World) -> None:
        job = await world.submit()
        now = world.ports.now()
        lease = Lease("mine", now + LEASE_S * 1000, alone=True, who="me")
        move = claim(job.tenant_id, job.job_id, job_type="generic", seq=1, lease=lease, now=now)
        claimed = await world.ports.jobs.apply(move)
        assert isinstance(claimed, Applied)
        run = Run(claimed.job, ends_at=now + 300_000, began_at=now, lease_until=lease.until)
        async with asyncio.timeout(1_000):
            await keep_beating(run, world.ports, lease_ms=LEASE_S * 1000, hide=None)
        row = await world.row(job)
        assert 300_000 < (row.lease_until or 0) - now < 400_000
        assert 330_000 < world.ports.now() - now < 340_000

    async def never(_payload: GenericPayload, _context: Context) -> None: ...

    in_world(never, story)


def test_a_handler_that_blocks_the_loop_keeps_its_lease_and_is_named_in_the_log(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(beats, "TICK_S", 0.05)
    monkeypatch.setattr(beats, "BLOCKED_AFTER_S", 0.2)
    jobs = Witnessed()
    leases: list[int] = []

    async def blocking(_payload: GenericPayload, context: Context) -> ProcessResult:
        context.progress(1, 2)
        assert jobs.beaten.wait(PATIENCE_S), "no beat came while the loop was blocked"
        (row,) = jobs.rows.values()
        leases.append((row.lease_until or 0) - (row.started_at or 0))
        return ProcessResult()

    async def main() -> None:
        ports = memory_ports(now_ms, queues=MemoryQueues(now_ms))
        world = World(Ports(**{name: getattr(ports, name) for name in ports.__slots__} | {"jobs": jobs}), blocking)
        job = await world.submit()
        await world.react()
        stop = asyncio.Event()

        @asynccontextmanager
        async def same_ports() -> AsyncIterator[Ports]:
            yield world.ports

        async with HeartThread(same_ports) as heart:
            assignment = Assignment(world.type, 2)  # type: ignore[arg-type]  # a payload is a payload
            worker = asyncio.create_task(
                serve([assignment], world.ports, heart, stack="test", who="me", stop=stop, grace_s=5)
            )
            async with asyncio.timeout(PATIENCE_S):
                while not (await world.row(job)).status.is_terminal:  # noqa: ASYNC110  # rows tell nobody
                    await asyncio.sleep(0.01)
            stop.set()
            await world.send('{"operation": "x"}')  # ends the long poll; it is handed back
            await worker
        assert (await world.row(job)).status is Status.SUCCESS

    with capture_logs() as logs:
        asyncio.run(main())
    assert leases[0] > 60_000, "the beat moved the lease on"
    assert any(log["event"] == "loop_blocked" and "test_heart" in log["where"] for log in logs)
