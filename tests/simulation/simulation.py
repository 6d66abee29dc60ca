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
from shared.memory.ports import memory_ports
from shared.memory.queues import MemoryQueues
from shared.memory.schedules import MemorySchedules
from shared.memory.side import MemorySide
from shared.payloads.backup import BackupPayload
from shared.payloads.base import Payload
from shared.payloads.generic import GenericPayload
from shared.ports import Clock, Outgoing
from shared.runtime.context import Context
from shared.runtime.definition import JobType
from shared.status import Event
from tests.simulation.handlers import recorded
from tests.simulation.hosts import Hosts
from tests.simulation.judge import judge, unattended
from tests.simulation.ledger import JOB_TYPE, Ledger, meant
from tests.simulation.producers import GARBAGE, Producers, orders
from tests.simulation.weather import Story, Weather, known_task
from tests.simulation.witness import Cloud, WitnessedJobs, WitnessedObjects

T = TypeVar("T")

VISIBILITY_S: Final = 105

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
    with bugs_told_to(world.ledger):
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
        jobs, side = WitnessedJobs(), MemorySide()
        receives = random.choice((2, 20, 20))
        queues = MemoryQueues(now, visibility_s=VISIBILITY_S, max_receives=receives, job_types={JOB_TYPE, STRAY})
        self.ledger = jobs.ledger = Ledger(Story(now), jobs.rows, side)
        self.cloud = Cloud(
            self.weather,
            self.ledger,
            jobs=jobs,
            side=side,
            queues=queues,
            schedules=MemorySchedules(queues, now),
            objects=WitnessedObjects(self.ledger),
            others=memory_ports(now),
        )
        generic = JobType(GenericPayload, recorded(self.ledger))
        types = {JOB_TYPE: generic, STRAY: JobType(BackupPayload, _uncalled)}
        self.producers = Producers(self.cloud, generic)
        self.hosts = Hosts(random, self.cloud, cast("dict[str, JobType[Payload]]", types))

    async def live(self) -> None:
        random, hosts = self.random, self.hosts
        async with asyncio.TaskGroup() as group:
            garbage = random.sample(GARBAGE, random.randrange(len(GARBAGE)))
            work = [self.producers.litter(body, random.random() * 60) for body in garbage]
            work += [self.producers.bring(order) for order in orders(random)]
            producing = [group.create_task(one) for one in work]
            group.create_task(hosts.react())
            group.create_task(self._happenings())
            group.create_task(hosts.audit())
            group.create_task(hosts.heal())
            group.create_task(hosts.poll("elsewhere", STRAY, batch=10))
            pollers = random.randint(0, 2)
            for number in range(pollers):
                group.create_task(hosts.poll(str(number), JOB_TYPE, batch=random.choice((1, 3, 10))))
            for number in range(random.randint(0 if pollers else 1, 2)):
                group.create_task(hosts.serve(number, concurrency=random.choice((1, 1, 4))))
            await self._quiet(producing)
            hosts.read, before = 0, dict(self.cloud.jobs.rows)
            self.ledger.written.set()
            await self._quiet(producing)
            self.ledger.check(self.cloud.jobs.rows == before, "I5", "a stream that comes again changes nothing")
            hosts.stop.set()
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
        messages = any(cloud.queues.held.values()) or any(cloud.queues.dead_letters.values())
        return over and not scheduled and not messages and self.hosts.read == len(cloud.jobs.stream)

    async def _happenings(self) -> None:
        """Any job may be woken once more, or in a wrong queue. Nobody who lives may be forgotten, but by a purge."""
        while not self.hosts.stop.is_set():
            await asyncio.sleep(self.random.random() * 60)
            for row in unattended(self.cloud, self.hosts.read):
                purged = (row.key, row.seq) in self.ledger.purged
                self.ledger.check(purged, "I4", "who lives is waited for", row)
            alive = [row for row in self.cloud.jobs.rows.values() if not row.status.is_terminal]
            for row in self.random.sample(alive, min(len(alive), 2)):
                if self.weather.chance(0.5):
                    await self.cloud.queues.send([Outgoing(JOB_TYPE, _wakeup(row))])
                if self.weather.chance(0.2):
                    await self.producers.litter(_wakeup(row), job_type=STRAY)
            if self.weather.chance(0.05):
                self._purge()

    def _purge(self) -> None:
        """Somebody empties the queue; but who empties it of jobs that have no row yet has cancelled them."""
        held = self.cloud.queues.held.setdefault(JOB_TYPE, [])
        about = {one.message_id: meant(one.body, one.message_id) for one in held}
        gone = {number: what for number, what in about.items() if what[0] in self.cloud.jobs.rows}
        self.ledger.story.add("somebody purges the queue of {} messages", len(gone))
        self.ledger.purged |= {*gone.values()}
        held[:] = [one for one in held if one.message_id not in {*gone} - {*self.producers.rivals}]


def _wakeup(row: Job) -> str:
    return wakeup_body(Wakeup(row.tenant_id, row.job_id, row.seq))


async def _uncalled(payload: BackupPayload, context: Context) -> None:
    """Nobody has sent a job of this type."""
    raise AssertionError(f"{context.job_id} ran as a {payload.type}")


@contextmanager
def bugs_told_to(ledger: Ledger) -> Iterator[None]:
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
