"""Processes that die, and a world that fails them at the n-th call.

- Every call of a process to the world goes through its `Plan`: the process dies before or after it, AWS throttles it,
  loses its answer, or carries it out twice.
- A dead process does nothing more: its tasks are cancelled, and cancelled again at every further call.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextvars import ContextVar, copy_context
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Final, NoReturn, Protocol, TypeVar, cast

from shared.errors import WorldFault
from shared.ports import Ports

T = TypeVar("T")

PORTS: Final = ("jobs", "side", "queues", "schedules", "objects", "secrets", "mail", "trainers")

NOT_REPEATED: Final = frozenset({"upload.write", "mail.send"})
"""A part is sent again under its own number, which writes it once; the port has no numbers. Mail is not sent again."""

_PROCESS: Final[ContextVar["Process | None"]] = ContextVar("process", default=None)
"""Whose task this is."""


class Fault(StrEnum):
    KILL_BEFORE = "killed before"
    KILL_AFTER = "killed after"
    THROTTLE = "throttled at"
    LOSE_ANSWER = "losing the answer of"
    REPEAT = "repeating"


KILLS: Final = frozenset({Fault.KILL_BEFORE, Fault.KILL_AFTER})


class Calls(Protocol):
    """What every call goes through."""

    async def call(self, name: str, real: Callable[[], Awaitable[T]]) -> T: ...


@dataclass(slots=True)
class Plan:
    """Fail once, at call number `at` (from 1; 0: never), counted over all processes of a world."""

    fault: Fault = Fault.REPEAT
    at: int = 0
    calls: list[str] = field(default_factory=list)

    def fault_of(self, name: str) -> Fault | None:
        """What is to happen to the call that is made now."""
        self.calls.append(name)
        return self.fault if len(self.calls) == self.at else None


class Process:
    """One process under a plan: what it does, until its end or its death."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._killed = asyncio.Event()

    async def lives_through(self, work: Coroutine[object, object, None]) -> bool:
        """Do `work`; → False if it died, or gave up because of the world. Raises what else `work` raised."""
        context = copy_context()
        context.run(_PROCESS.set, self)
        doing = asyncio.get_running_loop().create_task(work, context=context)
        dying = asyncio.ensure_future(self._killed.wait())
        await asyncio.wait({doing, dying}, return_when=asyncio.FIRST_COMPLETED)
        dying.cancel()
        if self._killed.is_set():
            doing.cancel()
            await asyncio.gather(doing, return_exceptions=True)
            return False
        error = doing.exception()
        if error is not None and not isinstance(error, WorldFault):
            raise error
        return error is None

    async def call(self, name: str, real: Callable[[], Awaitable[T]]) -> T:
        if self._killed.is_set():
            raise asyncio.CancelledError
        fault = self._plan.fault_of(name)
        if fault is Fault.KILL_BEFORE:
            await self.die()
        if fault is Fault.THROTTLE:
            raise WorldFault("throttled", f"{name} was throttled")
        answer = await real()
        if fault is Fault.KILL_AFTER:
            await self.die()
        if fault is Fault.LOSE_ANSWER:
            raise WorldFault("timeout", f"the answer of {name} was lost")
        return await real() if fault is Fault.REPEAT and name not in NOT_REPEATED else answer

    async def die(self) -> NoReturn:
        self._killed.set()
        while True:
            await asyncio.get_running_loop().create_future()  # until it is cancelled


async def die() -> NoReturn:
    """From inside a handler: its worker dies here and now, with all that it runs, as if the machine had lost power."""
    process = _PROCESS.get()
    if process is None:
        raise RuntimeError("die() is for handlers that the test kit runs")
    await process.die()


def faulty(ports: Ports, calls: Calls) -> Ports:
    """The same ports, each call of which goes through `calls`."""
    wrapped = {name: _Proxy(getattr(ports, name), name, calls) for name in PORTS}
    return replace(ports, **wrapped)  # type: ignore[arg-type]  # a proxy is what it stands for


class _Proxy:
    """Every async method of a port goes through `calls`."""

    def __init__(self, port: object, name: str, calls: Calls) -> None:
        self._port = port
        self._name = name
        self._calls = calls

    def __getattr__(self, method: str) -> object:
        real = getattr(self._port, method)
        if not callable(real):
            return real
        name = f"{self._name}.{method}"
        if method == "stream":
            return lambda *args: _streamed(name, real(*args), self._calls)

        async def called(*args: object, **kwargs: object) -> object:
            answer = await self._calls.call(name, lambda: cast("Awaitable[object]", real(*args, **kwargs)))
            return _Proxy(answer, "upload", self._calls) if method == "upload" else answer

        return called


async def _streamed(name: str, chunks: AsyncIterator[bytes], calls: Calls) -> AsyncIterator[bytes]:
    async def first() -> None:
        await asyncio.sleep(0)

    await calls.call(name, first)
    async for chunk in chunks:
        yield chunk
