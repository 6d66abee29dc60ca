"""The books: what is overdue, what balances, and what a difference means."""

from dataclasses import replace

import pytest

from shared.audit import (
    EXAMPLES_MAX,
    LATE_MS,
    Books,
    Problem,
    Report,
    balance,
    enter,
    enter_unreadable,
    problem_of,
    wakeup_for,
)
from shared.job import Job
from shared.status import Status
from shared.tally import COMPARED_HOURS, HOUR_MS

HOUR = 500_000
NOW = HOUR * HOUR_MS + 90_000
"""A minute and a half into hour 500,000 since the epoch."""

JOB = Job(
    tenant_id="t",
    job_id="j",
    type="generic",
    status=Status.QUEUED,
    seq=3,
    token="0" * 16,
    attempts_left=3,
    attempts_max=3,
    created_at=NOW,
    updated_at=NOW,
    due_at=NOW,
    payload_hash="h",
)


def job(status: Status = Status.SUCCESS, **changes: object) -> Job:
    return replace(JOB, status=status, **changes)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("row", "problem"),
    [
        (job(Status.QUEUED, due_at=NOW - LATE_MS), None),
        (job(Status.QUEUED, due_at=NOW - LATE_MS - 1), Problem.LOST),
        (job(Status.QUEUED, due_at=NOW + LATE_MS), None),
        (job(Status.RUNNING, lease_until=NOW - LATE_MS), None),
        (job(Status.RUNNING, lease_until=NOW - LATE_MS - 1), Problem.STUCK),
        (job(Status.WAITING, deadline_at=NOW - LATE_MS - 1), Problem.OVERDUE),
        (job(Status.WAITING, deadline_at=NOW), None),
        (job(Status.WAITING), None),
        *((job(status, due_at=0, lease_until=0, deadline_at=0), None) for status in Status if status.is_terminal),
    ],
)
def test_a_row_is_a_problem_when_nothing_has_happened_for_too_long(row: Job, problem: Problem | None) -> None:
    assert problem_of(row, NOW, LATE_MS) == problem


def test_the_wake_up_sent_again_is_that_of_the_rows_own_seq() -> None:
    for row in (job(Status.QUEUED), job(Status.RUNNING, lease_until=7), job(Status.WAITING, deadline_at=7)):
        wakeup = wakeup_for(row)
        assert wakeup is not None
        assert (wakeup.job_type, wakeup.delay_s, wakeup.group) == ("generic", 0, "t")
        assert wakeup.body == '{"longshore":1,"tenant_id":"t","job_id":"j","seq":3}'
    assert wakeup_for(job(Status.SUCCESS)) is None


def audited(*rows: Job, unreadable: int = 0) -> Books:
    books = Books(started_at=NOW)
    for row in rows:
        enter(books, row, problem_of(row, NOW, LATE_MS))
    for number in range(unreadable):
        enter_unreadable(books, f"k{number}")
    return books


def created(hour: int, status: Status = Status.SUCCESS) -> Job:
    return job(status, created_at=hour * HOUR_MS + 5)


def told(report: Report) -> list[tuple[int, int, int, int]]:
    return [(hour.accepted, hour.finished, hour.alive, hour.difference) for hour in report.differences]


def test_accepted_jobs_are_finished_or_alive() -> None:
    rows = [created(HOUR - 5), created(HOUR - 5, Status.QUEUED), created(HOUR - 3, Status.FAILED)]
    report = balance(audited(*rows), {HOUR - 5: 2, HOUR - 3: 1}, HOUR - 5)
    assert (report.accepted, report.finished, report.alive, report.hours_compared) == (3, 2, 1, 4)
    assert report.differences == []
    assert report.is_clean


def test_a_difference_is_told_by_the_hour_with_what_it_means() -> None:
    report = balance(audited(created(HOUR - 5), created(HOUR - 3)), {HOUR - 5: 2}, HOUR - 6)
    assert told(report) == [(2, 1, 0, 1), (0, 1, 0, -1)]
    lost, uncounted = (hour.meaning for hour in report.differences)
    assert "1 accepted jobs have no row" in lost
    assert "1 rows were never counted" in uncounted
    assert not report.is_clean


def test_two_differences_that_cancel_each_other_out_are_both_told() -> None:
    report = balance(audited(created(HOUR - 5), created(HOUR - 4)), {HOUR - 5: 2}, HOUR - 6)
    assert report.accepted == report.finished + report.alive
    assert len(report.differences) == 2


def test_an_hour_is_compared_an_hour_after_its_end() -> None:
    late_by_one = {HOUR - 2: 1, HOUR - 1: 1, HOUR: 1}
    report = balance(audited(), late_by_one, HOUR - 3)
    assert told(report) == [(1, 0, 0, 1)]
    assert [hour.accepted for hour in report.open_hours] == [1, 1]
    assert report.hours_compared == 2


def test_only_hours_that_the_tally_has_seen_whole_are_compared() -> None:
    assert balance(audited(created(HOUR - 9)), {}, None).hours_compared == 0
    fresh = balance(audited(created(HOUR - 5)), {HOUR - 5: 2}, HOUR - 5)
    assert len(fresh.differences) == 1
    older_stack = balance(audited(created(HOUR - 9), created(HOUR - 5)), {}, HOUR - 5)
    assert older_stack.differences == []
    assert older_stack.hours_compared == fresh.hours_compared - 1


def test_what_is_older_than_a_message_may_be_is_counted_but_not_compared() -> None:
    old = created(HOUR - COMPARED_HOURS - 1)
    books = audited(old, created(HOUR - 5))
    assert books.statuses == {Status.SUCCESS: 2}
    assert set(books.hours) == {HOUR - 5}
    assert balance(books, {HOUR - 5: 1}, 1).is_clean


def test_unreadable_rows_and_overdue_jobs_are_never_clean() -> None:
    assert not balance(audited(unreadable=1), {}, None).is_clean
    assert not balance(audited(job(Status.QUEUED, due_at=0)), {}, None).is_clean


def test_memory_does_not_grow_with_what_is_wrong() -> None:
    books = audited(*[job(Status.QUEUED, due_at=0)] * 200, unreadable=200)
    assert len(books.examples) == len(books.unreadable_keys) == EXAMPLES_MAX
    assert (books.problems, books.unreadable, books.rows) == ({Problem.LOST: 200}, 200, 400)


def test_books_go_on_as_they_were_after_a_night_in_a_document() -> None:
    books = audited(created(HOUR - 5), job(Status.QUEUED, due_at=0), unreadable=1)
    assert Books.model_validate_json(books.model_dump_json()) == books
