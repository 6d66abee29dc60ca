"""The audit, carried out: pages of the jobs table, then the tally; what is overdue is woken again.

- Eventually consistent pages: half a read unit per 4 KB, $0.016 for a million rows of 1 KB (on-demand, us-east-1).
- A wake-up is sent again only after a consistent read of that one row says that it still is overdue, and only for the
  row's own `seq`: a wake-up too many is refused by its claim.
- The daily audit goes on where a Lambda's time ended: its state is one document, changed by compare-and-swap.
"""

import asyncio
from collections.abc import AsyncIterator
from typing import Final

from pydantic import BaseModel

from shared.audit import (
    LATE_MS,
    Books,
    Report,
    balance,
    enter,
    enter_forgotten,
    enter_unreadable,
    may_be_forgotten,
    problem_of,
    wakeup_for,
)
from shared.errors import LongshoreError
from shared.job import Job
from shared.limits import SIDE_BODY_BYTES_MAX
from shared.payloads import TYPES
from shared.ports import Ports
from shared.runtime.fan_in import look
from shared.runtime.logs import count, get_logger
from shared.runtime.stats import keep_alive_counts
from shared.runtime.tally import read_tally
from shared.tally import hour_of

EVERY_MS: Final = 23 * 3_600_000
"""The daily audit is looked after every hour: to go on with it, or to begin one."""

SAVE_EVERY_PAGES: Final = 100

PLACE: Final = ("audit", "daily")


class _Daily(BaseModel):
    """The audit under way, or the last one with its report."""

    books: Books
    report: Report | None = None
    token: str = ""
    """Fresh in each: of two audits that save the same, one is told that it was not the first."""


async def audited(ports: Ports, books: Books, *, repair: bool, late_ms: int = LATE_MS) -> AsyncIterator[Books]:
    """Read page after page into `books`; → the same books after each. `late_ms`: how long overdue is too long."""
    while not books.is_read:
        page, now = await ports.jobs.scan(cursor=books.cursor), ports.now()
        problems = [(job, problem_of(job, now, late_ms)) for job in page.jobs]
        for job, problem in problems:
            enter(books, job, problem)
        for key in page.unreadable:
            enter_unreadable(books, key)
        if repair and (overdue := [job for job, problem in problems if problem is not None]):
            results = await asyncio.gather(*(_wake(job, ports, late_ms) for job in overdue))
            books.repaired += results.count(True)
            books.not_repaired += results.count(False)
        if repair and (waiting := [job for job in page.jobs if may_be_forgotten(job, now, late_ms)]):
            woken = sum(await asyncio.gather(*(look(ports, job) for job in waiting)))
            enter_forgotten(books, woken)
        books.cursor, books.is_read = page.cursor, page.cursor is None
        yield books


async def report_of(ports: Ports, books: Books, *, stack: str) -> Report:
    """Compare books that are read whole with the tally, and count what is wrong."""
    report = balance(books, *await read_tally(ports))
    for problem, jobs in report.problems.items():
        count(f"audit_{problem}", stack=stack, jobs=jobs, repaired=report.repaired)
    if report.unreadable:
        count("audit_unreadable", stack=stack, rows=report.unreadable)
    if report.differences:
        count("audit_unbalanced", stack=stack, hours=len(report.differences), first=report.differences[0].meaning)
    get_logger().info("audit_done", is_clean=report.is_clean, rows=report.rows, repaired=report.repaired)
    return report


async def daily_audit(ports: Ports, *, stack: str, ends_at: int, late_ms: int | None = None) -> Report | None:
    """Begin the day's audit or go on with it, until `ends_at` (milliseconds); → its report, or None if it is not read
    whole yet, was made already, or another one is under way. `late_ms` given: begin one in any case."""
    before = await ports.side.get(*PLACE)
    daily = None if before is None or late_ms is not None else _Daily.model_validate_json(before)
    if daily is not None and daily.report is not None:
        if ports.now() < daily.books.started_at + EVERY_MS:
            return None
        daily = None
    books = daily.books if daily else Books(started_at=ports.now())
    pages = 0
    async for _ in audited(ports, books, repair=True, late_ms=LATE_MS if late_ms is None else late_ms):
        pages += 1
        is_time_up = ports.now() >= ends_at
        if not books.is_read and (is_time_up or pages % SAVE_EVERY_PAGES == 0):
            saved = _saved(books, None, ports.token())
            if not await ports.side.swap(*PLACE, old=before, new=saved) or is_time_up:
                return None
            before = saved
    report = await report_of(ports, books, stack=stack)
    if books.alive is not None:
        await keep_alive_counts(ports, hour_of(books.started_at), books.alive)
    books.alive = None
    await ports.side.swap(*PLACE, old=before, new=_saved(books, report, ports.token()))
    return report


async def last_report(ports: Ports) -> Report | None:
    """Of the last daily audit that was read whole, unless another has begun since."""
    body = await ports.side.get(*PLACE)
    return None if body is None else _Daily.model_validate_json(body).report


def _saved(books: Books, report: Report | None, token: str) -> str:
    """Small enough to be kept: what is alive may be counted by too many tenants."""
    body = _Daily(books=books, report=report, token=token).model_dump_json(exclude_defaults=True)
    if books.alive is None or len(body) <= SIDE_BODY_BYTES_MAX // 2:
        return body
    books.alive = None
    return _saved(books, report, token)


async def _wake(seen: Job, ports: Ports, late_ms: int) -> bool | None:
    """True: woken; False: that was not possible; None: not needed after all."""
    try:
        job = await ports.jobs.get(seen.tenant_id, seen.job_id)
        if job is None or problem_of(job, ports.now(), late_ms) is None:
            return None
        wakeup = wakeup_for(job)
        return wakeup is not None and wakeup.job_type in TYPES and not await ports.queues.send([wakeup])
    except LongshoreError as error:
        get_logger().warning("audit_cannot_wake", job_id=seen.job_id, reason=str(error))
        return False
