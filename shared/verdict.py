"""How a run's end moves the job: one pure function, `settle`.

outcome                         attempts    event
Done                                        succeed
Partial                                     succeed_partly
Snooze, Proceed                             snooze, proceed     (a Proceed that stands still is a failure)
WaitFor                                     wait                (for no children: proceed)
Failed, permanent                           fail
Failed, transient               remain      retry, after a backoff with full jitter
Failed, transient               are spent   fail
Stopped                                     cancelled
any that would be hop 10,001                fail: too_many_hops
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final

from shared.children import awaits_text
from shared.errors import MESSAGE_BYTES_MAX
from shared.job import Job, compact_json, rfc3339
from shared.moves import Plus
from shared.outcomes import Done, Failed, Outcome, Partial, Proceed, Snooze, Stopped, WaitFor
from shared.retry import Policy, backoff_s, bounded_s
from shared.status import Event

HOPS_MAX: Final = 10_000
"""A job that moved into QUEUED this often is going round in circles."""

CHECKPOINT_BYTES_MAX: Final = 1_024

NOTE_BYTES_MAX: Final = 64


@dataclass(frozen=True, slots=True)
class Verdict:
    """The event, what it changes in the row, and a word for the history. `failure` is set by fail and retry."""

    event: Event
    changes: Mapping[str, object]
    note: str = ""
    failure: Failed | None = None


def settle(outcome: Outcome, job: Job, policy: Policy, *, dice: float, now: int) -> Verdict:
    """`dice` in [0, 1); `now` in milliseconds."""
    match outcome:
        case Done():
            return Verdict(Event.SUCCEED, {"error": None})
        case Partial(count=count):
            return Verdict(Event.SUCCEED_PARTLY, {"error": _partly(count, job, now)}, f"{count:,} left out")
        case Stopped():
            return Verdict(Event.CANCELLED, {})
        case Failed():
            return _failed(outcome, job, policy, dice, now)
        case Snooze(delay_s, reason):
            queued = _again(Event.SNOOZE, job, policy, now + round(bounded_s(delay_s) * 1000), now)
            return replace(queued, note=queued.note or shortened(reason, NOTE_BYTES_MAX))
        case Proceed(checkpoint):
            return _proceeded(checkpoint, job, policy, dice, now)
        case WaitFor():
            return _waiting(outcome, job, policy, dice, now)


def error_json(failure: Failed, job: Job, now: int) -> str:
    """What the row keeps of a failure: at most about 400 bytes."""
    attempt = min(job.attempts + 1, job.attempts_max)
    body = {
        "code": failure.code,
        "message": shortened(failure.message, MESSAGE_BYTES_MAX),
        "field": failure.field,
        "attempt": attempt,
        "at": rfc3339(now),
    }
    return compact_json({name: value for name, value in body.items() if value is not None})


def shortened(text: str, bytes_max: int) -> str:
    """Its beginning, and only what UTF-8 can write: half a surrogate pair becomes a question mark."""
    data = text.encode("utf-8", "replace")
    return data.decode() if len(data) <= bytes_max else data[: bytes_max - 3].decode("utf-8", "ignore") + "…"


def _failed(failure: Failed, job: Job, policy: Policy, dice: float, now: int) -> Verdict:
    changes = {"attempts_left": job.attempts_left - 1, "error": error_json(failure, job, now)}
    if failure.permanent or job.attempts_left <= 1:
        return Verdict(Event.FAIL, changes, failure.code, failure)
    delay_s = backoff_s(job.attempts + 1, policy, dice, retry_after_s=failure.retry_after_s)
    queued = _again(Event.RETRY, job, policy, now + round(delay_s * 1000), now)
    if queued.event is Event.FAIL:
        return queued
    return Verdict(Event.RETRY, changes | dict(queued.changes), failure.code, failure)


def _proceeded(checkpoint: str, job: Job, policy: Policy, dice: float, now: int) -> Verdict:
    if not _fits(checkpoint):
        return _failed(TOO_LARGE, job, policy, dice, now)
    if checkpoint == job.checkpoint:
        stuck = Failed("no_progress", "Proceed with the checkpoint of the run before", permanent=False)
        return _failed(stuck, job, policy, dice, now)
    queued = _again(Event.PROCEED, job, policy, now, now)
    return (
        queued
        if queued.event is Event.FAIL
        else Verdict(Event.PROCEED, dict(queued.changes) | {"checkpoint": checkpoint})
    )


def _waiting(outcome: WaitFor, job: Job, policy: Policy, dice: float, now: int) -> Verdict:
    if not _fits(outcome.checkpoint):
        return _failed(TOO_LARGE, job, policy, dice, now)
    changes: dict[str, object] = {"checkpoint": outcome.checkpoint, "awaits": awaits_text(outcome.awaits)}
    if not outcome.awaits:
        queued = _again(Event.PROCEED, job, policy, now, now)
        return queued if queued.event is Event.FAIL else replace(queued, changes=dict(queued.changes) | changes)
    deadline_at = now + round(bounded_s(outcome.timeout_s) * 1000) if outcome.until is None else outcome.until
    return Verdict(Event.WAIT, changes | {"wait_number": (job.wait_number or 0) + 1, "deadline_at": deadline_at})


TOO_LARGE: Final = Failed("checkpoint_too_large", f"at most {CHECKPOINT_BYTES_MAX} bytes of UTF-8", permanent=True)


def _fits(checkpoint: str) -> bool:
    return checkpoint == shortened(checkpoint, CHECKPOINT_BYTES_MAX)


def _again(event: Event, job: Job, policy: Policy, due_at: int, now: int) -> Verdict:
    """Into QUEUED once more, unless that was once too often."""
    if job.seq >= HOPS_MAX:
        tired = Failed("too_many_hops", f"queued {HOPS_MAX} times without an end", permanent=True)
        return _failed(tired, job, policy, 0.0, now)
    return Verdict(event, {"seq": Plus(1), "due_at": due_at})


def _partly(count: int, job: Job, now: int) -> str:
    return error_json(Failed("partial", f"{count} rows or parts were left out", permanent=True), job, now)
