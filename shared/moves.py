"""Every write to a job's row, as a value: what it believes (facts), what it changes, the token it leaves behind.

A `Move` is carried out by a JobStore (`shared/ports.py`) under the condition that `shared/status.py` gives its event;
`applied` is the same for a row in memory. One function per event, named after it.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final

from shared.job import HISTORY_MAX, Job, history_entry, list_shard
from shared.status import TARGET, Event, Facts, applicable

CLOCK_SKEW_MS: Final = 2_000
"""Clocks of two machines may differ by this much."""

_PAYLOADS: Final = ("type", "attempts_max", "payload", "payload_place", "payload_hash")
REDONE: Final = (*_PAYLOADS, "parent", "throttles", "priority", "metadata", "user_id", "worker_id")
"""What a redrive may change of a child."""

RETENTION_MS: Final = 90 * 24 * 3600 * 1000
"""A finished job's row is kept this long."""


@dataclass(frozen=True, slots=True)
class Plus:
    """Add to the number that stands there."""

    amount: int


@dataclass(frozen=True, slots=True)
class Appended:
    """Append to the list of texts that stands there."""

    entry: str


@dataclass(frozen=True, slots=True)
class Move:
    """One conditional write. `creates`: the whole row where none was. `changes`: attribute → new value, None removes.

    `token` is None for the moves that leave it alone: beat keeps the lease's, request_cancel is idempotent by itself.
    """

    event: Event
    tenant_id: str
    job_id: str
    facts: Facts
    changes: Mapping[str, object]
    token: str | None = None
    creates: Job | None = None
    seen: Job | None = None
    """The row as its writer knows it whole, if it does: `foreseen` then says what nobody needs to read back."""

    def __post_init__(self) -> None:
        if not applicable(self.event, self.facts):
            raise ValueError(f"{self.event}: no rule of the table is for a writer that knows only {set(self.facts)}")


@dataclass(frozen=True, slots=True)
class Lease:
    """What a worker brings to a claim: a fresh `token`, until when it may run, and whether it runs nothing else."""

    token: str
    until: int
    alone: bool
    who: str


def forgotten(job: Job) -> tuple[str, ...]:
    """The history that the next settlement pushes out of the row: write it beside the row first."""
    return job.history[: max(0, len(job.history) + 1 - HISTORY_MAX)]


def applied(move: Move, job: Job | None) -> Job:
    """The row after `move`, which must be permitted."""
    if job is None:
        if move.creates is None:
            raise ValueError(f"{move.event} cannot create a row")
        return move.creates
    after = {name: _changed(getattr(job, name), change) for name, change in move.changes.items()}
    return replace(job, **after)  # type: ignore[arg-type]  # names and kinds are the builders' below; contract tests hold them


def foreseen(move: Move) -> Job | None:
    """The row after `move`, if its writer knows enough to say so."""
    return move.creates or (move.seen and applied(move, move.seen))


def happened(move: Move, image: Job | None) -> bool:
    """Does a refused write's image show that this very write was made, and only its answer was lost?"""
    return image is not None and move.token is not None and image.token == move.token


# --- doors ------------------------------------------------------------------------------------------------------------


def submit(job: Job, *, is_listed: bool = True) -> Move:
    """Not listed, a job costs a write less, and only who knows its id finds it."""
    return _create(Event.SUBMIT, job, is_listed=is_listed)


def start(job: Job, lease: Lease) -> Move:
    """Run now, with no message: the reactor sends one that arrives when the lease is over."""
    return _create(Event.START, replace(leased(job, lease), due_at=lease.until))


def claim_bare(job: Job, lease: Lease) -> Move:
    """A producer's own message: the claim itself creates the row."""
    return _create(Event.CLAIM_BARE, leased(job, lease))


def submit_cancelled(job: Job) -> Move:
    """A tombstone: a job that must never be begun, where none was. Not listed."""
    ended = replace(job, completed_at=job.created_at, expires_at=(job.created_at + RETENTION_MS) // 1000)
    return _create(Event.SUBMIT_CANCELLED, ended, is_listed=False)


def leased(job: Job, lease: Lease) -> Job:
    """A new job as its first claim leaves it."""
    alone, began_at = lease.alone or None, job.created_at
    return replace(job, epoch=1, token=lease.token, lease_until=lease.until, alone=alone, started_at=began_at)


# --- a worker's moves -------------------------------------------------------------------------------------------------


def claim(tenant_id: str, job_id: str, *, job_type: str, seq: int, lease: Lease, now: int) -> Move:
    """Blind: the first thing a worker does with a wake-up, without having read the row."""
    return Move(
        Event.CLAIM,
        tenant_id,
        job_id,
        facts={"type": job_type, "seq": seq, "now_with_skew": now + CLOCK_SKEW_MS},
        changes=_lease_changes(Event.CLAIM, lease, now),
        token=lease.token,
    )


def reclaim(seen: Job, lease: Lease, now: int) -> Move:
    """Take over from a dead run. It cost an attempt only if it ran alone; the next one always does."""
    left = seen.attempts_left - 1 if seen.alone else seen.attempts_left
    changes = _lease_changes(Event.RECLAIM, replace(lease, alone=True), now) | {"attempts_left": left}
    return _seen(Event.RECLAIM, seen, now, changes, lease.token)


def bury(seen: Job, error: str, now: int, *, token: str, who: str) -> Move:
    """The last attempt died alone: the job is over, with `error` (JSON) as its last words."""
    changes = _end(Event.BURY, now, who) | {"attempts_left": 0, "error": error}
    return _seen(Event.BURY, seen, now, changes, token)


def cancelled_after_death(seen: Job, now: int, *, token: str, who: str) -> Move:
    """Its worker is dead and somebody asked for its end."""
    return _seen(Event.CANCELLED, seen, now, _end(Event.CANCELLED, now, who), token)


def beat(job: Job, now: int, *, progress: str | None, lease_until: int | None) -> Move:
    """Still here. Carries progress, may extend the lease; its answer tells of a cancel. Repeating it is harmless."""
    changes: dict[str, object] = {"updated_at": now}
    if progress is not None:
        changes["progress"] = progress
    if lease_until is not None:
        changes["lease_until"] = lease_until
    return Move(Event.BEAT, job.tenant_id, job.job_id, _holding(job), changes)


def begin_groups(job: Job, groups: str, now: int) -> Move:
    """A beat that writes down which groups of children (`shared/children.py`) are begun from now on."""
    return Move(Event.BEAT, job.tenant_id, job.job_id, _holding(job), {"updated_at": now, "groups": groups})


def settle(job: Job, event: Event, changes: Mapping[str, object], *, now: int, token: str, who: str, note: str) -> Move:
    """The run's end: `event` and `changes` are the verdict's (`shared/verdict.py`)."""
    ending = _end(event, now, who, note) if TARGET[event].is_terminal else _moved(event, now, who, note)
    gone: dict[str, object] = {"lease_until": None, "alone": None, "deadline_at": None}
    if forgotten(job):  # else append: who asked for a cancel meanwhile stays in it
        gone["history"] = (*job.history, history_entry(now, event, who, note))[-HISTORY_MAX:]
    return Move(
        event,
        job.tenant_id,
        job.job_id,
        _holding(job),
        ending | gone | dict(changes) | {"token": token},
        token,
        seen=job,
    )


# --- a waiting job's moves --------------------------------------------------------------------------------------------


def wake(seen: Job, now: int, *, token: str, who: str) -> Move:
    """What it waits for has happened. `seen`: the row that waits."""
    changes = _moved(Event.WAKE, now, who) | {"seq": Plus(1), "due_at": now, "token": token}
    facts: Facts = {"wait_number": seen.wait_number or 0}
    return Move(Event.WAKE, seen.tenant_id, seen.job_id, facts, changes, token)


def expire(seen: Job, error: str, now: int, *, token: str, who: str) -> Move:
    """Its deadline is over: the job has failed, with `error` (JSON)."""
    changes = _end(Event.EXPIRE, now, who) | {"error": error, "token": token}
    return Move(Event.EXPIRE, seen.tenant_id, seen.job_id, {"now": now}, changes, token)


# --- an operator's moves ----------------------------------------------------------------------------------------------


def cancel(tenant_id: str, job_id: str, now: int, *, token: str, who: str) -> Move:
    """End what waits, is queued, or whose worker is dead."""
    changes = _end(Event.CANCEL, now, who) | {"token": token}
    return Move(Event.CANCEL, tenant_id, job_id, {"now": now}, changes, token)


def request_cancel(tenant_id: str, job_id: str, now: int, *, who: str) -> Move:
    """Ask the running worker to stop: its next beat tells it."""
    changes = _moved(Event.REQUEST_CANCEL, now, who) | {"cancel_requested": True}
    return Move(Event.REQUEST_CANCEL, tenant_id, job_id, {}, changes)


def redrive(seen: Job, now: int, *, due_at: int, token: str, who: str, again: Job | None = None) -> Move:
    """Run a job again that is over: attempts start anew, from its last checkpoint; its last error stays in sight.

    `again`: what it is to be now, for a child that its parent runs again.
    """
    fresh = seen if again is None else again
    changes = _moved(Event.REDRIVE, now, who) | {
        "seq": Plus(1),
        "due_at": due_at,
        "attempts_left": fresh.attempts_max,
        "redrives": Plus(1),
        "token": token,
    }
    gone = ("completed_at", "cancel_requested", "result", "inline_result", "progress", "expires_at", "deadline_at")
    kept = {name: getattr(fresh, name) for name in REDONE} if again else {}
    return Move(Event.REDRIVE, seen.tenant_id, seen.job_id, {}, changes | dict.fromkeys(gone) | kept, token)


# --- how they are made ------------------------------------------------------------------------------------------------


def _create(event: Event, job: Job, *, is_listed: bool = True) -> Move:
    row = replace(
        job,
        status=TARGET[event],
        history=(history_entry(job.created_at, event, job.user_id or "producer"),),
        list_shard=list_shard(job.tenant_id, job.job_id) if is_listed else None,
    )
    return Move(event, job.tenant_id, job.job_id, {}, {}, job.token, creates=row)


def _lease_changes(event: Event, lease: Lease, now: int) -> dict[str, object]:
    return _moved(event, now, lease.who) | {
        "epoch": Plus(1),
        "token": lease.token,
        "lease_until": lease.until,
        "alone": lease.alone or None,
        "started_at": now,
    }


def _seen(event: Event, seen: Job, now: int, changes: dict[str, object], token: str) -> Move:
    facts: Facts = {"epoch": seen.epoch, "now": now}
    return Move(event, seen.tenant_id, seen.job_id, facts, changes | {"token": token}, token)


def _holding(job: Job) -> Facts:
    return {"epoch": job.epoch, "lease": job.token}


def _moved(event: Event, now: int, who: str, note: str = "") -> dict[str, object]:
    return {
        "status": TARGET[event],
        "updated_at": now,
        "history": Appended(history_entry(now, event, who, note)),
    }


def _end(event: Event, now: int, who: str, note: str = "") -> dict[str, object]:
    return _moved(event, now, who, note) | {
        "completed_at": now,
        "lease_until": None,
        "alone": None,
        "deadline_at": None,
        "expires_at": (now + RETENTION_MS) // 1000,
    }


def _changed(value: object, change: object) -> object:
    match change:
        case Plus(amount):
            return (value if isinstance(value, int) else 0) + amount
        case Appended(entry):
            return (*(value if isinstance(value, tuple) else ()), entry)
    return change
