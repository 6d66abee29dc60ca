"""The audit: is every accepted job finished, or visibly alive, and does somebody come for those that are alive? Pure.

1. It decides about no job: it has the wake-up of the job's own `seq` sent again, and the claim decides.
2. Every row is counted once, by its hour of creation; memory does not grow with the rows.
3. accepted (the tally's count) = finished + alive (the rows). A difference is told by the hour, with what it means;
   it is never written off.
"""

from collections.abc import Mapping
from enum import StrEnum
from typing import Final

from pydantic import BaseModel

from shared.envelope import Wakeup, wakeup_body
from shared.job import Job, rfc3339
from shared.ports import Outgoing
from shared.stats import Counts, enter_alive
from shared.status import Status
from shared.tally import COMPARED_HOURS, HOUR_MS, hour_of

LATE_MS: Final = HOUR_MS
"""What should have happened this long ago is taken for forgotten. A queue that is so far behind looks the same; what is
sent again is then a duplicate, and is refused."""

CLOSED_AFTER_MS: Final = HOUR_MS
"""How long after its end an hour is compared: the tally follows the stream."""

EXAMPLES_MAX: Final = 50

KEY_MAX: Final = 200
"""Characters told of a key that may be anything."""


class Problem(StrEnum):
    LOST = "lost"
    STUCK = "stuck"
    OVERDUE = "overdue"


EXPECTED: Final[Mapping[Status, tuple[Problem, str]]] = {
    Status.QUEUED: (Problem.LOST, "due_at"),
    Status.RUNNING: (Problem.STUCK, "lease_until"),
    Status.WAITING: (Problem.OVERDUE, "deadline_at"),
}
"""Alive → what it is if nothing has happened long after this time of its row."""


class Found(BaseModel):
    """A job that nothing has happened to since `since` (RFC 3339)."""

    problem: Problem
    tenant_id: str
    job_id: str
    type: str
    since: str


class Books(BaseModel):
    """What an audit has read so far. `hours`: hour of creation → [finished, alive], of the hours to be compared."""

    started_at: int
    cursor: str | None = None
    is_read: bool = False
    rows: int = 0
    statuses: dict[Status, int] = {}
    hours: dict[int, tuple[int, int]] = {}
    first_hour: int | None = None
    """Of the oldest row."""
    problems: dict[Problem, int] = {}
    examples: list[Found] = []
    unreadable: int = 0
    unreadable_keys: list[str] = []
    repaired: int = 0
    not_repaired: int = 0
    alive: dict[str, dict[str, Counts]] | None = {}
    """By tenant and type, at the beginning of the hour in which the audit began. None: too many to be kept."""


class HourBalance(BaseModel):
    """One hour of creation (RFC 3339). `difference` = accepted - finished - alive."""

    hour: str
    accepted: int
    finished: int
    alive: int
    difference: int
    meaning: str = ""


class Report(BaseModel):
    """What an audit came to. `accepted`, `finished` and `alive` are sums over the `hours_compared`; `open_hours` are
    too young to be compared, and only told. `is_clean`: nothing overdue, nothing unreadable, no difference."""

    started_at: str
    is_clean: bool
    rows: int
    statuses: dict[Status, int]
    hours_compared: int
    accepted: int
    finished: int
    alive: int
    differences: list[HourBalance]
    open_hours: list[HourBalance]
    problems: dict[Problem, int]
    examples: list[Found]
    unreadable: int
    unreadable_keys: list[str]
    repaired: int
    not_repaired: int


def problem_of(job: Job, now: int, late_ms: int) -> Problem | None:
    """What is wrong with a row at `now`, if anything is."""
    if job.status not in EXPECTED:
        return None
    problem, _ = EXPECTED[job.status]
    since = _since(job)
    return problem if since is not None and since + late_ms < now else None


def may_be_forgotten(job: Job, now: int, late_ms: int) -> bool:
    """Has it waited for its children for so long that it is worth a look whether they are over?"""
    return job.status is Status.WAITING and job.updated_at + late_ms < now and not problem_of(job, now, late_ms)


def wakeup_for(job: Job) -> Outgoing | None:
    """The wake-up that an overdue job should have had, or None if no wake-up helps."""
    if job.status not in EXPECTED:
        return None
    body = wakeup_body(Wakeup(job.tenant_id, job.job_id, job.seq))
    return Outgoing(job.type, body, group=job.tenant_id, lane=job.priority)


def enter(books: Books, job: Job, problem: Problem | None) -> None:
    """Count one row."""
    books.rows += 1
    if books.alive is not None:
        enter_alive(books.alive, job, hour_of(books.started_at) * HOUR_MS)
    books.statuses[job.status] = books.statuses.get(job.status, 0) + 1
    hour = hour_of(job.created_at)
    books.first_hour = hour if books.first_hour is None else min(hour, books.first_hour)
    if hour >= hour_of(books.started_at) - COMPARED_HOURS:
        finished, alive = books.hours.get(hour, (0, 0))
        books.hours[hour] = (finished + 1, alive) if job.status.is_terminal else (finished, alive + 1)
    if problem is not None:
        books.problems[problem] = books.problems.get(problem, 0) + 1
        if len(books.examples) < EXAMPLES_MAX:
            since = rfc3339(_since(job) or 0)
            books.examples.append(
                Found(problem=problem, tenant_id=job.tenant_id, job_id=job.job_id, type=job.type, since=since)
            )


def enter_forgotten(books: Books, jobs: int) -> None:
    """Parents whose children were over, and that had to be woken."""
    if jobs:
        books.problems[Problem.STUCK] = books.problems.get(Problem.STUCK, 0) + jobs
        books.repaired += jobs


def enter_unreadable(books: Books, key: str) -> None:
    books.rows += 1
    books.unreadable += 1
    if len(books.unreadable_keys) < EXAMPLES_MAX:
        books.unreadable_keys.append(key[:KEY_MAX])


def balance(books: Books, tally: Mapping[int, int], opened_hour: int | None) -> Report:
    """The books against the tally, which was begun in `opened_hour` (None: never).

    That first hour is compared only if no row is older: else the tally may have missed its beginning.
    """
    now_hour = hour_of(books.started_at)
    closed = hour_of(books.started_at - CLOSED_AFTER_MS)
    first = now_hour + 1 if opened_hour is None else max(opened_hour, now_hour - COMPARED_HOURS)
    if first == opened_hour and books.first_hour is not None and books.first_hour < opened_hour:
        first += 1
    hours = [_hour_balance(books, tally, hour) for hour in range(first, closed)]
    young = [_hour_balance(books, tally, hour) for hour in range(max(first, closed), now_hour + 1)]
    differences = [hour for hour in hours if hour.difference]
    return Report(
        started_at=rfc3339(books.started_at),
        is_clean=not (differences or books.problems or books.unreadable),
        rows=books.rows,
        statuses=books.statuses,
        hours_compared=len(hours),
        accepted=sum(hour.accepted for hour in hours),
        finished=sum(hour.finished for hour in hours),
        alive=sum(hour.alive for hour in hours),
        differences=differences,
        open_hours=[hour.model_copy(update={"meaning": "not yet compared"}) for hour in young],
        problems=books.problems,
        examples=books.examples,
        unreadable=books.unreadable,
        unreadable_keys=books.unreadable_keys,
        repaired=books.repaired,
        not_repaired=books.not_repaired,
    )


def _hour_balance(books: Books, tally: Mapping[int, int], hour: int) -> HourBalance:
    accepted, (finished, alive) = tally.get(hour, 0), books.hours.get(hour, (0, 0))
    difference = accepted - finished - alive
    at = rfc3339(hour * HOUR_MS)
    meaning = _meaning(difference)
    return HourBalance(
        hour=at, accepted=accepted, finished=finished, alive=alive, difference=difference, meaning=meaning
    )


def _meaning(difference: int) -> str:
    if difference > 0:
        return f"{difference} accepted jobs have no row: they were deleted by hand, or lost"
    if difference < 0:
        return f"{-difference} rows were never counted: the tally is behind, or its records were given up"
    return ""


def _since(job: Job) -> int | None:
    since: int | None = getattr(job, EXPECTED[job.status][1])
    return since
