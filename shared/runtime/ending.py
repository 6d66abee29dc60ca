"""What the end of a handler means: its value, its error or its stop, as an outcome that the verdict can judge."""

import asyncio
import traceback
from typing import Final

from pydantic import BaseModel

from shared.circuit import CircuitOpen
from shared.errors import CODE_BYTES_MAX, FIELD_BYTES_MAX, STORY_BYTES_MAX, LongshoreError, Transient, WorldFault
from shared.outcomes import Done, Failed, Outcome, Partial, Proceed, Snooze, Stopped, WaitFor
from shared.retry import Policy, cause_of, is_permanent
from shared.runtime.logs import redacted
from shared.runtime.run import Run, Stop
from shared.verdict import shortened

WORLD_FAULT_DELAY_S: Final = 30.0


def outcome_of(handler: "asyncio.Future[object]", run: Run, policy: Policy) -> Outcome:
    """A stop that came too late to stop anything is none; what a handler raises while it is stopped is its stop."""
    cut_short = not handler.done() or handler.cancelled()
    error = None if cut_short else handler.exception()
    if run.stop is Stop.TIMEOUT:
        seconds = (run.ends_at - run.began_at) / 1000
        return Failed("timeout", f"still running after {seconds:g} s", permanent=False)
    if not cut_short and error is None:
        return _returned(handler.result())
    if run.stop is Stop.CANCELLED:
        return Stopped()
    if run.stop is Stop.SHUTDOWN:
        return Snooze(0.0)
    if error is None:
        return Failed("interrupted", "the handler cancelled itself", permanent=False)
    cause = cause_of(error)
    return snoozed(cause) if isinstance(cause, WorldFault) else failed(error, policy)


def snoozed(fault: WorldFault) -> Snooze:
    """Nobody's fault: no attempt is spent."""
    if isinstance(fault, CircuitOpen):
        return Snooze(fault.retry_after_s, f"{fault.code} {fault.field}")
    return Snooze(WORLD_FAULT_DELAY_S, fault.code)


def failed(error: BaseException, policy: Policy) -> Failed:
    """Small enough to be kept, and without passwords: they go before the cut, which may fall upon one."""
    cause = cause_of(error)
    known = cause if isinstance(cause, LongshoreError) else None
    name = type(cause).__name__
    trace = redacted("".join(traceback.format_exception(error)))
    return Failed(
        code=shortened(known.code if known else name, CODE_BYTES_MAX),
        message=shortened(redacted(known.message if known else str(cause) or name), STORY_BYTES_MAX),
        permanent=is_permanent(cause, policy),
        field=shortened(known.field, FIELD_BYTES_MAX) if known and known.field else None,
        retry_after_s=cause.retry_after_s if isinstance(cause, Transient) else None,
        trace=None if known else shortened(trace[-STORY_BYTES_MAX:], STORY_BYTES_MAX),
    )


def _returned(value: object) -> Outcome:
    match value:
        case None | BaseModel():
            return Done(value)
        case Partial() | Snooze() | Proceed() | WaitFor():
            return value
    kind = type(value).__name__
    return Failed("invalid_result", f"the handler returned {kind}; a pydantic model was expected", permanent=True)
