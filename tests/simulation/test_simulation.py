"""Worlds of bad weather keep every promise, and would not if any one thing in Longshore were wrong."""

from collections.abc import Callable
from itertools import chain
from typing import Final

import pytest

from shared.status import MOVES, Event
from tests.simulation.mutations import MUTATIONS
from tests.simulation.simulation import Report, counted, simulate
from tests.simulation.test_model import DEADLINES, NEEDLESS

SEEDS: Final = 200
CHUNK: Final = 25
SEEDS_MAX: Final = 40
"""A mutation must be noticed within so many worlds."""

FIRST_SEED: Final = {
    "drop dead letters": 30,
    "not recognise a lost answer": 10,
    "pay for the world's faults": 20,
    "take over in company": 15,
    "beat from RUNNING without 'holds lease'": 65,
    "bury from RUNNING alone without 'ran alone'": 30,
    "proceed from RUNNING without 'no cancel flag'": 110,
    "retry from RUNNING without 'holds lease'": 20,
    "snooze from RUNNING without 'holds lease'": 60,
    "snooze from RUNNING without 'no cancel flag'": 130,
    "succeed from RUNNING without 'holds lease'": 230,
}
"""Where to begin with what few worlds notice: a run must outlive its lease, be taken over, and then end just so."""

UNWRITTEN: Final = {Event.WAIT, Event.WAKE, Event.EXPIRE, Event.SUBMIT_CANCELLED}
"""Moves of parents and children, which live in worlds of their own: `test_families.py`."""

TWO_DEATHS: Final = "another must take over, and die too, before what was decided about the first death is written"
LATE_FLAG: Final = (
    "somebody must ask between the decision and its write; but who asks when the lease is over ends the job"
)
SELDOM: Final = "one world in several hundred, as for the other ends of a run without its lease"
BURIED_FIRST: Final = "`decide` asks for a burial first; the model looks at the table itself"

BY_THE_MODEL_ALONE: Final = {
    "claim from QUEUED without 'deadline not over'": DEADLINES,
    "proceed from RUNNING without 'holds lease'": SELDOM,
    "fail from RUNNING without 'holds lease'": SELDOM,
    "succeed_partly from RUNNING without 'holds lease'": SELDOM,
    "reclaim from RUNNING without 'same epoch'": TWO_DEATHS,
    "reclaim from RUNNING alone without 'same epoch'": TWO_DEATHS,
    "reclaim from RUNNING without 'no cancel flag'": LATE_FLAG,
    "reclaim from RUNNING alone without 'no cancel flag'": LATE_FLAG,
    "reclaim from RUNNING without 'ran in company'": BURIED_FIRST,
    "reclaim from RUNNING alone without 'attempts remain'": BURIED_FIRST,
    "reclaim from RUNNING alone without 'ran alone'": NEEDLESS[("reclaim", "ran alone")],
    "bury from RUNNING alone without 'same epoch'": NEEDLESS[("bury", "same epoch")],
    "cancelled from RUNNING without 'same epoch'": NEEDLESS[("cancelled", "same epoch")],
}
"""Guards that hardly any world would miss, and why. `test_model.py` misses them, but for those it calls needless."""


def is_simulated(name: str) -> bool:
    return name not in BY_THE_MODEL_ALONE and not name.startswith(tuple(f"{event} from" for event in UNWRITTEN))


@pytest.mark.parametrize("first", range(0, SEEDS, CHUNK))
def test_no_world_breaks_a_promise(first: int) -> None:
    for seed in range(first, first + CHUNK):
        report = counted(seed)
        assert not report.violations, report.verdict


def test_the_worlds_are_as_bad_as_they_should_be(record_property: Callable[[str, object], None]) -> None:
    reports = [counted(seed) for seed in range(25)]
    assert {*chain.from_iterable(report.events for report in reports)} == set(Event) - UNWRITTEN
    assert sum(report.runs for report in reports) > 1.5 * sum(report.jobs for report in reports)
    record_property("faults", sum(report.faults for report in reports))
    assert sum(report.faults for report in reports) > 300


def test_a_seed_tells_the_same_story_every_time() -> None:
    told = [simulate(seed).story for seed in (0, 0)]
    assert told[0] == told[1]
    assert len(told[0]) > 50


@pytest.mark.parametrize("name", [name for name in MUTATIONS if is_simulated(name)])
def test_what_is_wrong_is_noticed(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    MUTATIONS[name](monkeypatch)
    first = FIRST_SEED.get(name, 0)
    seeds = range(first, first + SEEDS_MAX)
    assert any(noticed(counted(seed)) for seed in seeds), f"no world of {seeds} notices: are there others that do?"


def noticed(report: Report) -> bool:
    return bool(report.violations)


def test_what_only_the_model_notices_is_a_mutation() -> None:
    assert MUTATIONS.keys() >= BY_THE_MODEL_ALONE.keys() | FIRST_SEED.keys()
    assert {rule.event for rule in MOVES} >= UNWRITTEN


def test_a_failure_says_how_to_see_it_again(monkeypatch: pytest.MonkeyPatch) -> None:
    MUTATIONS["write unconditionally"](monkeypatch)
    report = next(filter(noticed, map(simulate, range(SEEDS_MAX))))
    assert f"make sim SEED={report.seed}" in report.verdict
    assert report.violations[0] in report.verdict
    assert any("VIOLATION" in line for line in report.story)
