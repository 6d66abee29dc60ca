"""What a handler may return, and how a run can end.

A handler returns its result (a pydantic model or None for nothing to tell), or one of

    Partial(result, errors)   done, but some rows or parts were left out       → PARTIAL_SUCCESS
    Snooze(delay_s)           not yet: come back later, no attempt spent       → QUEUED
    Proceed(checkpoint)       more to do than this invocation allows           → QUEUED, at once, same attempt
    WaitFor(children, cp)     start these, call me again when they are over    → WAITING, same attempt

and raises `Transient`, `Permanent` or anything else (`shared/errors.py`).
"""

from collections.abc import Sequence
from dataclasses import dataclass

from pydantic import BaseModel

from shared.payloads.base import Payload
from shared.payloads.results import RowError

Result = BaseModel | None


@dataclass(frozen=True, slots=True)
class Done:
    result: Result


@dataclass(frozen=True, slots=True)
class Partial:
    result: Result
    errors: Sequence[RowError]
    left_out: int = 0
    """How many in all, where `errors` are only the first of them."""

    @property
    def count(self) -> int:
        return max(self.left_out, len(self.errors))


@dataclass(frozen=True, slots=True)
class Snooze:
    delay_s: float
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Proceed:
    checkpoint: str
    """Any text that tells the next run where to go on; it must differ from the last one."""


@dataclass(frozen=True, slots=True)
class WaitFor:
    """Start these jobs, and run this one again, from `checkpoint`, when they are over: `context.children` tells how
    they ended.

    `fails_fast`: wake it when the first of them fails. `timeout_s`: a job that waits longer has failed, and its
    children are cancelled. No children: it goes on at once.
    """

    children: Sequence[Payload]
    checkpoint: str
    fails_fast: bool = False
    timeout_s: float = 24 * 3600.0
    until: int | None = None
    """Milliseconds: the same deadline as of the waits before, instead of `timeout_s`."""
    awaits: tuple[int, ...] = ()
    """Numbers of groups of children that were begun already."""


@dataclass(frozen=True, slots=True)
class Failed:
    """The run raised, timed out, or could not begin. `trace` is for the operator, kept beside the row."""

    code: str
    message: str
    permanent: bool
    field: str | None = None
    retry_after_s: float | None = None
    trace: str | None = None


@dataclass(frozen=True, slots=True)
class Stopped:
    """Somebody asked for the job's end, and the handler's cleanup has run."""


Outcome = Done | Partial | Snooze | Proceed | WaitFor | Failed | Stopped
