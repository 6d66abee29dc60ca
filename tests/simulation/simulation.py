"""One seed, one world: producers, Lambda pollers, long-running workers and the reactor, in bad weather.

They run the real thing (`run_batch`, `serve`, `run_once`, `react`, `Service`) on the ports in memory, in virtual time.
After a while the weather turns calm for good; when all is quiet, the whole stream is brought again, and the judge
closes the books. `simulate(seed)` is the same every time, line by line.
"""

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from random import Random
from typing import Final, TypeVar, cast

import structlog

from shared.envelope import Wakeup, wakeup_body
from shared.job import Job
from shared.memory.clock import run_virtual
from shared.memory.jobs import MemoryJobs
from shared.memory.ports import memory_ports
from shared.memory.queues import MemoryQueues
from shared.memory.schedules import MemorySchedules
from shared.memory.side import MemorySide
from shared.payloads.backup import BackupPayload
from shared.payloads.base import Payload
from shared.payloads.generic import GenericPayload
from shared.ports import Clock, Message, Outgoing
from shared.runtime.batch import run_batch
from shared.runtime.beats import LEASE_MS, TaskBeats
from shared.runtime.context import Context
from shared.runtime.definition import JobType
from shared.runtime.process import Assignment, serve
from shared.runtime.reactor import react
from shared.runtime.worker import Worker
from shared.status import Event
from tests.simulation.handlers import recorded
from tests.simulation.judge import judge, unattended
from tests.simulation.ledger import JOB_TYPE, Ledger, meant
from tests.simulation.producers import GARBAGE, Producers, orders
from tests.simulation.weather import Process, Story, Weather, known_task
from tests.simulation.witness import Cloud, WitnessedQueues

T = TypeVar("T")

STACK: Final = "simulation"

VISIBILITY_S: Final = 105
BEYOND_TIMEOUT_S: Final = 15
"""A function's time-out is longer than its job type's."""
STRAY: Final = "backup"
"""Another job type: what comes into its queue has strayed."""

QUIET_WITHIN_S: Final = 12 * 3600
"""Of virtual time: what is not over then is stuck."""

ENOUGH: Final = 10
"""Violations that end a world early."""


@dataclass(frozen=True, slots=True)
class Report:
    seed: int
    jobs: int
    runs: int
    faults: int
    violations: Sequence[str]
    story: Sequence[str]
    events: frozenset[Event]

    @property
    def verdict(self) -> str:
        """Of a world that went wrong: what, and how to see it again."""
        return "\n".join((f"seed {self.seed}: `make sim SEED={self.seed}` tells its story", *self.violations))


def simulate(seed: int) -> Report:
    """Live through the world of this seed, to its end."""
    return run_virtual(lambda now: _live(seed, now, told=True))


def counted(seed: int) -> Report:
    """The same, its story left untold: that takes time."""
    return run_virtual(lambda now: _live(seed, now, told=False))


async def _live(seed: int, now: Clock, *, told: bool) -> Report:
    asyncio.get_running_loop().set_task_factory(known_task)  # type: ignore[arg-type]  # typeshed knows no context
    world = World(Random(seed), now)
    with _bugs_told_to(world.ledger):
        await world.live()
    ledger, story = world.ledger, world.ledger.story
    return Report(
        seed,
        jobs=len(world.producers.accepted),
        runs=len(ledger.runs),
        faults=world.weather.faults,
        violations=ledger.violations,
        story=story.told() if told else (),
        events=frozenset(ledger.events),
    )


class World:
    def __init__(self, random: Random, now: Clock) -> None:
        self.random = random
        self.weather = Weather.of(random, now)
        jobs, side = MemoryJobs(), MemorySide()
        queues = MemoryQueues(now, visibility_s=VISIBILITY_S, job_types={JOB_TYPE, STRAY})
        self.ledger = Ledger(Story(now), jobs.rows, side)
        self.cloud = Cloud(
            self.weather, self.ledger, jobs, side, queues, MemorySchedules(queues, now), memory_ports(now)
        )
        self.queues = WitnessedQueues(queues, self.ledger, self.weather)
        self.type = JobType(GenericPayload, recorded(self.ledger))
        self.types = {JOB_TYPE: self.type, STRAY: JobType(BackupPayload, _uncalled)}
        self.producers = Producers(self.cloud, self.type)
        self.stop = asyncio.Event()
        self.read = 0
        """Records of the stream that the reactor is done with."""

    async def live(self) -> None:
        random = self.random
        async with asyncio.TaskGroup() as group:
            garbage = random.sample(GARBAGE, random.randrange(len(GARBAGE)))
            work = [self.producers.litter(body, random.random() * 60) for body in garbage]
            work += [self.producers.bring(order) for order in orders(random)]
            producing = [group.create_task(one) for one in work]
            group.create_task(self._reactor())
            group.create_task(self._audit())
            group.create_task(self._lambda("elsewhere", STRAY, batch=10))
            pollers = random.randint(0, 2)
            for number in range(pollers):
                group.create_task(self._lambda(str(number), JOB_TYPE, batch=random.choice((1, 3, 10))))
            for number in range(random.randint(0 if pollers else 1, 2)):
                group.create_task(self._servers(number, concurrency=random.choice((1, 1, 4))))
            await self._quiet(producing)
            self.read, before = 0, dict(self.cloud.jobs.rows)
            self.ledger.written.set()
            await self._quiet(producing)
            self.ledger.check(self.cloud.jobs.rows == before, "I5", "a stream that comes again changes nothing")
            self.stop.set()
            self.ledger.written.set()
            for task in producing:
                task.cancel()
        judge(self.cloud, self.producers)

    async def _quiet(self, producing: "Sequence[asyncio.Task[None]]") -> None:
        """Until nothing is left to do, or it has taken too long, or enough has gone wrong."""
        until = self.weather.now() + QUIET_WITHIN_S * 1000
        while not self._is_quiet(producing):
            if self.weather.now() >= until or len(self.ledger.violations) >= ENOUGH:
                return
            await asyncio.sleep(5)

    def _is_quiet(self, producing: "Sequence[asyncio.Task[None]]") -> bool:
        cloud, now = self.cloud, self.weather.now()
        if self.weather.on_the_wire or not all(task.done() for task in producing):
            return False
        scheduled = any(at >= now for at, _ in cloud.schedules.made.values())
        over = all(row.status.is_terminal for row in cloud.jobs.rows.values())
        return over and not scheduled and not any(cloud.queues.held.values()) and self.read == len(cloud.jobs.stream)

    def _process(self, name: str) -> Process:
        return Process(name, self.weather, self.ledger.story)

    def _answer(self, process: Process, main: "asyncio.Task[T]", otherwise: T) -> T:
        """Of a process that came to its end; `otherwise` if it raised, which it must not."""
        error = main.exception()
        self.ledger.check(error is None, "I8", f"{process.name} comes to a good end", repr(error))
        return otherwise if error is not None else main.result()

    # --- hosts --------------------------------------------------------------------------------------------------------

    async def _reactor(self) -> None:
        """Records come late, and some come again."""
        while not self.stop.is_set():
            stream = self.cloud.jobs.stream
            records = stream[self.read : self.read + self.random.choice((1, 5, 50))]
            if not records:
                self.ledger.written.clear()
                await self.ledger.written.wait()
                continue
            process = self._process("reactor")
            main = process.start(react(records, self.cloud.ports(process), stack=STACK))
            if await process.lived(main, timeout_s=60):
                failed = self._answer(process, main, None)
                self.read = self.read + len(records) if failed is None else int(failed) - 1
            if self.weather.chance(0.1):
                self.read = max(0, self.read - self.random.randrange(10))
                await asyncio.sleep(self.weather.delay_s())

    async def _audit(self) -> None:
        """Who waits for a wake-up that was lost gets it again; in bad weather any job may, and in a wrong queue."""
        while not self.stop.is_set():
            await asyncio.sleep(self.random.random() * 60)
            for row in unattended(self.cloud, self.read):
                lost = (row.key, row.seq) in self.ledger.purged
                self.ledger.check(lost, "I4", "who lives is waited for", row)
                await self._wake(row)
            alive = [row for row in self.cloud.jobs.rows.values() if not row.status.is_terminal]
            for row in self.random.sample(alive, min(len(alive), 2)):
                if self.weather.chance(0.5):
                    await self._wake(row)
                if self.weather.chance(0.2):
                    await self.producers.litter(_wakeup(row), job_type=STRAY)
            if self.weather.chance(0.05):
                self._purge()

    async def _wake(self, row: Job) -> None:
        await self.cloud.queues.send([Outgoing(JOB_TYPE, _wakeup(row))])

    def _purge(self) -> None:
        """Somebody empties the queue; but who empties it of jobs that have no row yet has cancelled them."""
        held = self.cloud.queues.held.setdefault(JOB_TYPE, [])
        about = {one.message_id: meant(one.body, one.message_id) for one in held}
        gone = {number: what for number, what in about.items() if what[0] in self.cloud.jobs.rows}
        self.ledger.story.add("somebody purges the queue of {} messages", len(gone))
        self.ledger.purged |= {*gone.values()}
        held[:] = [one for one in held if one.message_id not in {*gone} - {*self.producers.rivals}]

    async def _lambda(self, name: str, job_type: str, *, batch: int) -> None:
        """An event source mapping: at most three invocations at a time."""
        room = asyncio.Semaphore(3)
        async with asyncio.TaskGroup() as group:
            invocation = 0
            while not self.stop.is_set():
                await room.acquire()
                messages = await self.queues.receive(job_type, max_messages=batch, wait_s=20)
                invocation += 1
                task = group.create_task(self._invoke(f"lambda {name}.{invocation}", job_type, messages))
                task.add_done_callback(lambda _: room.release())

    async def _invoke(self, name: str, job_type: str, messages: Sequence[Message]) -> None:
        """Deleting is Lambda's own, and may fail."""
        if not messages:
            return
        process = self._process(name)
        ports = self.cloud.ports(process)
        kind = cast("JobType[Payload]", self.types[job_type])
        worker, lasts_s = Worker(kind, ports, stack=STACK), kind.payload_model.policy.timeout_s + BEYOND_TIMEOUT_S
        ends_at = process.now() + 1000 * lasts_s
        main = process.start(run_batch(worker, messages, ports, job_type=job_type, ends_at=ends_at, who=name))
        if await process.lived(main, timeout_s=lasts_s) and not self.weather.chance(0.05):
            failed = self._answer(process, main, [message.message_id for message in messages])
            done = [message.receipt for message in messages if message.message_id not in failed]
            await self.queues.delete(job_type, done)

    async def _servers(self, number: int, *, concurrency: int) -> None:
        """One after the other, each until it dies or is stopped."""
        served = 0
        while not self.stop.is_set():
            served += 1
            process, stop = self._process(f"worker {number}.{served}"), asyncio.Event()
            ports = self.cloud.ports(process)
            beats = TaskBeats(ports, lease_ms=LEASE_MS)
            assignment = Assignment(cast("JobType[Payload]", self.type), concurrency)
            main = process.start(serve([assignment], ports, beats, stack=STACK, who=process.name, stop=stop))
            fate = asyncio.create_task(self._fate(process, stop))
            if await process.lived(main):
                self._answer(process, main, None)
                left = self.ledger.active_in(process)
                self.ledger.check(not left, "I4", "a stop strands nothing", process.name)
            fate.cancel()
            await asyncio.sleep(self.random.random() * 10)

    async def _fate(self, process: Process, stop: asyncio.Event) -> None:
        """It may freeze, it may be stopped early; in the end it is stopped."""
        if self.weather.chance(0.5):
            await asyncio.sleep(self.random.random() * 60)
            process.freeze()
        if self.weather.chance(0.3):
            await asyncio.sleep(self.random.random() * 200)
        else:
            await self.stop.wait()
        stop.set()


def _wakeup(row: Job) -> str:
    return wakeup_body(Wakeup(row.tenant_id, row.job_id, row.seq))


async def _uncalled(payload: BackupPayload, context: Context) -> None:
    """Nobody has sent a job of this type."""
    raise AssertionError(f"{context.job_id} ran as a {payload.type}")


@contextmanager
def _bugs_told_to(ledger: Ledger) -> Iterator[None]:
    """Logs are silent, but for what a worker calls its own bug."""

    def tap(_logger: object, _method: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
        ledger.check(event["event"] != "worker_bug", "I8", "a worker stumbles", event.get("exc_info"))
        raise structlog.DropEvent

    before = structlog.get_config() if structlog.is_configured() else None
    structlog.configure(processors=[tap], wrapper_class=structlog.make_filtering_bound_logger(40))
    try:
        yield
    finally:
        structlog.reset_defaults() if before is None else structlog.configure(**before)
