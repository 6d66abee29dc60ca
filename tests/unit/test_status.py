"""What must hold of the table of moves itself, whoever reads it."""

from itertools import groupby

import pytest

from shared import status as table
from shared.job import ATTRIBUTES
from shared.status import GUARDS, MOVES, TARGET, TERMINAL, Event, Rule, Status, applicable, permitted

ALIVE = sorted(set(Status) - TERMINAL)


def reachable(start: Status | None) -> set[Status]:
    """Every status that some way through the table leads to from `start` (None: no row)."""
    found: set[Status | None] = {start}
    while edge := {rule.target for rule in MOVES if rule.source in found} - found:
        found |= edge
    return {status for status in found if status is not None}


@pytest.mark.parametrize("status", ALIVE)
def test_no_job_that_lives_is_without_a_way_to_its_end(status: Status) -> None:
    assert reachable(status) >= TERMINAL


def test_every_status_is_reached_from_nothing() -> None:
    assert reachable(None) == set(Status)


def test_what_is_over_stays_over_unless_it_is_redriven() -> None:
    assert {rule.event for rule in MOVES if rule.source in TERMINAL} == {Event.REDRIVE}
    assert Status.SUCCESS not in {rule.source for rule in MOVES}


def test_a_waiting_message_never_ends_a_queued_job() -> None:
    assert {rule.event for rule in MOVES if rule.source is Status.QUEUED} == {Event.CLAIM, Event.CANCEL, Event.EXPIRE}


@pytest.mark.parametrize("rule", [rule for rule in MOVES if rule.source is Status.RUNNING], ids=str)
def test_a_running_job_is_moved_by_the_holder_of_its_lease_or_after_the_lease(rule: Rule) -> None:
    assert {"holds lease", "lease over"} & {*rule.guards} or rule.event is Event.REQUEST_CANCEL


@pytest.mark.parametrize("rule", [rule for rule in MOVES if rule.costs_attempt == "yes"], ids=str)
def test_an_attempt_is_spent_by_failures_and_by_deaths_alone(rule: Rule) -> None:
    if rule.event in (Event.RECLAIM, Event.BURY):
        assert {"lease over", "ran alone"} <= {*rule.guards}
    else:
        assert rule.event in (Event.FAIL, Event.RETRY)


def test_a_cancel_flag_lets_no_run_go_on() -> None:
    going_on = (Event.RECLAIM, Event.RETRY, Event.SNOOZE, Event.PROCEED, Event.WAIT)
    assert all("no cancel flag" in rule.guards for rule in MOVES if rule.event in going_on)


def test_an_event_leads_to_one_status_whatever_it_found() -> None:
    for event, rules in groupby(MOVES, key=lambda rule: rule.event):
        assert {rule.target for rule in rules} == {TARGET[event]}
    assert set(TARGET) == set(Event)


def test_every_guard_is_used_and_reads_attributes_that_a_job_has() -> None:
    assert {name for rule in MOVES for name in rule.guards} == set(GUARDS)
    assert {test.attribute for rule in MOVES for test in table.tests_of(rule)} <= set(ATTRIBUTES)


def test_a_rule_is_not_for_a_writer_that_lacks_a_fact_it_asks_for() -> None:
    assert [rule.source for rule in applicable(Event.CANCEL, {})] == [Status.WAITING, Status.QUEUED]
    assert len(applicable(Event.CANCEL, {"now": 1})) == 3
    assert not permitted(Event.CANCEL, {"status": Status.RUNNING, "lease_until": 0}, {})
    assert permitted(Event.CANCEL, {"status": Status.RUNNING, "lease_until": 0}, {"now": 1})
