"""Operations that `generic` jobs can name, and the three that come with Longshore for trying things out.

@operation("resize")
async def resize(parameters: Parameters, context: Reporter) -> Answer: ...
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final, Protocol

from pydantic import JsonValue

from shared.errors import InvalidInput, Permanent, Transient

Parameters = dict[str, JsonValue]
Answer = dict[str, JsonValue]


class Reporter(Protocol):
    """What an operation sees of the run: the handler's `Context` has it."""

    @property
    def attempt(self) -> int: ...

    def progress(self, current: int, total: int | None = None, *, message: str = "") -> None: ...


Operation = Callable[[Parameters, Reporter], Awaitable[Answer]]

OPERATIONS: Final[dict[str, Operation]] = {}


def operation(name: str) -> Callable[[Operation], Operation]:
    """Register a function under `name`. Raises InvalidInput if the name is taken."""

    def register(function: Operation) -> Operation:
        if name in OPERATIONS:
            raise InvalidInput("operation_taken", f"another operation is called {name!r}", field="operation")
        OPERATIONS[name] = function
        return function

    return register


@operation("echo")
async def echo(parameters: Parameters, _context: Reporter) -> Answer:
    """Give the parameters back."""
    return parameters


@operation("count")
async def count(parameters: Parameters, context: Reporter) -> Answer:
    """Count to `to`, a step every `every_s` seconds: something to watch."""
    to, every_s = _number(parameters, "to", 10), _number(parameters, "every_s", 1)
    for step in range(1, int(to) + 1):
        await asyncio.sleep(every_s)
        context.progress(step, int(to), message=f"counted to {step}")
    return {"counted": int(to)}


@operation("fail")
async def fail(parameters: Parameters, context: Reporter) -> Answer:
    """Fail for good, or (`attempts`: n) until the n-th attempt has failed."""
    attempts = _number(parameters, "attempts", 0)
    if not attempts:
        raise Permanent("asked_to_fail", "this job was asked to fail", field="parameters.attempts")
    if context.attempt <= attempts:
        raise Transient("asked_to_fail", f"attempt {context.attempt} was asked to fail")
    return {"attempt": context.attempt}


def _number(parameters: Parameters, name: str, default: float) -> float:
    value = parameters.get(name, default)
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1_000_000:
        raise Permanent("invalid_parameter", "a number from 0 to 1,000,000", field=f"parameters.{name}")
    return value
