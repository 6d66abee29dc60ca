"""Why is this job not running, or why has it failed? The reasons in plain words, the nearest first. Pure.

Each tells what is, until when, and what a person can do about it, if anything.
"""

from collections.abc import Iterable, Sequence
from typing import Final

from pydantic import BaseModel

from shared.children import Group
from shared.flow import Counts
from shared.job import HistoryEntry, Job, read_history_entry, rfc3339
from shared.payloads.results import ErrorBody
from shared.status import Event, Status

PICKED_UP_WITHIN_MS: Final = 60_000
"""A wake-up that is due longer than this waits for a worker, or was lost."""

LOST_AFTER_MS: Final = 900_000


class Reason(BaseModel):
    """`until`: RFC 3339, when it will be over by itself. `action`: what a person can do."""

    code: str
    text: str
    until: str | None = None
    action: str | None = None


def why(job: Job, now: int, left: Iterable[tuple[Group, Counts]] = (), waits: Sequence[Reason] = ()) -> list[Reason]:
    """Never empty. `left`: of a job that waits, the children that are not over. `waits`: what one that is due waits for
    beside a worker."""
    last = read_history_entry(job.history[-1]) if job.history else None
    match job.status:
        case Status.QUEUED:
            return [*(waits or _queued(job, last, now)), *_after_failure(job)]
        case Status.RUNNING:
            return _running(job, now)
        case Status.WAITING:
            return _waiting(left)
        case Status.CANCELLED:
            by = last.who if last and last.event is Event.CANCEL else _asked_by(job)
            return [Reason(code="cancelled", text=f"It was cancelled by {by}.", action="redrive it to run it again")]
        case Status.SUCCESS:
            return [Reason(code="done", text="It is done.")]
    return _failed(job)


def _waiting(left: Iterable[tuple[Group, Counts]]) -> list[Reason]:
    texts = [_left(group, counts) for group, counts in left] or ["what it has started is over, it is about to go on"]
    return [Reason(code="waiting", text=f"It waits for its children: {text}.") for text in texts]


def _left(group: Group, counts: Counts) -> str:
    if counts.total == 1:
        return f"the job of {group.step!r} is not over"
    failed = f", {counts.failed:,} failed" if counts.failed else ""
    return f"{counts.total - counts.over:,} of {counts.total:,} jobs of {group.step!r} are not over{failed}"


def _queued(job: Job, last: HistoryEntry | None, now: int) -> list[Reason]:
    if job.due_at > now:
        text, code = _put_off(job, last)
        return [Reason(code=code, text=text, until=rfc3339(job.due_at))]
    waited_s = (now - job.due_at) // 1000
    if now - job.due_at <= PICKED_UP_WITHIN_MS:
        return [Reason(code="due", text=f"It is due since {waited_s} s: a worker is about to take it.")]
    busy = Reason(
        code="no_free_worker",
        text=f"It is due since {waited_s} s and no worker of {job.type!r} has taken it: all are busy, or none runs.",
        action=f"look at the queue of {job.type!r}; raise its MaximumConcurrency, or start more workers",
    )
    lost = Reason(
        code="wakeup_lost",
        text="Its wake-up may be lost; the next audit sends it again.",
        action="run `longshore audit --repair` to do it now",
    )
    return [busy, lost] if now - job.due_at > LOST_AFTER_MS else [busy]


def _put_off(job: Job, last: HistoryEntry | None) -> tuple[str, str]:
    match last.event if last else None:
        case Event.RETRY:
            return f"It failed and will be tried again: attempt {job.attempts + 1} of {job.attempts_max}.", "retry"
        case Event.SNOOZE:
            return f"It was put off: {last.note if last and last.note else 'its handler asked for it'}.", "snoozed"
        case Event.REDRIVE:
            return f"It was redriven by {last.who if last else 'somebody'}.", "redriven"
    return "It was asked for later.", "delayed"


def _after_failure(job: Job) -> list[Reason]:
    return [] if job.error is None else [Reason(code="last_error", text=_told(job.error))]


def _running(job: Job, now: int) -> list[Reason]:
    reasons = []
    if job.cancel_requested:
        text = f"{_asked_by(job)} asked it to stop; its worker learns of it within 15 s."
        reasons.append(Reason(code="stopping", text=text))
    if job.lease_until is not None and job.lease_until < now:
        dead_s = (now - job.lease_until) // 1000
        text = f"Its worker has died: its lease is over since {dead_s} s. Its message comes back, and another goes on."
        return [*reasons, Reason(code="worker_died", text=text, action="cancel it, if it should not go on")]
    text = f"It is running: attempt {job.attempts + 1} of {job.attempts_max}."
    if job.lease_until is not None:
        text += f" A worker that is not heard of for {-(-(job.lease_until - now) // 1000)} s more counts as dead."
    return [*reasons, Reason(code="running", text=text)]


def _failed(job: Job) -> list[Reason]:
    error = [] if job.error is None else [Reason(code="error", text=_told(job.error))]
    if job.status is Status.PARTIAL_SUCCESS:
        return [*error, Reason(code="partial", text="What could be done is done.", action="see the result's errors")]
    spent = f"All {job.attempts_max} attempts are spent." if not job.attempts_left else "Trying again could not help."
    action = "mend the cause, then redrive it"
    return [*error, Reason(code="gave_up", text=spent, action=action)]


def _told(error: str) -> str:
    body = ErrorBody.model_validate_json(error)
    where = f" ({body.field})" if body.field else ""
    return f"{body.code}{where}: {body.message}"


def _asked_by(job: Job) -> str:
    asked = (entry for entry in map(read_history_entry, job.history) if entry.event is Event.REQUEST_CANCEL)
    return next((entry.who for entry in asked), "somebody")
