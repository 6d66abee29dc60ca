"""What a tick decides about a schedule."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.errors import Conflict
from shared.schedule import (
    RUNS_MAX,
    LastRun,
    Schedule,
    ScheduleTerms,
    decided,
    done,
    job_id_of,
    owner_of,
    paused,
    resumed,
    run_by_hand,
    starts_at,
)

MINUTE = 60_000
NOON = 1_767_268_800_000
"""2026-01-01T12:00:00Z"""

NO_RUNS = {"is_previous_alive": False}


def active(**terms: Any) -> Schedule:
    """Every minute from noon on, if nothing else is said."""
    asked = ScheduleTerms.model_validate({"name": "tick", "cron": "* * * * *", "payload": {"type": "generic"}, **terms})
    made = Schedule(
        tenant_id="acme",
        schedule_id="sch_1",
        terms=asked,
        birth="b",
        rev="r",
        created_at=0,
        created_by="ann",
        updated_at=0,
    )
    return resumed(made, NOON - 1000)


def runs(found: Schedule, now: int, *, is_previous_alive: bool = False) -> list[int]:
    """In minutes after noon."""
    after = decided(found, now, is_previous_alive=is_previous_alive)
    return [(due_at - NOON) // MINUTE for due_at in after.pending]


@pytest.mark.parametrize(
    ("policies", "minutes", "expected"),
    [
        ({}, 0, [0]),
        ({}, 3, [0, 1, 2, 3]),  # a tick that was slow is no outage
        ({"missed": "skip"}, 10, [5, 6, 7, 8, 9, 10]),
        ({"missed": "once"}, 10, [5, 6, 7, 8, 9, 10]),
        ({"missed": "all", "missed_max": 2}, 10, [3, 4, 5, 6, 7, 8, 9, 10]),
        ({"missed": "all", "missed_max": 100}, 8, [0, 1, 2, 3, 4, 5, 6, 7, 8]),
        ({"overlap": "skip"}, 3, [3]),
        ({"overlap": "cancel_previous"}, 3, [3]),
        ({"overlap": "skip", "missed": "all"}, 30, [30]),
        ({"cron": "0 * * * *", "missed": "skip"}, 190, []),
        ({"cron": "0 * * * *", "missed": "once"}, 190, [180]),
        ({"cron": "0 * * * *", "missed": "all"}, 190, [0, 60, 120, 180]),
        ({"cron": "0 * * * *", "missed": "once"}, 181, [180]),  # the punctual one stands for those before it
        ({"cron": "0 * * * *", "missed": "skip", "late_s": 3600}, 190, [180]),
    ],
)
def test_what_is_late_runs_as_its_policy_says(policies: dict[str, Any], minutes: int, expected: list[int]) -> None:
    assert runs(active(**policies), NOON + minutes * MINUTE) == expected


def test_a_run_that_meets_the_one_before_it_is_left_out_or_takes_its_place() -> None:
    assert runs(active(), NOON, is_previous_alive=True) == [0]
    assert runs(active(overlap="cancel_previous"), NOON, is_previous_alive=True) == [0]
    left_out = decided(active(overlap="skip"), NOON, is_previous_alive=True)
    assert not left_out.pending
    assert left_out.skipped is not None
    assert (left_out.skipped.due_at, left_out.skipped.reason) == (NOON, "the run before it was not over")
    assert left_out.wakes_at == NOON + MINUTE


def test_what_was_decided_is_not_decided_again_and_the_document_waits_for_it() -> None:
    found = active(cron="0 * * * *")
    pending = decided(found, NOON, **NO_RUNS)
    assert (pending.pending, pending.next_at, pending.wakes_at) == ((NOON,), NOON + 60 * MINUTE, NOON)
    assert pending.entry == found.entry
    after = done(pending, {})
    assert after.last == LastRun(due_at=NOON, job_id=job_id_of(found, NOON))
    assert (after.pending, after.wakes_at) == ((), NOON + 60 * MINUTE)


def test_what_was_decided_runs_though_the_schedule_is_paused_meanwhile() -> None:
    pending = paused(decided(active(), NOON, **NO_RUNS), NOON)
    assert (pending.state, pending.wakes_at) == ("paused", NOON)
    assert (done(pending, {}).state, done(pending, {}).entry) == ("paused", None)


def test_what_was_due_in_a_pause_is_not_made_up_for() -> None:
    resting = paused(active(missed="all"), NOON)
    assert (resting.next_at, resting.entry) == (None, None)
    assert resumed(resting, NOON + 90 * MINUTE).next_at == NOON + 91 * MINUTE


def test_a_moment_that_has_passed_is_over() -> None:
    once = active(cron=None, at="2026-01-01T12:00:00Z")
    after = done(decided(once, NOON + 1, **NO_RUNS), {})
    assert (after.state, after.entry, paused(after, NOON)) == ("done", None, after)
    with pytest.raises(Conflict):
        resumed(after, NOON + 2)
    missed = decided(active(cron=None, at="2026-01-01T12:00:00Z", missed="skip"), NOON + 3_600_000, **NO_RUNS)
    assert (missed.state, missed.skipped and missed.skipped.reason) == ("done", "missed")


def test_a_run_that_was_refused_says_why_and_the_next_is_awaited() -> None:
    after = done(decided(active(), NOON, **NO_RUNS), {NOON: "no such field " * 50})
    assert after.last is None
    assert after.skipped is not None
    assert len(after.skipped.reason) == 200
    assert after.wakes_at == NOON + MINUTE


def test_a_run_by_hand_is_the_last_and_changes_no_plan() -> None:
    found = active()
    after = run_by_hand(found, NOON + 5, "job_1")
    assert (after.last, after.entry) == (LastRun(due_at=NOON + 5, job_id="job_1"), found.entry)


@settings(max_examples=200, deadline=None, derandomize=True, database=None)
@given(st.integers(0, 3600), st.integers(0, 400), st.sampled_from(["skip", "once", "all"]), st.integers(1, 100))
def test_ticks_at_any_time_run_each_due_time_at_most_once_and_none_before_its_jitter(
    jitter_s: int, step_s: int, missed: str, missed_max: int
) -> None:
    found, now, ran = active(jitter_s=jitter_s, missed=missed, missed_max=missed_max), NOON, list[int]()
    for _ in range(40):
        if found.wakes_at is not None and found.wakes_at <= now:
            pending = decided(found, now, **NO_RUNS)
            assert len(pending.pending) <= RUNS_MAX
            assert all(starts_at(found, due_at) <= now for due_at in pending.pending)
            ran += pending.pending
            found = done(pending, {}) if pending.pending else pending
        assert found.wakes_at is not None
        assert found.wakes_at > now
        now += step_s * 1000
    assert ran == sorted({*ran})
    if ran and step_s <= 60 and jitter_s <= 240:
        assert ran == [*range(NOON, ran[-1] + 1, MINUTE)], "ticks each minute leave nothing out"


def test_an_outage_of_years_is_decided_at_once_and_no_more_than_a_hundred_run() -> None:
    found = active(missed="all", missed_max=100)
    after = decided(found, NOON + 3 * 365 * 1440 * MINUTE, **NO_RUNS)
    assert len(after.pending) == RUNS_MAX
    assert after.pending[-1] == NOON + 3 * 365 * 1440 * MINUTE


def test_jitter_spreads_schedules_and_is_the_same_for_whoever_asks() -> None:
    found = active(jitter_s=600)
    starts = {starts_at(found.model_copy(update={"birth": str(n)}), NOON) for n in range(200)}
    assert len(starts) > 150
    assert all(NOON <= at <= NOON + 600_000 for at in starts)


def test_an_entry_names_its_owner_and_no_two_states_share_one() -> None:
    found = active()
    assert owner_of(found.entry or "") == ("acme", "sch_1")
    assert found.model_copy(update={"rev": "s"}).entry != found.entry
