"""How a run's end moves a job."""

import json
import math
from dataclasses import replace
from typing import cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.job import Job
from shared.moves import Plus
from shared.outcomes import Done, Failed, Outcome, Partial, Proceed, Snooze, Stopped, WaitFor
from shared.payloads.results import RowError
from shared.retry import Policy
from shared.status import Event, Status
from shared.verdict import CHECKPOINT_BYTES_MAX, HOPS_MAX, settle

NOW = 1_700_000_000_000

JOB = Job(
    tenant_id="acme",
    job_id="job_1",
    type="generic",
    status=Status.RUNNING,
    seq=1,
    epoch=1,
    token="t",
    attempts_left=3,
    attempts_max=3,
    created_at=NOW,
    updated_at=NOW,
    due_at=NOW,
    payload_hash="h",
    checkpoint="here",
)
POLICY = Policy()
TRANSIENT = Failed("busy", "come back", permanent=False)


@pytest.mark.parametrize(
    ("outcome", "event"),
    [
        (Done(None), Event.SUCCEED),
        (Partial(None, []), Event.SUCCEED_PARTLY),
        (Snooze(3), Event.SNOOZE),
        (Proceed("there"), Event.PROCEED),
        (Proceed("here"), Event.RETRY),
        (Proceed("x" * (CHECKPOINT_BYTES_MAX + 1)), Event.FAIL),
        (Proceed("caf\udce9"), Event.FAIL),
        (TRANSIENT, Event.RETRY),
        (replace(TRANSIENT, permanent=True), Event.FAIL),
        (Stopped(), Event.CANCELLED),
    ],
)
def test_each_outcome_has_its_event(outcome: Outcome, event: Event) -> None:
    assert settle(outcome, JOB, POLICY, dice=0.5, now=NOW).event is event


def test_how_many_rows_are_missing_is_told_even_if_not_all_of_them_are() -> None:
    verdict = settle(
        Partial(None, [RowError(table="t", code="bad", message="so")], 1_240), JOB, POLICY, dice=0.5, now=NOW
    )
    assert "1240 rows or parts" in cast("str", verdict.changes["error"])
    assert verdict.note == "1,240 left out"


def test_who_waits_says_for_what_and_until_when() -> None:
    verdict = settle(WaitFor((), "there", timeout_s=60, awaits=(3, 4)), JOB, POLICY, dice=0.5, now=NOW)
    assert verdict.event is Event.WAIT
    assert dict(verdict.changes) == {
        "checkpoint": "there",
        "awaits": "3 4",
        "wait_number": 1,
        "deadline_at": NOW + 60_000,
    }
    again = settle(WaitFor((), "there", awaits=(3,)), replace(JOB, wait_number=7), POLICY, dice=0.5, now=NOW)
    assert again.changes["wait_number"] == 8, "each wait has a number of its own"


def test_who_waits_for_nobody_goes_on_and_not_for_ever() -> None:
    verdict = settle(WaitFor((), "there"), JOB, POLICY, dice=0.5, now=NOW)
    assert (verdict.event, verdict.changes["checkpoint"], verdict.changes["awaits"]) == (Event.PROCEED, "there", "")
    assert settle(WaitFor((), "there"), replace(JOB, seq=HOPS_MAX), POLICY, dice=0.5, now=NOW).event is Event.FAIL
    too_large = WaitFor((), "x" * (CHECKPOINT_BYTES_MAX + 1), awaits=(0,))
    assert settle(too_large, JOB, POLICY, dice=0.5, now=NOW).event is Event.FAIL


def test_the_last_transient_failure_is_final() -> None:
    verdict = settle(TRANSIENT, replace(JOB, attempts_left=1), POLICY, dice=0.5, now=NOW)
    assert (verdict.event, verdict.changes["attempts_left"]) == (Event.FAIL, 0)


@pytest.mark.parametrize("outcome", [Snooze(1), Proceed("there"), TRANSIENT])
def test_a_job_that_goes_round_in_circles_ends(outcome: Outcome) -> None:
    verdict = settle(outcome, replace(JOB, seq=HOPS_MAX), POLICY, dice=0.5, now=NOW)
    assert verdict.event is Event.FAIL
    assert json.loads(cast("str", verdict.changes["error"]))["code"] == "too_many_hops"


@pytest.mark.parametrize("delay_s", [math.inf, -math.inf, math.nan, 1e300, 1_700_000_000_000, -5])
def test_nothing_is_put_off_for_longer_than_a_year_whoever_asks(delay_s: float) -> None:
    for outcome in (Snooze(delay_s), replace(TRANSIENT, retry_after_s=delay_s)):
        due_at = settle(outcome, JOB, POLICY, dice=0.5, now=NOW).changes["due_at"]
        assert isinstance(due_at, int)
        assert NOW <= due_at <= NOW + 366 * 24 * 3_600_000


@given(
    dice=st.floats(0, 1, exclude_max=True),
    left=st.integers(2, 20),
    retry_after_s=st.none() | st.floats(0, 5_000),
)
def test_a_retry_comes_within_the_policys_bounds_and_not_before_it_was_asked_to(
    dice: float, left: int, retry_after_s: float | None
) -> None:
    job = replace(JOB, attempts_max=20, attempts_left=left)
    verdict = settle(replace(TRANSIENT, retry_after_s=retry_after_s), job, POLICY, dice=dice, now=NOW)
    wait_ms = cast("int", verdict.changes["due_at"]) - NOW
    assert verdict.changes["seq"] == Plus(1)
    assert verdict.changes["attempts_left"] == left - 1
    assert round((retry_after_s or 0) * 1000) <= wait_ms <= max(30_000, round((retry_after_s or 0) * 1000))


@given(st.text(max_size=2_000), st.text(max_size=300))
def test_the_rows_error_stays_small_whatever_the_message(message: str, code: str) -> None:
    verdict = settle(Failed(code[:60], message, permanent=True), JOB, POLICY, dice=0, now=NOW)
    error = json.loads(cast("str", verdict.changes["error"]))
    assert len(error["message"].encode("utf-8", "surrogatepass")) <= 200


@pytest.mark.parametrize("outcome", [Done(None), Snooze(1), Proceed("there"), Stopped(), Partial(None, [])])
def test_only_failures_cost_an_attempt(outcome: Outcome) -> None:
    assert "attempts_left" not in settle(outcome, JOB, POLICY, dice=0.5, now=NOW).changes
