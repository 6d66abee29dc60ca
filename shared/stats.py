"""Counts by tenant, type and hour, made of the jobs table's stream as it passes: for people, in no decision. Pure.

1. A page is one hour of one tenant as one shard of the stream tells it, with the number of the last record in it. A
   record that is not beyond that number is in it already: a batch that comes again changes nothing.
2. A move belongs to the hour of the row's own clock (`updated_at`), whenever its record comes.
3. What is alive now = what the audit found alive at the beginning of an hour (the cut) and every change since: what
   drifts, by records that were given up, is right again after the next audit.
4. Durations are kept in buckets that grow by a tenth, so that a quantile is at most 5 % from the exact one:
   Masson, Rim, Lee: DDSketch, VLDB 2019, https://www.vldb.org/pvldb/vol12/p2195-masson.pdf
"""

import math
from collections.abc import Iterable, Mapping
from typing import Final

from pydantic import BaseModel

from shared.consequences import Record
from shared.job import Job, read_history_entry, rfc3339
from shared.status import RULES, TARGET, Status
from shared.tally import HOUR_MS, hour_of

ERROR: Final = 0.05
"""Of a quantile, relative."""

_GROWTH: Final = (1 + ERROR) / (1 - ERROR)

SLOT_MS: Final = 300_000
"""How exactly the oldest queued job and the rate are known."""

SOON_MS: Final = HOUR_MS
"""A job put off for longer is not waited for: it is queued, but never the oldest."""

HOURS: Final = 24

ENDS: Final[Mapping[Status, str]] = {
    Status.SUCCESS: "succeeded",
    Status.PARTIAL_SUCCESS: "partial",
    Status.FAILED: "failed",
    Status.CANCELLED: "cancelled",
}

GAUGES: Final[Mapping[Status, str]] = {
    Status.QUEUED: "queued",
    Status.RUNNING: "running",
    Status.WAITING: "waiting",
}


class Counts(BaseModel):
    """Of one type. `queued`, `running` and `waiting` are changes. `run` and `wait`: bucket → how many."""

    created: int = 0
    succeeded: int = 0
    partial: int = 0
    failed: int = 0
    cancelled: int = 0
    queued: int = 0
    running: int = 0
    waiting: int = 0
    due: dict[int, int] = {}
    """Change of what is queued, by the slot since the epoch in which it is due."""
    ended: dict[int, int] = {}
    """By slot since the epoch."""
    run: dict[int, int] = {}
    wait: dict[int, int] = {}
    cost_nusd: int = 0
    """Billionths of a dollar."""


class Page(BaseModel):
    """`watermark`: sequence number of the last record counted. `at`: the newest move in it, in milliseconds."""

    watermark: int = -1
    at: int = 0
    types: dict[str, Counts] = {}


class HourStats(BaseModel):
    hour: str
    created: int
    succeeded: int
    failed: int
    cancelled: int


class TypeStats(BaseModel):
    """`*_24h`: of this hour and the 23 before it. `p50_s`, `p95_s`: how long runs took that ended a job, `wait_p95_s`:
    how long due jobs waited for a worker; each within 5 %. `oldest_queued_at`: due, to five minutes."""

    type: str
    queued: int
    running: int
    waiting: int
    failed_24h: int
    succeeded_24h: int
    partial_24h: int
    cancelled_24h: int
    rate_per_min: float
    """Jobs that ended, over the last five to ten minutes."""
    failure_rate_24h: float | None = None
    """Failed among those that ran to an end."""
    p50_s: float | None = None
    p95_s: float | None = None
    wait_p95_s: float | None = None
    oldest_queued_at: str | None = None
    cost_usd_24h: float
    hours: list[HourStats]


class Stats(BaseModel):
    """Counts by type, up to half a minute old; `as_of`: the newest move that is counted."""

    as_of: str
    types: list[TypeStats]


# --- counting ---------------------------------------------------------------------------------------------------------


def entered(page: Page, record: Record, cost_usd: float) -> bool:
    """Count one record, once. False: it was counted before."""
    old, new = record.old, record.new
    if new is None or int(record.sequence) <= page.watermark:
        return False
    page.watermark, page.at = int(record.sequence), max(page.at, new.updated_at)
    counts = page.types.setdefault(new.type, Counts())
    counts.cost_nusd += round(cost_usd * 1e9)
    counts.created += old is None
    if old is None or old.status is not new.status:
        _count(counts, new, 1)
        if old is not None:
            _count(counts, old, -1)
            _measure(counts, old, new)
    return True


def _measure(counts: Counts, old: Job, new: Job) -> None:
    if new.status is Status.RUNNING:
        _plus(counts.wait, bucket_of(new.updated_at - old.due_at))
    if old.status is Status.RUNNING and new.status.is_terminal:
        _plus(counts.run, bucket_of(new.updated_at - (old.started_at or new.updated_at)))


def _count(counts: Counts, job: Job, change: int) -> None:
    """The row as a move left it (1) or found it (-1)."""
    if job.status in GAUGES:
        _alive(counts, job.status, job.due_at, job.updated_at, change)
    elif change == 1:
        name = ENDS[job.status]
        setattr(counts, name, getattr(counts, name) + 1)
        _plus(counts.ended, job.updated_at // SLOT_MS)


def _alive(counts: Counts, status: Status, due_at: int, since: int, change: int = 1) -> None:
    name = GAUGES[status]
    setattr(counts, name, getattr(counts, name) + change)
    if status is Status.QUEUED and due_at - since <= SOON_MS:
        _plus(counts.due, max(due_at, since) // SLOT_MS, change)


def _plus(numbers: dict[int, int], key: int, change: int = 1) -> None:
    numbers[key] = numbers.get(key, 0) + change
    if not numbers[key]:
        del numbers[key]


def bucket_of(duration_ms: int) -> int:
    return math.ceil(math.log(max(1, duration_ms)) / math.log(_GROWTH))


def quantile_ms(buckets: Mapping[int, int], share: float) -> float | None:
    """Within 5 % of the least duration that `share` of all do not exceed; what is below 1 ms counts as 1 ms."""
    rank = max(1, math.ceil(share * sum(buckets.values())))
    for bucket in sorted(buckets):
        rank -= buckets[bucket]
        if rank <= 0:
            return 2 * _GROWTH**bucket / (_GROWTH + 1)
    return None


# --- what the audit knows ---------------------------------------------------------------------------------------------


def enter_alive(tenants: dict[str, dict[str, Counts]], job: Job, cut_at: int) -> None:
    """Count a row as it was at `cut_at`, by its history, if it was alive then."""
    if job.created_at >= cut_at:
        return
    history = [read_history_entry(entry) for entry in job.history]
    before = [entry for entry in history if entry.at < cut_at]
    after = [entry for entry in history if entry.at >= cut_at]
    if not after or job.updated_at < cut_at:
        status, since = job.status, job.updated_at
    elif before:
        status, since = TARGET[before[-1].event], before[-1].at
    else:  # older than the row's own history
        status, since = RULES[after[0].event][0].source or job.status, cut_at
    if status in GAUGES:
        is_put_off_since = any(TARGET[entry.event] is Status.QUEUED for entry in after)
        counts = tenants.setdefault(job.tenant_id, {}).setdefault(job.type, Counts())
        _alive(counts, status, since if is_put_off_since else job.due_at, since)  # it was due at once, most likely


# --- adding up --------------------------------------------------------------------------------------------------------


def stats_of(pages: Iterable[tuple[int, Page]], alive: Mapping[str, Counts], cut: int | None, now: int) -> Stats:
    """`pages` with their hours; `alive` at the beginning of hour `cut` (None: no audit yet, count from nothing)."""
    first, newest = hour_of(now) - HOURS + 1, 0
    day: dict[str, Counts] = {}
    gauges: dict[str, Counts] = {name: counts.model_copy(deep=True) for name, counts in alive.items()}
    hours: dict[tuple[str, int], Counts] = {}
    for hour, page in pages:
        newest = max(newest, page.at)
        for name, counts in page.types.items():
            if hour >= first:
                _add(day.setdefault(name, Counts()), counts)
                _add(hours.setdefault((name, hour), Counts()), counts)
            if cut is None or hour >= cut:
                _add(gauges.setdefault(name, Counts()), counts)
    names = sorted(
        {*day, *(name for name, found in gauges.items() if found.queued + found.running + found.waiting > 0)}
    )
    nothing = Counts()
    lines = {name: [hours.get((name, hour), nothing) for hour in range(first, first + HOURS)] for name in names}
    types = [_type(name, day.get(name, nothing), gauges.get(name, nothing), lines[name], now) for name in names]
    return Stats(as_of=rfc3339(newest or now), types=types)


def _add(total: Counts, more: Counts) -> None:
    for name in Counts.model_fields:
        mine, theirs = getattr(total, name), getattr(more, name)
        if isinstance(mine, int):
            setattr(total, name, mine + theirs)
        else:
            merged = dict(mine)
            for key, change in theirs.items():
                _plus(merged, key, change)
            setattr(total, name, merged)


def _type(name: str, day: Counts, alive: Counts, hours: list[Counts], now: int) -> TypeStats:
    ran = day.succeeded + day.partial + day.failed
    slot = now // SLOT_MS
    minutes = (SLOT_MS + now % SLOT_MS) / 60_000
    oldest = min((due for due, count in alive.due.items() if count > 0 and due <= slot), default=None)
    first = hour_of(now) - HOURS + 1
    return TypeStats(
        type=name,
        queued=max(0, alive.queued),
        running=max(0, alive.running),
        waiting=max(0, alive.waiting),
        failed_24h=day.failed,
        succeeded_24h=day.succeeded,
        partial_24h=day.partial,
        cancelled_24h=day.cancelled,
        rate_per_min=round((day.ended.get(slot, 0) + day.ended.get(slot - 1, 0)) / minutes, 2),
        failure_rate_24h=round(day.failed / ran, 4) if ran else None,
        p50_s=_seconds(day.run, 0.5),
        p95_s=_seconds(day.run, 0.95),
        wait_p95_s=_seconds(day.wait, 0.95),
        oldest_queued_at=None if oldest is None or alive.queued <= 0 else rfc3339(oldest * SLOT_MS),
        cost_usd_24h=round(day.cost_nusd / 1e9, 9),
        hours=[_hour(first + place, counts) for place, counts in enumerate(hours)],
    )


def _hour(hour: int, counts: Counts) -> HourStats:
    return HourStats(
        hour=rfc3339(hour * HOUR_MS),
        created=counts.created,
        succeeded=counts.succeeded + counts.partial,
        failed=counts.failed,
        cancelled=counts.cancelled,
    )


def _seconds(buckets: Mapping[int, int], share: float) -> float | None:
    found = quantile_ms(buckets, share)
    return None if found is None else round(found / 1000, 6)
