"""What asks for a pause gets it: a limit is no failure, so it costs no attempt. But not for ever."""

from collections.abc import Awaitable, Callable
from functools import wraps
from typing import Final, TypeVar

from shared.errors import Transient
from shared.outcomes import Snooze
from shared.payloads.base import Payload
from shared.runtime.context import Context

PATIENCE_S: Final = 24 * 3600.0
"""After its first pause a job waits no longer than that for nothing; what is limited then, is a failure."""

SPREAD: Final = 1.5
"""Jobs that were sent away together come back over half as long again."""

P = TypeVar("P", bound=Payload)
R = TypeVar("R")


def patient(handler: Callable[[P, Context], Awaitable[R]]) -> Callable[[P, Context], Awaitable[R | Snooze]]:
    """A handler that comes back when it may, instead of raising Transient with a `retry_after_s`."""

    @wraps(handler)
    async def waiting(payload: P, context: Context) -> R | Snooze:
        try:
            return await handler(payload, context)
        except Transient as busy:
            if busy.retry_after_s is None or await _waited_s(context) + busy.retry_after_s > PATIENCE_S:
                raise
            delay_s = busy.retry_after_s * (1 + context.ports.dice() * (SPREAD - 1))
            return Snooze(delay_s, f"{busy.code} {busy.field or ''}".rstrip())

    return waiting


async def _waited_s(context: Context) -> float:
    """Since the first pause of this life."""
    now = context.ports.now()

    async def begin(_: str) -> int:
        return now

    return (now - await context.once(f"paused#{context.life}", begin)) / 1000
