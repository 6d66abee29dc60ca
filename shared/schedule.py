"""A schedule: what a producer asks for, what is kept of it, and what a tick decides. Pure.

1. The document is the truth, and says in itself when it must be looked at again (`wakes_at`): a missed tick is nothing,
   the next does its work.
2. A run is decided once, then done: `decided` writes down the due times that are to run, before any of them does;
   `done` forgets them once their jobs exist. A job's id is made of the due time, so that a run that was begun twice is
   one job.
3. Late is what starts more than `late_s` after its time. Of late runs `missed` makes none, one for all, or all. Of what
   is due at once, no more than RUNS_MAX run.
4. Jitter is made of the schedule and the due time: whoever works it out, finds the same.
"""

from collections.abc import Callable, Mapping, Sequence
from itertools import takewhile
from typing import Annotated, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, JsonValue, StringConstraints

from shared.errors import Conflict
from shared.ids import derived_job_id, digest
from shared.payloads.base import Name
from shared.schedule_times import When, latest, next_time

RUNS_MAX: Final = 100
"""Of one schedule at once, after however long an outage."""

PAYLOAD_BYTES_MAX: Final = 4_096
"""Of a payload that is written with every move of its schedule."""

SHARDS: Final = 8
"""The index of what is due is spread over this many partitions."""

REASON_CHARACTERS_MAX: Final = 200


class Policies(When):
    """When, and what becomes of runs that are late or meet the one before them."""

    name: Annotated[str, StringConstraints(min_length=1, max_length=128, pattern=r"^[^\x00-\x1f\x7f]+$")]
    missed: Literal["skip", "once", "all"] = "once"
    missed_max: Annotated[int, Field(ge=1, le=RUNS_MAX)] = 10
    late_s: Annotated[int, Field(ge=60, le=86_400)] = 300
    overlap: Literal["allow", "skip", "cancel_previous"] = "allow"
    jitter_s: Annotated[int, Field(ge=0, le=3_600)] = 0


class ScheduleTerms(Policies):
    """What a producer asks for. The same `schedule_id` again is the same schedule, and no other."""

    schedule_id: Name | None = None
    payload: dict[str, JsonValue]


class LastRun(BaseModel):
    due_at: int
    job_id: str


class Skipped(BaseModel):
    """The newest due time that was not run, and why."""

    due_at: int
    reason: str


class Schedule(BaseModel):
    """A schedule's document. `rev`: its entry in the index is this one and no other. `birth`: what tells it from one of
    the same id before it."""

    model_config = ConfigDict(frozen=True)

    tenant_id: str
    schedule_id: str
    terms: ScheduleTerms
    state: Literal["new", "active", "paused", "done"] = "new"
    next_at: int | None = None
    pending: tuple[int, ...] = ()
    """Due times that are to run."""
    wakes_at: int | None = None
    last: LastRun | None = None
    skipped: Skipped | None = None
    birth: str
    rev: str
    created_at: int
    created_by: str
    updated_at: int

    @property
    def entry(self) -> str | None:
        """The sort key of its entry in the index of what is due; None: nothing is to come."""
        if self.wakes_at is None:
            return None
        return f"{self.wakes_at:013d}#{self.tenant_id}#{self.schedule_id}#{self.rev}"


def owner_of(entry: str) -> tuple[str, str]:
    """An entry → tenant, schedule id."""
    _, tenant_id, schedule_id, _ = entry.split("#")
    return tenant_id, schedule_id


def shard_of(tenant_id: str, schedule_id: str) -> int:
    return int(digest(f"{tenant_id}#{schedule_id}"), 16) % SHARDS


def job_id_of(found: Schedule, due_at: int) -> str:
    return derived_job_id("schedule", found.tenant_id, found.schedule_id, found.birth, str(due_at))


def starts_at(found: Schedule, due_at: int) -> int:
    """The due time with its jitter."""
    spread_ms = found.terms.jitter_s * 1000 + 1
    return due_at + int(digest(f"{found.birth}#{due_at}"), 16) % spread_ms


# --- what people decide -----------------------------------------------------------------------------------------------


def resumed(found: Schedule, now: int) -> Schedule:
    """Due from now on; what was due meanwhile is not late, it was not asked for. Conflict if nothing is to come."""
    if found.state == "active":
        return found
    next_at = next_time(found.terms, now)
    if next_at is None:
        raise Conflict("over", "its time has passed, and no other is to come: make a new schedule", field="schedule_id")
    return _awaiting(found, {"state": "active", "next_at": next_at})


def begun(found: Schedule, now: int) -> Schedule:
    """The last step of its making; later it changes nothing."""
    return resumed(found, now) if found.state == "new" else found


def paused(found: Schedule, _now: int) -> Schedule:
    """What has been decided still runs."""
    return found if found.state == "done" else _awaiting(found, {"state": "paused", "next_at": None})


def run_by_hand(found: Schedule, now: int, job_id: str) -> Schedule:
    return found.model_copy(update={"last": LastRun(due_at=now, job_id=job_id)})


# --- what a tick decides ----------------------------------------------------------------------------------------------


def decided(found: Schedule, now: int, *, is_previous_alive: bool) -> Schedule:
    """Which of the times that are due are to run, and when the next will be."""
    due = _started(found, now)
    runs = _unlike_the_previous(found, _worth_running(found, due, now), is_previous_alive=is_previous_alive)
    next_at = None
    if found.next_at is not None:
        next_at = next_time(found.terms, due[-1] if due else found.next_at - 1)
    changed: dict[str, object] = {"pending": tuple(runs), "next_at": next_at}
    left_out = [due_at for due_at in due if due_at not in runs]
    if left_out:
        reason = "missed" if _is_late(found, left_out[-1], now) else "the run before it was not over"
        changed["skipped"] = Skipped(due_at=left_out[-1], reason=reason)
    after = found.model_copy(update=changed)
    return after if runs else _awaiting(after, {})


def done(found: Schedule, refusals: Mapping[int, str]) -> Schedule:
    """The jobs of what was pending exist, but for those that were refused: due time → why."""
    made = [due_at for due_at in found.pending if due_at not in refusals]
    changed: dict[str, object] = {"pending": ()}
    if made:
        changed["last"] = LastRun(due_at=made[-1], job_id=job_id_of(found, made[-1]))
    if refusals:
        due_at = max(refusals)
        changed["skipped"] = Skipped(due_at=due_at, reason=refusals[due_at][:REASON_CHARACTERS_MAX])
    return _awaiting(found, changed)


Late = Callable[[Sequence[int], Sequence[int], int], Sequence[int]]

MISSED: Final[Mapping[str, Late]] = {
    "skip": lambda _late, punctual, _most: punctual,
    "once": lambda late, punctual, _most: punctual or late[-1:],
    "all": lambda late, punctual, most: [*late[-most:], *punctual][-RUNS_MAX:],
}
"""Policy → of late and punctual due times, those that run; at most so many of the late."""


def _started(found: Schedule, now: int) -> Sequence[int]:
    """The due times whose jitter is over, too: the newest of them, in order."""
    if found.next_at is None:
        return ()
    due = latest(found.terms, found.next_at - 1, now, count=RUNS_MAX)
    return [*takewhile(lambda due_at: starts_at(found, due_at) <= now, due)]


def _worth_running(found: Schedule, due: Sequence[int], now: int) -> Sequence[int]:
    late = [due_at for due_at in due if _is_late(found, due_at, now)]
    punctual = [due_at for due_at in due if due_at not in late]
    return sorted(MISSED[found.terms.missed](late, punctual, found.terms.missed_max))


def _unlike_the_previous(found: Schedule, runs: Sequence[int], *, is_previous_alive: bool) -> Sequence[int]:
    """At most one at a time, unless they may overlap."""
    if found.terms.overlap == "allow":
        return runs
    return () if is_previous_alive and found.terms.overlap == "skip" else runs[-1:]


def _is_late(found: Schedule, due_at: int, now: int) -> bool:
    return now > starts_at(found, due_at) + found.terms.late_s * 1000


def _awaiting(found: Schedule, changed: Mapping[str, object]) -> Schedule:
    """With the time at which it must be looked at again: as long as runs are pending, the one that it had."""
    after = found.model_copy(update={**changed})
    if after.pending:
        return after
    if after.next_at is None:
        return after.model_copy(update={"wakes_at": None, "state": "done" if after.state == "active" else after.state})
    return after.model_copy(update={"wakes_at": starts_at(after, after.next_at)})
