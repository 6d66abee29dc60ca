"""Every state of the modelled protocol keeps every promise, and would not if any one guard were missing."""

import gc
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Final

import pytest

from shared import status
from shared.delivery import Action, Delivery, Do, decide
from shared.job import Job
from shared.moves import reclaim
from shared.status import MOVES, RULES, Event, Rule, Status
from tests.simulation import model, writes
from tests.simulation.exploration import Exploration, explore
from tests.simulation.states import AHEAD, PAST, SOON, State, is_over

MODELLED: Final = set(Event) - {Event.SUBMIT_CANCELLED, Event.WAIT, Event.WAKE, Event.EXPIRE, Event.REDRIVE}

NEEDLESS: Final = {
    ("reclaim", "ran alone"): "who ran in company is taken over by the rule before, whatever attempts remain",
    ("bury", "same epoch"): "its other guards look at the row itself, and what it writes is not from the older image",
    ("cancelled", "same epoch"): "as for bury",
}
"""Guards that make no difference to one job on its own, and why. They stay: each says what the writer believes."""

DEADLINES: Final = "no job of these worlds has a deadline: tests/contract/test_table_of_moves.py notices its want"

THREE_FAULTS: Final = {("reclaim", "same epoch")}
"""Two runs must die before the first one's successor writes what it decided."""

Without = tuple[Rule, str]

WITHOUT: Final[list[Without]] = [
    (rule, guard) for rule in MOVES if rule.event in MODELLED for guard in rule.guards if "deadline" not in guard
]
"""Without `DEADLINES`."""


def named(without: Without) -> str:
    rule, guard = without
    return f"{rule.event} without '{guard}' ({', '.join(rule.guards)})"


def is_needless(without: Without) -> bool:
    rule, guard = without
    return (rule.event.value, guard) in NEEDLESS


def with_rules(monkeypatch: pytest.MonkeyPatch, rule: Rule, *others: Rule) -> None:
    """The table with `others` in place of `rule`."""
    rules = [others if one is rule else (one,) for one in RULES[rule.event]]
    monkeypatch.setitem(status.RULES, rule.event, tuple(one for group in rules for one in group))


def without_guard(monkeypatch: pytest.MonkeyPatch, without: Without) -> None:
    rule, guard = without
    with_rules(monkeypatch, rule, replace(rule, guards=tuple(name for name in rule.guards if name != guard)))


def noticed(found: Exploration) -> bool:
    return bool(found.broken or found.stranded())


@pytest.fixture(autouse=True)
def no_garbage() -> Iterator[None]:
    """Hundreds of thousands of tuples, and no cycle among them: looking for one takes a third of the time."""
    gc.disable()
    yield
    gc.enable()


def test_no_state_breaks_a_promise_and_every_state_leads_to_the_end(
    record_property: Callable[[str, object], None],
) -> None:
    found = explore(faults=3)
    assert found.broken == ""
    stranded = found.stranded()
    assert not stranded, found.story(stranded[0])
    record_property("states", len(found.came_from))
    assert len(found.came_from) > 50_000


def test_the_model_reaches_what_it_is_about() -> None:
    states = explore(faults=2).came_from
    rows = [state.row for state in states if state.row is not None]
    assert {row.status for row in rows} == {Status.QUEUED, Status.RUNNING, Status.FAILED}, "FAILED stands for any end"
    assert {(row.seq, row.attempts_left) for row in rows if row.status is Status.QUEUED} >= {(1, 2), (2, 1), (3, 1)}
    assert {row.lease_until for row in rows} == {row.due_at for row in rows} == {AHEAD, SOON, PAST}
    assert any(both_run_it(state) for state in states), "one of them has lost its lease"
    assert any(row.flagged for row in rows)
    assert sum(map(is_over, states)) > 1


def both_run_it(state: State) -> bool:
    return all(worker is not None and worker.job is not None for worker in state.workers)


@pytest.mark.parametrize("without", [one for one in WITHOUT if not is_needless(one)], ids=named)
def test_a_guard_that_is_missing_is_noticed(without: Without, monkeypatch: pytest.MonkeyPatch) -> None:
    without_guard(monkeypatch, without)
    rule, guard = without
    assert noticed(explore(faults=3 if (rule.event.value, guard) in THREE_FAULTS else 2))


@pytest.mark.parametrize("without", [one for one in WITHOUT if is_needless(one)], ids=named)
def test_a_guard_that_is_called_needless_is_none(without: Without, monkeypatch: pytest.MonkeyPatch) -> None:
    """Should it begin to matter one day, it leaves the list."""
    without_guard(monkeypatch, without)
    assert not noticed(explore(faults=1))


def test_the_list_of_needless_guards_names_guards() -> None:
    assert {(rule.event.value, guard) for rule, guard in WITHOUT} >= NEEDLESS.keys() | THREE_FAULTS


@pytest.mark.parametrize("source", [Status.RUNNING, Status.FAILED])
def test_a_claim_of_what_is_not_queued_is_noticed(source: Status, monkeypatch: pytest.MonkeyPatch) -> None:
    (claim,) = RULES[Event.CLAIM]
    with_rules(monkeypatch, claim, claim, replace(claim, source=source))
    assert noticed(explore(faults=2))


@pytest.mark.parametrize("source", [Status.QUEUED, Status.FAILED])
def test_a_takeover_of_what_does_not_run_is_noticed(source: Status, monkeypatch: pytest.MonkeyPatch) -> None:
    in_company, _ = RULES[Event.RECLAIM]
    with_rules(monkeypatch, in_company, in_company, replace(in_company, source=source))
    assert noticed(explore(faults=2))


# --- what is not in the table -----------------------------------------------------------------------------------------


def deciding(instead_of: Do, reason: str, do: Do) -> Callable[[Job | None, Delivery, int], Action]:
    def mutant(row: Job | None, delivery: Delivery, now: int) -> Action:
        action = decide(row, delivery, now)
        return Action(do, "mutant") if (action.do, action.reason) == (instead_of, reason) else action

    return mutant


@pytest.mark.parametrize(
    "mutant",
    [
        pytest.param(deciding(Do.HIDE, "leased", Do.ACKNOWLEDGE), id="a leased job's message is acknowledged"),
        pytest.param(deciding(Do.HIDE, "not_due", Do.ACKNOWLEDGE), id="an early message is acknowledged"),
        pytest.param(deciding(Do.ACKNOWLEDGE, "stale", Do.HIDE), id="a stale message stays"),
        pytest.param(deciding(Do.RECLAIM, "lease_over", Do.HIDE), id="nobody takes over from the dead"),
        pytest.param(deciding(Do.BURY, "lease_over", Do.RECLAIM), id="what dies alone is taken over for ever"),
    ],
)
def test_a_wrong_decision_about_a_message_is_noticed(
    mutant: Callable[[Job | None, Delivery, int], Action], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(model, "decide", mutant)
    assert noticed(explore(faults=2))


def test_a_lost_answer_that_is_not_recognised_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writes, "happened", lambda move, image: False)
    assert noticed(explore(faults=2))


def test_a_queued_job_that_nobody_is_woken_for_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writes, "consequences", lambda old, new: ())
    assert noticed(explore(faults=0))


def test_a_neighbours_death_that_costs_an_attempt_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writes, "reclaim", lambda seen, lease, now: reclaim(replace(seen, alone=True), lease, now))
    assert noticed(explore(faults=2))


def test_a_death_alone_that_costs_nothing_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writes, "reclaim", lambda seen, lease, now: reclaim(replace(seen, alone=None), lease, now))
    assert noticed(explore(faults=2))


def test_a_token_that_is_used_twice_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(model, "fresh", lambda state: "t0")
    assert noticed(explore(faults=2))


def test_a_story_tells_how_it_came(monkeypatch: pytest.MonkeyPatch) -> None:
    (claim,) = RULES[Event.CLAIM]
    without_guard(monkeypatch, (claim, "due"))
    promise, *story = explore(faults=0).broken.splitlines()
    assert promise == "nothing begins before it is due"
    assert [line.strip() for line in story][-2:] == [
        "worker 0 writes snooze for the bare message 1: applied",
        "worker 0 writes claim for wake-up 2: applied",
    ]
