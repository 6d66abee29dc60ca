"""Every call of every scenario: the process dies before or after it, or AWS throttles, half-answers or repeats it.

Whatever happened, when all is quiet the job has ended as it should have, once, and what it published can be read.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace

import pytest

from shared.errors import Permanent, Transient, WorldFault
from shared.job import Job
from shared.memory.clock import run_virtual
from shared.memory.ports import memory_ports
from shared.memory.queues import MemoryQueues
from shared.outcomes import Partial, Proceed, Snooze
from shared.payloads.generic import GenericPayload
from shared.payloads.results import ProcessResult, RowError
from shared.ports import Clock
from shared.runtime.batch import run_batch
from shared.runtime.context import Context
from shared.runtime.reactor import react
from shared.runtime.service import Service
from shared.runtime.worker import Worker
from shared.status import Status
from tests.simulation.faults import Fault, Plan, faulty
from tests.world import INVOCATION_MS, STACK, World

Handler = Callable[[GenericPayload, Context], Awaitable[object]]

BIG = GenericPayload(operation="x", job_id="the-job", parameters={"text": "y" * 1_000})


async def publish(context: Context, name: str) -> str:
    async with context.artifacts.create(name) as upload:
        await upload.write(b"artefact")
    return upload.url


async def success(_payload: GenericPayload, context: Context) -> ProcessResult:
    return ProcessResult(data={"url": await publish(context, "file")})


async def retried(_payload: GenericPayload, context: Context) -> ProcessResult:
    if context.attempt == 1:
        raise Transient("busy", "again " * 100)
    return ProcessResult(data={"text": "z" * 300})


async def permanent(_payload: GenericPayload, _context: Context) -> ProcessResult:
    raise Permanent("gone", "no such table", field="tables.0")


async def partly(_payload: GenericPayload, _context: Context) -> Partial:
    return Partial(ProcessResult(), [RowError(table="t", code="c", message="m")])


async def too_long(_payload: GenericPayload, context: Context) -> ProcessResult:
    if context.attempt == 1:
        await asyncio.sleep(3_600)
    return ProcessResult(data={"text": "z" * 300})


async def snoozed(_payload: GenericPayload, context: Context) -> ProcessResult | Snooze:
    return Snooze(5) if context.epoch == 1 else ProcessResult(data={"text": "z" * 300})


async def proceeding(_payload: GenericPayload, context: Context) -> ProcessResult | Proceed:
    step = int(context.checkpoint or 0)
    return Proceed(str(step + 1)) if step < 2 else ProcessResult(data={"text": "z" * 300})


async def reporting(_payload: GenericPayload, context: Context) -> ProcessResult:
    for step in range(20):
        context.progress(step, 20)
        await asyncio.sleep(1)
    return ProcessResult(data={"text": "z" * 300})


@dataclass(frozen=True)
class Scenario:
    name: str
    handler: Handler
    ends: Status
    bare: bool = False
    dead_before: int = 0
    """So many runs of it died before, alone."""


SCENARIOS = [
    Scenario("success", success, Status.SUCCESS),
    Scenario("retry, then success", retried, Status.SUCCESS),
    Scenario("permanent failure", permanent, Status.FAILED),
    Scenario("partial success", partly, Status.PARTIAL_SUCCESS),
    Scenario("time-out, then success", too_long, Status.SUCCESS),
    Scenario("snooze", snoozed, Status.SUCCESS),
    Scenario("proceed from checkpoint", proceeding, Status.SUCCESS),
    Scenario("progress", reporting, Status.SUCCESS),
    Scenario("bare message", success, Status.SUCCESS, bare=True),
    Scenario("bare message, retried", retried, Status.SUCCESS, bare=True),
    Scenario("dead worker", success, Status.SUCCESS, dead_before=1),
    Scenario("its third dead worker", success, Status.FAILED, dead_before=3),
]


class CrashingWorld(World):
    """A world whose producer, reactor and worker share one plan; who is killed is started again as a new process."""

    def __init__(self, now: Clock, handler: Handler, plan: Plan) -> None:
        self.plan = plan
        queues = MemoryQueues(now, visibility_s=105, max_receives=20, job_types={"generic"})
        super().__init__(memory_ports(now, seed=7, queues=queues), handler)

    async def process(self, work: Callable[["CrashingWorld"], Awaitable[None]]) -> bool:
        """Do `work` in a process of its own; → whether it lived to the end."""
        doing = asyncio.ensure_future(work(self))
        dying = asyncio.ensure_future(self.plan.killed.wait())
        await asyncio.wait({doing, dying}, return_when=asyncio.FIRST_COMPLETED)
        dying.cancel()
        lived = doing.done()
        doing.cancel()
        await asyncio.wait({doing})
        if not lived:
            self.plan.killed = asyncio.Event()
            return False
        return doing.exception() is None or _world_fault(doing.exception())

    async def produce(self, *, bare: bool) -> None:
        """A producer that tries again until it is told that its job was accepted."""
        if bare:
            await self.send('{"operation": "x", "job_id": "the-job"}')
            return
        accepted: list[Job] = []

        async def submit(world: CrashingWorld) -> None:
            accepted.append(await Service(faulty(world.ports, world.plan)).submit(BIG))

        while not accepted:
            await self.process(submit)

    async def one_round(self) -> None:
        await self.process(_react)
        await self.process(_invoke)


def _world_fault(error: BaseException | None) -> bool:
    if error is not None and not isinstance(error, WorldFault):
        raise error
    return False


async def _react(world: CrashingWorld) -> None:
    fresh = world.jobs.stream[world.seen :]
    failed = await react(fresh, faulty(world.ports, world.plan), stack=STACK)
    world.seen = world.seen + len(fresh) if failed is None else int(failed) - 1


async def _invoke(world: CrashingWorld) -> None:
    """Receiving and deleting are Lambda's own, and may happen twice or not at all."""
    messages = await world.ports.queues.receive("generic", max_messages=10, wait_s=20)
    ports = faulty(world.ports, world.plan)
    worker = Worker(world.type, ports, stack=STACK)
    ends_at = ports.now() + INVOCATION_MS
    failed = await run_batch(worker, messages, ports, job_type="generic", ends_at=ends_at, who="test")  # type: ignore[arg-type]
    done = [message.receipt for message in messages if message.message_id not in failed]
    await world.ports.queues.delete("generic", done)


def play(scenario: Scenario, plan: Plan) -> tuple[CrashingWorld, Job]:
    async def main(now: Clock) -> tuple[CrashingWorld, Job]:
        world = CrashingWorld(now, scenario.handler, plan)
        await world.produce(bare=scenario.bare)
        if scenario.dead_before:
            await kill_runs(world, scenario.dead_before)
        for _ in range(300):
            await world.one_round()
            if world.seen == len(world.jobs.stream) and not world.queues.held.get("generic"):
                break
        (job,) = world.jobs.rows.values()
        await judge(world, job, scenario)
        return world, job

    return run_virtual(main)


async def kill_runs(world: CrashingWorld, deaths: int) -> None:
    (job,) = world.jobs.rows.values()
    left = job.attempts_max - deaths + 1
    now = world.ports.now()
    world.jobs.rows[job.key] = replace(
        job, status=Status.RUNNING, epoch=deaths, token="dead", lease_until=now - 1, alone=True, attempts_left=left
    )


async def judge(world: CrashingWorld, job: Job, scenario: Scenario) -> None:
    """One outcome; nothing left over; what is published is whole."""
    story = f"{scenario.name}, {world.plan.fault} call {world.plan.at}: {world.plan.calls}; {job}"
    assert job.status is scenario.ends, story
    assert not world.queues.held.get("generic"), story
    assert not world.queues.dead_letters.get("generic"), story
    assert not await world.ports.side.query("quarantine", limit=1), story
    response = await world.service.result(job)
    assert response.success == (job.status is not Status.FAILED), story
    if job.result is not None:
        assert job.result.split("/")[3].startswith(f"{job.epoch}-"), story


def points(scenario: Scenario) -> Sequence[int]:
    world, _ = play(scenario, Plan(Fault.REPEAT, 0))
    return range(1, len(world.plan.calls) + 1)


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.name)
def test_every_crash_point_has_one_outcome(scenario: Scenario, record_property: Callable[[str, object], None]) -> None:
    tried = 0
    for at in points(scenario):
        for fault in Fault:
            _, job = play(scenario, Plan(fault, at))
            tried += 1
            deaths = scenario.dead_before - (1 if scenario.ends is Status.FAILED and scenario.dead_before else 0)
            if fault in {Fault.THROTTLE, Fault.LOSE_ANSWER, Fault.REPEAT} and scenario.ends is not Status.FAILED:
                base = 1 if scenario.handler in {retried, too_long} else 0
                assert job.attempts == base + deaths, f"{fault} at call {at} cost an attempt: {job}"
    record_property("crash_points", tried)
    assert tried >= 20
