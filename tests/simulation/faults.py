"""Ports that fail at the n-th call: the process dies before or after it, AWS throttles it, loses its answer, repeats.

A dead process does nothing more: every later call through its ports waits for ever, and so do its cleanups.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Protocol, TypeVar, cast

from shared.errors import WorldFault
from shared.ports import Ports

T = TypeVar("T")


class Fault(StrEnum):
    KILL_BEFORE = "kill before"
    KILL_AFTER = "kill after"
    THROTTLE = "throttle"
    LOSE_ANSWER = "lose the answer"
    REPEAT = "repeat"


@dataclass
class Plan:
    """Fail at call number `at` (from 1; 0: never), once."""

    fault: Fault
    at: int
    calls: list[str] = field(default_factory=list)
    killed: asyncio.Event = field(default_factory=asyncio.Event)

    async def call(self, name: str, real: Callable[[], Awaitable[T]]) -> T:
        if self.killed.is_set():
            await asyncio.Future()
        self.calls.append(name)
        if len(self.calls) != self.at:
            return await real()
        if self.fault is Fault.KILL_BEFORE:
            await self._die()
        if self.fault is Fault.THROTTLE:
            raise WorldFault("throttled", f"{name} was throttled")
        answer = await real()
        if self.fault is Fault.KILL_AFTER:
            await self._die()
        if self.fault is Fault.LOSE_ANSWER:
            raise WorldFault("timeout", f"the answer of {name} was lost")
        return await real() if self.fault is Fault.REPEAT else answer

    async def _die(self) -> None:
        self.killed.set()
        await asyncio.Future()


class Calls(Protocol):
    """What every call goes through."""

    async def call(self, name: str, real: Callable[[], Awaitable[T]]) -> T: ...


def faulty(ports: Ports, plan: Calls) -> Ports:
    """The same ports under `plan`."""
    wrapped = {
        name: _Proxy(getattr(ports, name), name, plan) for name in ("jobs", "side", "queues", "schedules", "objects")
    }
    return replace(ports, **wrapped)  # type: ignore[arg-type]  # a proxy is what it stands for


class _Proxy:
    """Every async method of a port goes through the plan."""

    def __init__(self, port: object, name: str, plan: Calls) -> None:
        self._port = port
        self._name = name
        self._plan = plan

    def __getattr__(self, method: str) -> object:
        real = getattr(self._port, method)
        if not callable(real):
            return real
        name = f"{self._name}.{method}"
        if method == "stream":
            return lambda *args: _streamed(name, real(*args), self._plan)

        async def called(*args: object, **kwargs: object) -> object:
            answer = await self._plan.call(name, lambda: cast("Awaitable[object]", real(*args, **kwargs)))
            return _Proxy(answer, "upload", self._plan) if method == "upload" else answer

        return called


async def _streamed(name: str, chunks: AsyncIterator[bytes], plan: Calls) -> AsyncIterator[bytes]:
    async def first() -> None:
        await asyncio.sleep(0)

    await plan.call(name, first)
    async for chunk in chunks:
        yield chunk
