"""Counts for people: every move once, durations to 5 %, and right again after every audit."""

import math
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from shared.consequences import Record
from shared.job import Job, rfc3339
from shared.moves import Lease, Move, applied, beat, claim, redrive, settle, submit
from shared.stats import (
    ERROR,
    SLOT_MS,
    Counts,
    Page,
    Stats,
    TypeStats,
    bucket_of,
    enter_alive,
    entered,
    quantile_ms,
    stats_of,
)
from shared.status import Event, Status
from shared.tally import HOUR_MS, hour_of
from tests.unit.test_audit import HOUR, JOB, NOW


class Story:
    """Moves of jobs, one after another, as the stream tells them."""

    def __init__(self) -> None:
        self.records: list[Record] = []
        self.rows: dict[str, Job] = {}

    def move(self, move: Move) -> Job:
        old = self.rows.get(move.job_id)
        new = applied(move, old)
        self.rows[move.job_id] = new
        self.records.append(Record(str(len(self.records) + 1), old, new))
        return new

    def submitted(self, job_id: str, at: int, due_at: int | None = None) -> Job:
        return self.move(submit(replace(JOB, job_id=job_id, created_at=at, updated_at=at, due_at=due_at or at, seq=1)))

    def claimed(self, job_id: str, at: int) -> Job:
        lease = Lease(token="1" * 16, until=at + 60_000, alone=False, who="worker")
        return self.move(claim("t", job_id, job_type="generic", seq=self.rows[job_id].seq, lease=lease, now=at))

    def settled(self, job_id: str, event: Event, at: int, **changes: object) -> Job:
        return self.move(settle(self.rows[job_id], event, changes, now=at, token="2" * 16, who="worker", note=""))

    def whole(self, job_id: str, at: int, run_ms: int = 1_000, event: Event = Event.SUCCEED) -> None:
        self.submitted(job_id, at)
        self.claimed(job_id, at + 500)
        self.settled(job_id, event, at + 500 + run_ms)

    def pages(self) -> dict[int, Page]:
        pages: dict[int, Page] = {}
        for record in self.records:
            assert record.new is not None
            entered(pages.setdefault(hour_of(record.new.updated_at), Page()), record, 0.000_001)
        return pages

    def stats(self, now: int, alive: dict[str, Counts] | None = None, cut: int | None = None) -> Stats:
        return stats_of(self.pages().items(), alive or {}, cut, now)

    def generic(self, now: int) -> TypeStats:
        (only,) = self.stats(now).types
        return only


def test_a_job_is_counted_from_its_creation_to_its_end() -> None:
    story = Story()
    story.submitted("a", NOW)
    assert (story.generic(NOW).queued, story.generic(NOW).oldest_queued_at) == (1, rfc3339(NOW // SLOT_MS * SLOT_MS))
    story.claimed("a", NOW + 10_000)
    assert (story.generic(NOW).queued, story.generic(NOW).running, story.generic(NOW).oldest_queued_at) == (0, 1, None)
    story.move(beat(story.rows["a"], NOW + 12_000, progress="{}", lease_until=None))
    story.settled("a", Event.RETRY, NOW + 13_000, seq=2, due_at=NOW + 20_000)
    assert (story.generic(NOW).queued, story.generic(NOW).running) == (1, 0)
    story.claimed("a", NOW + 20_000)
    story.settled("a", Event.FAIL, NOW + 22_000)
    failed = story.generic(NOW + 30_000)
    assert (failed.queued, failed.running, failed.failed_24h, failed.failure_rate_24h) == (0, 0, 1, 1.0)
    assert failed.p50_s is not None
    assert abs(failed.p50_s - 2) <= 2 * ERROR, "the run that ended it"
    assert failed.wait_p95_s is not None
    assert abs(failed.wait_p95_s - 10) <= 10 * ERROR
    assert failed.cost_usd_24h == 0.000_006
    assert (failed.hours[-1].created, failed.hours[-1].failed, len(failed.hours)) == (1, 1, 24)
    story.move(redrive(story.rows["a"], NOW + 40_000, due_at=NOW + 40_000, token="3" * 16, who="ann"))
    assert story.generic(NOW + 40_000).queued == 1


def test_a_day_is_this_hour_and_the_23_before_it() -> None:
    story = Story()
    for back in (0, 1, 23, 24, 30):
        story.whole(f"job-{back}", NOW - back * HOUR_MS)
    found = story.generic(NOW + 60_000)
    assert found.succeeded_24h == 3
    assert [hour.created for hour in found.hours] == [1, *[0] * 21, 1, 1]
    assert found.hours[-1].hour == rfc3339(HOUR * HOUR_MS)
    assert found.rate_per_min == round(1 / ((SLOT_MS + (NOW + 60_000) % SLOT_MS) / 60_000), 2)


def test_what_is_put_off_for_long_is_queued_and_never_the_oldest() -> None:
    story = Story()
    story.submitted("later", NOW, due_at=NOW + 30 * HOUR_MS)
    story.submitted("soon", NOW, due_at=NOW + 600_000)
    assert (story.generic(NOW).queued, story.generic(NOW).oldest_queued_at) == (2, None)
    assert story.generic(NOW + 900_000).oldest_queued_at == rfc3339((NOW + 600_000) // SLOT_MS * SLOT_MS)
    assert story.generic(NOW + 31 * HOUR_MS).oldest_queued_at == rfc3339((NOW + 600_000) // SLOT_MS * SLOT_MS)


@given(st.lists(st.tuples(st.integers(0, 12), st.integers(0, 12)), max_size=12))
def test_batches_that_come_again_wholly_or_in_part_change_nothing(repeats: list[tuple[int, int]]) -> None:
    story = Story()
    for number in range(4):
        story.whole(f"job-{number}", NOW + number)
    page, seen = Page(), 0
    for start, size in [*repeats, (0, 12)]:
        first = min(start, seen)
        for record in story.records[first : first + size]:
            entered(page, record, 0.000_001)
        seen = max(seen, min(first + size, 12))
    assert {HOUR: page} == story.pages()


@given(st.lists(st.integers(1, 40_000_000_000), min_size=1, max_size=60), st.sampled_from([0.0, 0.5, 0.95, 1.0]))
def test_a_quantile_is_at_most_5_percent_from_the_exact_one(durations_ms: list[int], share: float) -> None:
    buckets: dict[int, int] = {}
    for duration_ms in durations_ms:
        buckets[bucket_of(duration_ms)] = buckets.get(bucket_of(duration_ms), 0) + 1
    exact = sorted(durations_ms)[max(1, math.ceil(share * len(durations_ms))) - 1]
    found = quantile_ms(buckets, share)
    assert found is not None
    assert abs(found - exact) <= exact * ERROR * 1.000_001
    assert len(buckets) <= 250, "whatever the durations"


def test_nothing_has_no_quantile() -> None:
    assert quantile_ms({}, 0.5) is None


MOVES = st.lists(st.tuples(st.integers(0, 5), st.integers(0, 9), st.integers(1, 1_500_000)), max_size=60)


@given(MOVES)
def test_what_the_audit_finds_at_the_cut_and_every_change_since_is_what_is_alive(
    choices: list[tuple[int, int, int]],
) -> None:
    """Whatever the jobs did, before the cut and after it, and although no page from before it is left."""
    story, now = Story(), NOW - 3 * HOUR_MS
    ends = [Event.SUCCEED, Event.FAIL, Event.SNOOZE, Event.RETRY]
    for number, choice, pause_ms in choices:
        now += pause_ms
        job_id = f"job-{number}"
        row = story.rows.get(job_id)
        if row is None:
            story.submitted(job_id, now)
        elif row.status is Status.QUEUED:
            story.claimed(job_id, max(now, row.due_at))
        elif row.status is Status.RUNNING:
            event = ends[choice % 4]
            again = {"seq": row.seq + 1, "due_at": now} if event in (Event.SNOOZE, Event.RETRY) else {}
            story.settled(job_id, event, now, **again)
    cut = hour_of(now)
    tenants: dict[str, dict[str, Counts]] = {}
    kept = [row for row in story.rows.values() if len(row.history) < 8]
    for row in kept:
        enter_alive(tenants, row, cut * HOUR_MS)
    pages: dict[int, Page] = {}
    for record in story.records:
        if record.new is not None and story.rows[record.new.job_id] in kept:
            entered(pages.setdefault(hour_of(record.new.updated_at), Page()), record, 0.0)
    since = [(hour, page) for hour, page in pages.items() if hour >= cut]
    found = stats_of(since, tenants.get("t", {}), cut, now).types
    for status, name in ((Status.QUEUED, "queued"), (Status.RUNNING, "running")):
        assert sum(getattr(one, name) for one in found) == sum(row.status is status for row in kept)
    due = [max(row.due_at, row.updated_at) // SLOT_MS for row in kept if row.status is Status.QUEUED]
    oldest = {one.oldest_queued_at for one in found} - {None}
    assert oldest == ({rfc3339(min(due) * SLOT_MS)} if due else set())


def test_a_history_that_does_not_reach_back_to_the_cut_is_gone_on_from() -> None:
    story = Story()
    story.submitted("a", NOW - 2 * HOUR_MS)
    for number in range(6):
        story.claimed("a", NOW + 2 * number)
        story.settled("a", Event.SNOOZE, NOW + 2 * number + 1, seq=number + 2, due_at=NOW + 2 * number + 1)
    tenants: dict[str, dict[str, Counts]] = {}
    enter_alive(tenants, story.rows["a"], HOUR * HOUR_MS)
    assert (tenants["t"]["generic"].queued, tenants["t"]["generic"].running) == (1, 0)


def test_a_job_that_was_put_off_since_the_cut_is_nobodys_oldest() -> None:
    story, start = Story(), HOUR * HOUR_MS
    story.submitted("a", start - 60_000)
    for at in (start + 60_000, start + 900_000):
        story.claimed("a", at)
        story.settled("a", Event.SNOOZE, at + 1, seq=story.rows["a"].seq + 1, due_at=at + 1)
    story.claimed("a", start + 1_800_000)
    tenants: dict[str, dict[str, Counts]] = {}
    enter_alive(tenants, story.rows["a"], start)
    since = [(hour, page) for hour, page in story.pages().items() if hour >= HOUR]
    (found,) = stats_of(since, tenants["t"], HOUR, start + 1_900_000).types
    assert (found.queued, found.running, found.oldest_queued_at) == (0, 1, None)
