"""Worlds of parents and children keep every promise, and would not if any one thing in fan-in were wrong."""

from collections.abc import Mapping, Sequence
from itertools import chain
from typing import Final

import pytest

from handlers.jobs import cancel_children
from shared.children import Group
from shared.consequences import Act, Look, Prune, Report, consequences
from shared.fan_in import end_of_node
from shared.job import Job
from shared.ports import Ports
from shared.runtime import children, fan_in, reactor
from shared.status import Event
from tests.simulation.families import counted_families, families
from tests.simulation.mutations import Mutation, without_guards

WORLDS: Final = 100
CHUNK: Final = 25
SEEDS_MAX: Final = 10
"""A mutation must be noticed within so many worlds."""

FIRST_SEED: Final = {
    "not look when it begins to wait": 33,
    "not cancel children": 27,
    "not tell a failure at once": 9,
    "leave children alive": 27,
    "wait from RUNNING without 'holds lease'": 61,
}
"""Where to begin with what few worlds notice."""

GUARDS: Final = {
    "wait from RUNNING without 'holds lease'",
    "expire from WAITING without 'deadline over'",
}
"""Of the moves of their own. Few worlds miss the others: the contract suite looks at each by itself."""

NEW: Final = {Event.WAIT, Event.WAKE, Event.EXPIRE, Event.SUBMIT_CANCELLED}
"""Moves that only parents and children make."""


@pytest.mark.parametrize("first", range(0, WORLDS, CHUNK))
def test_no_family_breaks_a_promise(first: int) -> None:
    for seed in range(first, first + CHUNK):
        report = counted_families(seed)
        assert not report.violations, report.verdict


def test_the_families_make_every_move_of_theirs() -> None:
    reports = [counted_families(seed) for seed in range(25)]
    assert {*chain.from_iterable(report.events for report in reports)} >= NEW
    assert sum(report.faults for report in reports) > 200


def test_a_familys_seed_tells_the_same_story_every_time() -> None:
    told = [families(seed).story for seed in (3, 3)]
    assert told[0] == told[1]
    assert len(told[0]) > 20


# --- what is wrong is noticed -----------------------------------------------------------------------------------------


def without(kind: type[Act]) -> Mutation:
    """A consequence that is forgotten."""

    def mutant(old: Job | None, new: Job | None) -> tuple[Act, ...]:
        return tuple(act for act in consequences(old, new) if not isinstance(act, kind))

    return lambda patch: patch.setattr(reactor, "consequences", mutant)


def deaf_to_failures(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(fan_in, "tells_at_once", lambda link, end: False)


def nodes_over_too_soon(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(fan_in, "end_of_node", lambda sets, size: end_of_node(sets, size - 1))


def woken_by_anything(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(fan_in, "is_to_be_woken", lambda parent, inbox: parent.status == "WAITING")


def groups_not_written(patch: pytest.MonkeyPatch) -> None:
    """Children without a trace in their parent's row."""
    patch.setattr(children, "groups_text", lambda groups: "")


def nobody_cancelled(patch: pytest.MonkeyPatch) -> None:
    async def some(ports: Ports, parent: Job, group: Group, indexes: Sequence[int]) -> int:
        return 0

    patch.setattr(cancel_children, "prune_some", some)


MUTATIONS: Final[Mapping[str, Mutation]] = {
    "not look when it begins to wait": without(Look),
    "not tell an end": without(Report),
    "not cancel children": without(Prune),
    "not tell a failure at once": deaf_to_failures,
    "call a node over too soon": nodes_over_too_soon,
    "wake without a reason": woken_by_anything,
    "begin groups that are written nowhere": groups_not_written,
    "leave children alive": nobody_cancelled,
    **{name: mutation for name, mutation in without_guards().items() if name in GUARDS},
}


@pytest.mark.parametrize("name", MUTATIONS)
def test_what_is_wrong_with_families_is_noticed(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    MUTATIONS[name](monkeypatch)
    first = FIRST_SEED.get(name, 0)
    assert any(counted_families(seed).violations for seed in range(first, first + SEEDS_MAX))
