"""One seed, one world of parents and children: flows of any shape and jobs that wait, in bad weather.

Everything is as in `simulation.py`, but for who is brought: the children are its jobs, kind by kind; their parents are
the real `flow` handler and a handler that returns `WaitFor`; some are cancelled, some time out, some are redriven. The
ledger looks at each wake and at each parent's end; when all is quiet, the stream is brought once more.
"""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from random import Random
from typing import Final, Literal, cast

from pydantic import BaseModel, JsonValue
from pydantic_core import from_json, to_json

from handlers.jobs.cancel_children import cancel_children
from handlers.jobs.flow import flow
from shared.children import Group, awaited, child_id, groups_of, latest_groups, read_link
from shared.consequences import Record
from shared.errors import Conflict, NotFound, WorldFault
from shared.job import Job
from shared.memory.clock import run_virtual
from shared.memory.ports import memory_ports
from shared.memory.queues import MemoryQueues
from shared.memory.schedules import MemorySchedules
from shared.memory.side import MemorySide
from shared.moves import Move
from shared.outcomes import WaitFor
from shared.payloads import TYPES, read_payload
from shared.payloads.base import Payload
from shared.payloads.flow import FlowPayload
from shared.payloads.generic import GenericOptions, GenericPayload
from shared.ports import Clock, Message
from shared.runtime.context import Context
from shared.runtime.definition import JobType, Returned, job
from shared.runtime.service import Service
from shared.status import Event, Status
from tests.simulation.handlers import KINDS, recorded
from tests.simulation.hosts import Hosts
from tests.simulation.ledger import JOB_TYPE, Ledger, meant
from tests.simulation.simulation import ENOUGH, QUIET_WITHIN_S, VISIBILITY_S, Report, bugs_told_to
from tests.simulation.weather import SKEW_MS, Process, Story, Weather, known_task
from tests.simulation.witness import Cloud, WitnessedJobs, WitnessedObjects

MILD: Final = ("quick", "quick", "failing_once", "partly", "snoozing", "in_stages", "poisonous_once", "publishing")
BITTER: Final = ("hopeless", "permanent", "permanent", "slow", "snoozing_long")

PROMPT_MS: Final = 300_000
"""Where the weather is calm, all is told by then."""
POLICIES: Final = ("fail", "fail", "continue", "ignore")
SAD: Final = frozenset({Status.FAILED, Status.CANCELLED})
PARENTS: Final = frozenset({"flow", "waiting"})


class WaitingPayload(Payload):
    type: Literal["waiting"] = "waiting"
    kinds: tuple[str, ...]
    fails_fast: bool
    timeout_s: float


class Ends(BaseModel):
    statuses: list[str]


@job(WaitingPayload)
async def waiting(payload: WaitingPayload, context: Context) -> Ends | WaitFor:
    """Waits for its children twice, for the same kinds."""
    if context.checkpoint != "again":
        children = [_child(kind) for kind in payload.kinds]
        checkpoint = "again" if context.checkpoint else "once"
        return WaitFor(children, checkpoint, fails_fast=payload.fails_fast, timeout_s=payload.timeout_s)
    return Ends(statuses=[end.status.value async for end in context.children])


def _child(kind: str) -> GenericPayload:
    return GenericPayload(operation=kind, options=GenericOptions(timeout=KINDS[kind].timeout_s))


def families(seed: int) -> Report:
    """Live through the world of this seed, to its end."""
    return run_virtual(lambda now: _live(seed, now, told=True))


def counted_families(seed: int) -> Report:
    """The same, its story left untold."""
    return run_virtual(lambda now: _live(seed, now, told=False))


async def _live(seed: int, now: Clock, *, told: bool) -> Report:
    asyncio.get_running_loop().set_task_factory(known_task)  # type: ignore[arg-type]  # typeshed knows no context
    with _known_types():
        world = Families(Random(seed), now)
        with bugs_told_to(world.ledger):
            await world.live()
    ledger = world.ledger
    return Report(
        seed,
        jobs=len(world.cloud.jobs.rows),
        runs=len(ledger.runs),
        faults=world.weather.faults,
        violations=ledger.violations,
        story=ledger.story.told() if told else (),
        events=frozenset(ledger.events),
    )


@contextmanager
def _known_types() -> Iterator[None]:
    TYPES["waiting"] = WaitingPayload
    try:
        yield
    finally:
        del TYPES["waiting"]


@dataclass(slots=True)
class FamilyLedger(Ledger):
    """Knows who is whose child: who may be cancelled with its parent, and when a parent may wake and end."""

    calm_at: int = 0
    successes: Counter[tuple[str, int]] = field(default_factory=Counter)
    hurt_at: dict[str, int] = field(default_factory=dict)
    """When who waits was first hurt: a child failed that must fail fast."""

    def was_asked(self, job: Job) -> bool:
        if job.key in self.asked:
            return True
        parent = self._parent(job)
        if parent is None or parent.status in SAD:
            return parent is not None
        if job.parent is None:
            return True
        lives = {group.number: group.redrives for group in groups_of(parent)}  # superseded: earlier
        return lives.get(read_link(job.parent).group, -1) < (parent.redrives or 0)

    def _is_needed(self, message: Message) -> bool:
        """Who waits needs no message: its children wake it, and its deadline sends one of its own."""
        row = self.rows.get(meant(message.body, message.message_id)[0])
        return (row is None or row.status is not Status.WAITING) and Ledger._is_needed(self, message)

    def moved(self, record: Record, move: Move, process: Process | None) -> None:
        old, new = record.old, record.new
        assert new is not None
        Ledger.moved(self, record, move, process)
        if new.status in {Status.SUCCESS, Status.PARTIAL_SUCCESS} and new.status != (old and old.status):
            self.successes[new.key, new.redrives or 0] += 1
            self.check(self.successes[new.key, new.redrives or 0] == 1, "I4", "a job succeeds once in a life", new.key)
            self.check(not self._left_behind(new), "I4", "who succeeds has waited for its children", new.key)
        if old is not None:
            self._is_timely(old, new, move.event)
        self._hurts(new)

    def _is_timely(self, old: Job, new: Job, event: Event) -> None:
        now = self.story.now()
        if event is Event.WAKE:
            self.check(self._is_due(old), "I4", "who is woken has waited for it", new.key)
        if old.status is Status.WAITING:
            late = self._is_late(self.hurt_at.pop(new.key, now))
            self.check(not late, "I4", "a failure is told at once", new.key)
        if event is Event.EXPIRE:
            over = old.deadline_at is not None and old.deadline_at <= now + SKEW_MS
            self.check(over, "I4", "nobody expires before the deadline", new.key)
        if event is Event.CLAIM and (parent := self._parent(new)) is not None and parent.status in SAD:
            self.check(not self._is_late(parent.completed_at or now), "I4", "no orphan goes on", new.key)

    def _hurts(self, child: Job) -> None:
        parent = self._parent(child)
        if parent is None or child.parent is None or child.status not in SAD or parent.status is not Status.WAITING:
            return
        link = read_link(child.parent)
        if link.fails_fast and link.group in awaited(parent):
            self.hurt_at.setdefault(parent.key, self.story.now())

    def _is_late(self, since: int) -> bool:
        return self.story.now() - max(since, self.calm_at) > PROMPT_MS

    def _parent(self, child: Job) -> Job | None:
        return self.rows.get(f"{child.tenant_id}#{_parent_id(child)}")

    def _is_due(self, parent: Job) -> bool:
        groups = [group for group in groups_of(parent) if group.number in awaited(parent)]
        return any(self._is_over(parent, group) or self._is_hurt(parent, group) for group in groups)

    def children(self, parent: Job, group: Group) -> list[Job | None]:
        ids = (child_id(parent.tenant_id, parent.job_id, group, index) for index in range(group.total))
        return [self.rows.get(f"{parent.tenant_id}#{job_id}") for job_id in ids]

    def _is_over(self, parent: Job, group: Group) -> bool:
        return all(child is not None and child.status.is_terminal for child in self.children(parent, group))

    def _is_hurt(self, parent: Job, group: Group) -> bool:
        failed = (child for child in self.children(parent, group) if child is not None and child.status in SAD)
        return any(child.parent is not None and read_link(child.parent).fails_fast for child in failed)

    def _left_behind(self, parent: Job) -> list[str]:
        """Steps whose children are not over. Who waits for the first failure alone may leave some behind; and so may a
        job that was redriven while it waited, whose children were cancelled with it."""
        life = (parent.redrives or 0) if parent.type == "waiting" else 0
        groups = [group for group in latest_groups(parent).values() if group.redrives >= life]
        return [group.step for group in groups if not self._is_over(parent, group) and not self._is_hurt(parent, group)]


def noting(ledger: Ledger, job_type: JobType[Payload]) -> Callable[[Payload, Context], Awaitable[Returned]]:
    """The handler, and a note in the books of how its run ended."""

    async def handler(payload: Payload, context: Context) -> Returned:
        run = ledger.runs[f"{context.tenant_id}#{context.job_id}", context.epoch]
        ledger.check(not run.begun, "I2", "a claim is run once", context.job_id)
        run.begun = True
        try:
            answer = await cast("Awaitable[Returned]", job_type(payload, context))
        except BaseException as error:
            run.failed = context.cancelled or not isinstance(error, WorldFault)
            raise
        run.returned = True
        run.failed = isinstance(answer, WaitFor)  # making its children takes time, and that may be over
        return answer

    return handler


def _parent_id(job: Job) -> str | None:
    """A tombstone has the payload of who made it."""
    if job.parent is not None:
        return read_link(job.parent).parent_id
    return str(from_json(job.payload or "{}").get("parent_id")) if job.type == "cancel_children" else None


# --- who is brought ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Wish:
    """`ends_at_s`: when somebody asks it to end. `lives`: how often somebody redrives what has not succeeded."""

    payload: Payload
    at_s: float
    ends_at_s: float | None
    lives: int


def wishes(random: Random) -> list[Wish]:
    bitterness = random.choice((0.0, 0.1, 0.4))
    return [
        Wish(
            _a_flow(random, number, bitterness) if random.random() < 0.7 else _a_waiting(random, number, bitterness),
            at_s=random.random() * random.choice((1, 60)),
            ends_at_s=random.random() * random.choice((5, 60, 600)) if random.random() < 0.25 else None,
            lives=random.choice((0, 0, 1, 2)),
        )
        for number in range(random.randint(1, 3))
    ]


def _a_waiting(random: Random, number: int, bitterness: float) -> Payload:
    kinds = tuple(_kind(random, bitterness) for _ in range(random.randint(1, 5)))
    return WaitingPayload(
        job_id=f"waiting_{number}", kinds=kinds, fails_fast=random.random() < 0.4, timeout_s=_timeout_s(random)
    )


def _a_flow(random: Random, number: int, bitterness: float) -> Payload:
    document = _flow(random, bitterness, depth=0)
    return read_payload(to_json({**document, "job_id": f"flow_{number}"}))


def _flow(random: Random, bitterness: float, *, depth: int) -> dict[str, JsonValue]:
    count = random.randint(1, 4 - 2 * depth)
    steps: list[JsonValue] = [_step(random, f"s{number}", number, bitterness, depth) for number in range(count)]
    return {"type": "flow", "steps": steps, "timeout_s": _timeout_s(random)}


def _step(random: Random, name: str, number: int, bitterness: float, depth: int) -> JsonValue:
    needs: list[JsonValue] = [f"s{other}" for other in range(number) if random.random() < 0.5]
    common: dict[str, JsonValue] = {"name": name, "needs": needs, "on_failure": random.choice(POLICIES)}
    if depth == 0 and random.random() < 0.15:
        return {**common, "job": _flow(random, bitterness, depth=1)}
    if random.random() < 0.5:
        kinds: list[JsonValue] = [_kind(random, bitterness) for _ in range(random.randint(0, 4))]
        return {**common, "map": kinds, "job": {"type": "generic", "operation": {"$item": True}}}
    return {**common, "job": {"type": "generic", "operation": _kind(random, bitterness)}}


def _kind(random: Random, bitterness: float) -> str:
    return random.choice(BITTER if random.random() < bitterness else MILD)


def _timeout_s(random: Random) -> int:
    return random.choice((20, 1_200, 259_200, 259_200, 259_200))


# --- the world --------------------------------------------------------------------------------------------------------


class Families:
    def __init__(self, random: Random, now: Clock) -> None:
        self.random = random
        self.weather = Weather.of(random, now)
        jobs, side = WitnessedJobs(), MemorySide()
        own: list[JobType[Payload]] = [cast("JobType[Payload]", each) for each in (flow, waiting, cancel_children)]
        types = {each.type: each for each in own}
        queues = MemoryQueues(now, visibility_s=VISIBILITY_S, max_receives=20, job_types={JOB_TYPE, *types})
        self.ledger = jobs.ledger = FamilyLedger(Story(now), jobs.rows, side, calm_at=self.weather.calm_at)
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
        recording = {name: JobType(each.payload_model, noting(self.ledger, each)) for name, each in types.items()}
        generic = cast("JobType[Payload]", JobType(GenericPayload, recorded(self.ledger)))
        self.hosts = Hosts(random, self.cloud, recording | {JOB_TYPE: generic})

    async def live(self) -> None:
        random, hosts = self.random, self.hosts
        async with asyncio.TaskGroup() as group:
            producing = [group.create_task(self._bring(wish)) for wish in wishes(random)]
            others = [hosts.react(), hosts.heal()]
            if random.random() < 0.5:  # who needs the audit but for purged queues?
                others += [hosts.audit(), self._purge_now_and_then()]
            others += [hosts.poll(name, name, batch=random.choice((1, 10))) for name in hosts.types]
            others += [hosts.serve(number, concurrency=4) for number in range(random.randint(0, 1))]
            for other in others:
                group.create_task(other)
            await self._quiet(producing)
            hosts.read, before = 0, dict(self.cloud.jobs.rows)
            self.ledger.written.set()
            await self._quiet(producing)
            changed = {key for key, row in self.cloud.jobs.rows.items() if before.get(key) != row}
            self.ledger.check(not changed, "I5", "a stream that comes again changes nothing", changed)
            hosts.stop.set()
            self.ledger.written.set()
            for task in producing:
                task.cancel()
        self._judge()

    async def _bring(self, wish: Wish) -> None:
        await asyncio.sleep(wish.at_s)
        key = f"default#{wish.payload.job_id}"
        await self._told(lambda service: service.submit(wish.payload))
        if wish.ends_at_s is not None:
            await asyncio.sleep(wish.ends_at_s)
            self.ledger.asked.add(key)
            await self._told(lambda service: service.cancel(*key.split("#"), who="operator"))
        for _ in range(wish.lives):
            while not self.cloud.jobs.rows[key].status.is_terminal:  # noqa: ASYNC110  # virtual time: looking is free
                await asyncio.sleep(20)
            if self.cloud.jobs.rows[key].status is not Status.SUCCESS:
                await self._told(lambda service: service.redrive(*key.split("#"), who="operator"))

    async def _told(self, ask: Callable[[Service], Awaitable[object]]) -> None:
        """In one process after the other, until there is an answer."""
        while True:
            process = Process("producer", self.weather, self.ledger.story)
            main = process.start(_answered(ask, Service(self.cloud.ports(process))))
            if await process.lived(main) and main.result():
                return
            await asyncio.sleep(1)

    async def _purge_now_and_then(self) -> None:
        """Somebody empties a queue; every message has its row, and the audit finds it."""
        while not self.hosts.stop.is_set():
            await asyncio.sleep(self.random.random() * 120)
            if self.weather.chance(0.05):
                name = self.random.choice(sorted(self.hosts.types))
                self.ledger.story.add("somebody purges the queue of {}", name)
                self.cloud.queues.held.setdefault(name, []).clear()

    async def _quiet(self, producing: "Sequence[asyncio.Task[None]]") -> None:
        """Until nothing is left to do, or it has taken too long, or enough has gone wrong."""
        until = self.weather.now() + QUIET_WITHIN_S * 1000
        while not self._is_quiet(producing):
            if self.weather.now() >= until or len(self.ledger.violations) >= ENOUGH:
                return
            await asyncio.sleep(5)

    def _is_quiet(self, producing: "Sequence[asyncio.Task[None]]") -> bool:
        cloud = self.cloud
        if self.weather.on_the_wire or not all(task.done() for task in producing):
            return False
        over = all(row.status.is_terminal for row in cloud.jobs.rows.values())
        messages = any(cloud.queues.held.values()) or any(cloud.queues.dead_letters.values())
        return over and not messages and self.hosts.read == len(cloud.jobs.stream)

    def _judge(self) -> None:
        ledger, rows = self.ledger, self.cloud.jobs.rows
        ledger.check(ledger.judged == len(self.cloud.jobs.stream), "I1", "every write has a witness")
        ledger.check(not any(self.cloud.queues.dead_letters.values()), "I4", "no message is given up")
        kept = [sk for pk, sk in self.cloud.side.items if pk == "quarantine"]
        ledger.check(not kept, "I7", "what can be read is not kept apart", kept)
        for row in rows.values():
            ledger.check(row.status.is_terminal, "I4", "every job comes to its end", row)
            if row.parent is not None:
                parent = rows.get(f"{row.tenant_id}#{read_link(row.parent).parent_id}")
                ledger.check(parent is not None, "I4", "every child has a parent", row)
            if row.type == "flow" and row.status is Status.SUCCESS:
                self._is_whole(row)

    def _is_whole(self, row: Job) -> None:
        """A flow that succeeded has no child that did not, but where it may fail."""
        for step in FlowPayload.model_validate_json(row.payload).steps if row.payload else ():
            group = latest_groups(row).get(step.name)
            if group is None or step.on_failure == "ignore":
                continue
            ends = [child and child.status for child in self.ledger.children(row, group)]
            self.ledger.check(
                set(ends) == {Status.SUCCESS}, "I4", "a flow that succeeds is whole", (row.key, step.name)
            )


async def _answered(ask: Callable[[Service], Awaitable[object]], service: Service) -> bool:
    """Also a refusal is an answer."""
    try:
        await ask(service)
    except (Conflict, NotFound):
        return True
    except WorldFault:
        return False
    return True
