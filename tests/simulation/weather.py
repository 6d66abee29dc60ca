"""Bad weather for processes: every call of a process to the world may fail in every way that calls fail.

- Throttled; made, and its answer lost; made twice; made late; answered late.
- Its process dies: before the call, after it, or with the call still on its way. Or it freezes, and goes on later.
- Storms: for a while, most calls are throttled. And where the world is slow, every call takes its time.

A dead process does nothing more. Its tasks are cancelled, and cancelled again at every further call.
"""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from contextvars import Context, ContextVar, copy_context
from dataclasses import dataclass, field
from enum import StrEnum
from random import Random
from typing import Final, TypeVar

from shared.errors import WorldFault
from shared.ports import Clock

T = TypeVar("T")

SKEW_MS: Final = 1_000
"""Of each clock, either way: two differ by at most 2 s."""

LIKELY_IN_STORM: Final = 0.7
PROMPT_MS: Final = 1_000

PROCESS: Final[ContextVar["Process | None"]] = ContextVar("process", default=None)
"""Whose task this is."""

CALLER: Final[ContextVar["asyncio.Task[object] | None"]] = ContextVar("caller", default=None)
"""The task that made a call which is still on the wire."""

RunId = tuple[str, int]
"""A job's key, and the epoch of the run."""

RUN: Final[ContextVar[RunId | None]] = ContextVar("run", default=None)
"""The run that this task has claimed."""


class Fault(StrEnum):
    THROTTLE = "throttled"
    LOSE_ANSWER = "made, its answer lost"
    REPEAT = "made twice"
    LATE = "made late"
    LATE_ANSWER = "answered late"
    FREEZE = "frozen"
    KILL_BEFORE = "killed before"
    KILL_AFTER = "killed after"
    KILL_BETWEEN = "killed, the call on its way"


HARMLESS: Final = (Fault.THROTTLE, Fault.LOSE_ANSWER, Fault.REPEAT, Fault.LATE, Fault.LATE_ANSWER)
DEADLY: Final = (Fault.KILL_BEFORE, Fault.KILL_AFTER, Fault.KILL_BETWEEN)


@dataclass(slots=True)
class Story:
    """What happened, line by line."""

    now: Clock
    began_at: int = field(init=False)
    lines: list[tuple[int, str, tuple[object, ...]]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.began_at = self.now()

    def add(self, line: str, *parts: object) -> None:
        self.lines.append((self.now(), line, parts))

    def told(self) -> list[str]:
        return [f"{(at - self.began_at) / 1000:10.3f} s  {line.format(*parts)}" for at, line, parts in self.lines]


@dataclass(slots=True)
class Weather:
    """How likely each kind of trouble is per call, in this world: few kinds at a time go further than a little of all.

    `calm_at`: after that, there is none."""

    random: Random
    now: Clock
    calm_at: int
    trouble: float
    death: float
    freezing: float
    slowness_s: float
    harmless: Sequence[Fault]
    deadly: Sequence[Fault]
    storms: list[tuple[int, int]]
    on_the_wire: set["asyncio.Task[object]"] = field(default_factory=set)
    """Calls that will be made, whoever is still there to hear how it went."""
    faults: int = 0
    """So many there were."""

    @classmethod
    def of(cls, random: Random, now: Clock) -> "Weather":
        calm_at = now() + random.choice((30_000, 120_000, 400_000))
        starts = [now() + random.randrange(300_000) for _ in range(random.choice((0, 0, 1, 2)))]
        return cls(
            random,
            now,
            calm_at,
            trouble=random.choice((0.0, 0.02, 0.1, 0.25)),
            death=random.choice((0.0, 0.005, 0.02, 0.05)),
            freezing=random.choice((0.0, 0.005, 0.02, 0.05)),
            slowness_s=random.choice((0.0, 0.0, 0.1, 3.0)),
            harmless=random.sample(HARMLESS, random.randint(1, len(HARMLESS))),
            deadly=random.sample(DEADLY, random.randint(1, len(DEADLY))),
            storms=[(start, start + random.randrange(2_000, 40_000)) for start in starts],
        )

    @property
    def is_calm(self) -> bool:
        return self.now() >= self.calm_at

    def chance(self, likely: float) -> bool:
        """Never once it is calm."""
        return not self.is_calm and self.random.random() < likely

    async def pass_time(self) -> None:
        if self.slowness_s and not self.is_calm:
            await asyncio.sleep(self.slowness_s * self.random.random())

    def landed(self, call: "asyncio.Task[object]") -> None:
        self.on_the_wire.discard(call)
        if not call.cancelled():
            call.exception()  # nobody else may ask for it

    def fault(self) -> Fault | None:
        if self.is_calm:
            return None
        if any(start <= self.now() < end for start, end in self.storms) and self.chance(LIKELY_IN_STORM):
            return Fault.THROTTLE
        dice = self.random.random()
        kinds_of_trouble = (self.death, self.deadly), (self.freezing, (Fault.FREEZE,)), (self.trouble, self.harmless)
        for likely, kinds in kinds_of_trouble:
            if dice < likely:
                return self.random.choice(kinds)
            dice -= likely
        return None

    def delay_s(self) -> float:
        """Mostly short; at most as long as AWS takes a signed request for valid."""
        return self.random.choice((0.05, 3.0, 20.0, 90.0, 300.0, 300.0)) * self.random.random()


@dataclass(slots=True, eq=False)
class Process:
    """A process with a clock of its own. `faulty(ports, process)` gives it the world (`faults.py`)."""

    name: str
    weather: Weather
    story: Story
    skew_ms: int = 0
    alive: bool = True
    died: asyncio.Event = field(default_factory=asyncio.Event)
    tasks: list["asyncio.Task[object]"] = field(default_factory=list)
    on_death: list[Callable[[], None]] = field(default_factory=list)
    silences: dict["asyncio.Task[object] | None", int] = field(default_factory=dict)
    """Since when a task has had no prompt answer, in milliseconds."""
    _frozen_until: int = 0

    def __post_init__(self) -> None:
        self.skew_ms = self.weather.random.randint(-SKEW_MS, SKEW_MS)

    def now(self) -> int:
        return self.weather.now() + self.skew_ms

    def start(self, work: Coroutine[object, object, T]) -> "asyncio.Task[T]":
        """Its main task."""
        context = copy_context()
        context.run(PROCESS.set, self)
        return asyncio.get_running_loop().create_task(work, context=context)

    async def lived(self, main: "asyncio.Task[T]", *, timeout_s: float | None = None) -> bool:
        """Wait for its main task; after `timeout_s` it is killed. → whether it came to its end, alive."""
        dying = asyncio.ensure_future(self.died.wait())
        await asyncio.wait({main, dying}, timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED)
        dying.cancel()
        if self.alive and not main.done():
            self.kill("its time is over")
        return self.alive

    def kill(self, why: str) -> None:
        if self.alive:
            self.story.add("{} dies: {}", self.name, why)
            for tell in self.on_death:
                tell()
            self.alive = False
            self.died.set()
            for task in self.tasks:
                task.cancel()

    def freeze(self) -> None:
        """It hears and says nothing for a while, perhaps for longer than its leases last."""
        self.story.add("{} freezes", self.name)
        self._frozen_until = self.weather.now() + self.weather.random.randrange(10_000, 300_000)

    def must_live(self) -> None:
        """Raises CancelledError in what is left of a dead process."""
        if not self.alive:
            raise asyncio.CancelledError

    async def call(self, name: str, real: Callable[[], Awaitable[T]]) -> T:
        self.must_live()
        task, began_at = asyncio.current_task(), self.weather.now()
        self.silences.setdefault(task, began_at)
        answer = await self._call(name, real)
        if self.weather.now() - began_at <= PROMPT_MS:
            self.silences.pop(task, None)
        return answer

    async def _call(self, name: str, real: Callable[[], Awaitable[T]]) -> T:
        await self.weather.pass_time()
        await self._thaw()
        fault = self.weather.fault()
        if fault is None:
            return await real()
        self.weather.faults += 1
        self.story.add("{}: {} {}", self.name, name, fault)
        match fault:
            case Fault.THROTTLE:
                raise WorldFault("throttled", f"{name} was throttled")
            case Fault.LOSE_ANSWER:
                await real()
                raise WorldFault("timeout", f"the answer of {name} was lost")
            case Fault.REPEAT:
                await real()
                return await real()
            case Fault.LATE:
                context = copy_context()
                answer = await asyncio.shield(self._on_the_wire(real, context))
                RUN.set(context.get(RUN))
                return answer
            case Fault.LATE_ANSWER:
                answer = await real()
                await asyncio.sleep(self.weather.delay_s())
                return answer
            case Fault.FREEZE:
                self.freeze()
                await self._thaw()
                return await real()
        await self._last(name, fault, real)
        raise asyncio.CancelledError

    async def _last(self, name: str, fault: Fault, real: Callable[[], Awaitable[T]]) -> None:
        if fault is Fault.KILL_AFTER:
            await real()
        if fault is Fault.KILL_BETWEEN:
            self._on_the_wire(real, copy_context())
        self.kill(f"{name} {fault}")

    def _on_the_wire(self, real: Callable[[], Awaitable[T]], context: Context) -> "asyncio.Task[T]":
        """It is made in a while, even if nobody is there any more to hear how it went: no task of the process's own."""
        context.run(CALLER.set, asyncio.current_task())
        task = asyncio.Task(_after(self.weather.delay_s(), real), context=context)
        self.weather.on_the_wire.add(task)
        task.add_done_callback(self.weather.landed)
        return task

    async def _thaw(self) -> None:
        while (left_ms := self._frozen_until - self.weather.now()) > 0:  # noqa: ASYNC110  # it may freeze once more
            await asyncio.sleep(left_ms / 1000)


async def _after(delay_s: float, real: Callable[[], Awaitable[T]]) -> T:
    await asyncio.sleep(delay_s)
    return await real()


def known_task(
    loop: asyncio.AbstractEventLoop, work: Coroutine[object, object, T], context: Context | None = None
) -> "asyncio.Task[T]":
    """A task factory: a process knows every task that is made in it, so that it can be killed whole."""
    task = asyncio.Task(work, loop=loop, context=context)
    process = PROCESS.get() if context is None else context.get(PROCESS)
    if process is not None:
        process.tasks.append(task)
    return task
