"""The tree that ends are gathered in, and the one predicate that wakes a parent."""

import itertools
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.children import Group, Link, awaits_text, child_id, groups_of, groups_text, latest_groups, next_number
from shared.children import read_link as link_from
from shared.fan_in import (
    END_OF,
    HURT,
    RADIX,
    End,
    Place,
    Sets,
    end_of_group,
    end_of_node,
    is_hurt,
    is_to_be_woken,
    leaves,
    places,
    tells_at_once,
)
from shared.status import TERMINAL, Status
from tests.unit.test_verdict import JOB

SAMPLES = [*range(1, 451), 40_000, 40_001, 100_000, 1_000_000]


def indexes(total: int) -> Iterator[int]:
    """All of a small group; of a large one those at the edges of nodes, and some between."""
    if total <= 450:
        return iter(range(total))
    edges = {edge + by for edge in range(0, total, RADIX * RADIX) for by in (-1, 0, 1, RADIX - 1, RADIX)}
    return iter(sorted({index for index in {*edges, *range(0, total, 997), total - 1} if 0 <= index < total}))


def test_the_way_of_every_child_leads_to_the_same_root_through_members_of_their_own() -> None:
    for total in SAMPLES:
        check_ways(total)


def check_ways(total: int) -> None:
    ways = {index: list(places(index, total)) for index in indexes(total)}
    firsts = [(way[0].node, way[0].member) for way in ways.values() if way]
    assert len(set(firsts)) == len(firsts), "no two children are one member"
    assert {len(way) for way in ways.values()} == {levels(total)}
    for way in ways.values():
        assert [place.level for place in way] == list(range(len(way)))
        assert all(0 <= place.member < place.size <= RADIX for place in way)
        assert all(above.node * RADIX + above.member == below.node for below, above in itertools.pairwise(way))
        assert not way or way[-1].node == 0


def levels(total: int) -> int:
    """How many times 200 children fit under one node until there is one."""
    return 0 if total == 1 else next(level for level in range(1, 9) if RADIX**level >= total)


def test_the_nodes_of_each_level_have_room_for_all_below_and_no_more() -> None:
    for total in [*range(1, 451), 40_001]:
        check_nodes(total)


def check_nodes(total: int) -> None:
    nodes: dict[tuple[int, int], set[tuple[int, int]]] = {}
    for index in range(total):
        for place in places(index, total):
            nodes.setdefault((place.level, place.node), set()).add((place.member, place.size))
    for members in nodes.values():
        sizes = {size for _, size in members}
        assert len(members) == sizes.pop()
        assert not sizes
    bottom = [node for level, node in nodes if level == 0]
    assert sorted(bottom) == list(leaves(total))
    assert len(nodes) <= 1 + total / (RADIX - 1) + levels(total), "a node for each 200, and one for each 200 of those"


def test_a_place_is_what_it_says() -> None:
    assert list(places(0, 1)) == []
    assert list(places(1, 2)) == [Place(0, 0, 1, 2)]
    assert list(places(399, 400)) == [Place(0, 1, 199, 200), Place(1, 0, 1, 2)]
    assert list(places(40_000, 40_001)) == [Place(0, 200, 0, 1), Place(1, 1, 0, 1), Place(2, 0, 1, 2)]


@pytest.mark.parametrize(
    ("sets", "end"),
    [
        ({}, None),
        ({"ok": {0}}, None),
        ({"ok": {0, 1}}, End.OK),
        ({"bad": {0, 1}}, End.BAD),
        ({"partly": {0, 1}}, End.PARTLY),
        ({"ok": {0}, "bad": {1}}, End.PARTLY),
        ({"bad": {0}, "partly": {1}}, End.PARTLY),
        ({"ok": {0}, "bad": {0}}, None),
        ({"hurt": {0, 1}}, None),
    ],
)
def test_a_node_is_over_with_its_last_member_and_mixed_ends_are_a_part(
    sets: dict[str, set[int]], end: End | None
) -> None:
    assert end_of_node({name: frozenset(numbers) for name, numbers in sets.items()}, 2) is end


def test_the_worst_that_was_told_of_a_group_counts() -> None:
    inbox: Sets = {"ok": frozenset({0, 1, 2}), "partly": frozenset({1}), "bad": frozenset({2}), HURT: frozenset({3})}
    assert [end_of_group(inbox, group) for group in range(4)] == [End.OK, End.PARTLY, End.BAD, None]
    assert [is_hurt(inbox, group) for group in range(4)] == [False, False, False, True]


def test_every_way_to_be_over_is_an_end() -> None:
    assert END_OF.keys() == TERMINAL


def test_only_a_failure_among_others_that_must_fail_fast_is_told_at_once() -> None:
    link = Link("p", 0, 0, 2, fails_fast=True, step="s")
    assert [end for end in End if tells_at_once(link, end)] == [End.BAD]
    assert not tells_at_once(replace(link, fails_fast=False), End.BAD)
    assert not tells_at_once(replace(link, total=1), End.BAD), "the only child's end is the group's"


# --- whatever the order -----------------------------------------------------------------------------------------------


class Fold:
    """The shell's walk (`shared/runtime/fan_in.py`) on plain sets: `moments` are those at which it looks at the
    parent."""

    def __init__(self, total: int, *, fails_fast: bool) -> None:
        self.total, self.fails_fast = total, fails_fast
        self.nodes: dict[tuple[int, int], dict[str, frozenset[int]]] = {}
        self.inbox: dict[str, frozenset[int]] = {}

    def tell(self, index: int, end: End) -> bool:
        """→ was the inbox added to?"""
        link = Link("p", 0, index, self.total, self.fails_fast, "s")
        news = {HURT} if tells_at_once(link, end) else set[str]()
        up: End | None = end
        for place in places(index, self.total):
            assert up is not None
            node = self.nodes.setdefault((place.level, place.node), {})
            node[up] = node.get(up, frozenset()) | {place.member}
            if (up := end_of_node(node, place.size)) is None:
                break
        news |= {up} if up else set()
        self.inbox.update({name: frozenset({0}) for name in news})
        return bool(news)


@st.composite
def tellings(draw: st.DrawFn) -> tuple[int, list[int], list[End], int]:
    """A group, the order in which its ends are told (each at least once, some again), how each ends; and before which
    of them the parent begins to wait."""
    total = draw(st.sampled_from([1, 2, 3, 199, 200, 201, 401]))
    again = draw(st.lists(st.integers(0, total - 1), max_size=20))
    order = draw(st.permutations([*range(total), *again]))
    ends = draw(st.lists(st.sampled_from([End.OK, End.OK, End.PARTLY, End.BAD]), min_size=total, max_size=total))
    return total, list(order), ends, draw(st.integers(0, len(order)))


@given(tellings(), st.booleans())
@settings(max_examples=150, deadline=None)
def test_in_any_order_and_however_often_the_parent_is_woken_when_it_is_time_and_not_before(
    telling: tuple[int, list[int], list[End], int], fails_fast: bool
) -> None:
    """Level-triggered: who adds to the inbox looks at the parent, who sees it wait looks into the inbox."""
    total, order, ends, waits_before = telling
    fold, told, woken_at = Fold(total, fails_fast=fails_fast), Counter[int](), None
    parent = replace(JOB, status=Status.RUNNING, awaits="0")
    for moment, index in enumerate([*order, -1]):
        looks = False
        if moment == waits_before:
            parent, looks = replace(parent, status=Status.WAITING), True
        if looks and is_to_be_woken(parent, fold.inbox):
            assert is_due(told, ends, total, fails_fast), "who begins to wait is woken at once only if it is time"
            woken_at = moment
            break
        if index < 0:
            break
        told[index] += 1
        if fold.tell(index, ends[index]) and is_to_be_woken(parent, fold.inbox):
            woken_at = moment
            break
        waits = parent.status is Status.WAITING
        assert not (waits and is_due(told, ends, total, fails_fast)), "nobody looked, and it was time"
    assert woken_at is not None
    assert is_due(told, ends, total, fails_fast)


def is_due(told: Counter[int], ends: list[End], total: int, fails_fast: bool) -> bool:
    return len(told) == total or (fails_fast and any(ends[index] is End.BAD for index in told))


def test_who_waits_for_other_groups_or_does_not_wait_is_not_woken() -> None:
    inbox: Sets = {"ok": frozenset({1})}
    waiting = replace(JOB, status=Status.WAITING, awaits=awaits_text([0, 1]))
    assert is_to_be_woken(waiting, inbox)
    assert not is_to_be_woken(replace(waiting, awaits="0 2"), inbox)
    assert not is_to_be_woken(replace(waiting, awaits=None), inbox)
    assert [status for status in Status if is_to_be_woken(replace(waiting, status=status), inbox)] == [Status.WAITING]


# --- what rows know of each other -------------------------------------------------------------------------------------


def test_groups_and_links_are_read_as_they_were_written() -> None:
    groups = (Group(0, "a", 3, 0, 17), Group(1, "b-c", 1, 0, 18), Group(2, "a", 3, 1, 19))
    row = replace(JOB, groups=groups_text(groups))
    assert groups_of(row) == groups
    assert latest_groups(row) == {"a": groups[2], "b-c": groups[1]}
    assert (next_number(groups), next_number(())) == (3, 0)
    assert groups_of(JOB) == ()
    for link in (Link("p", 1, 2, 3, fails_fast=True, step="s"), Link("p", 1, 2, 3, fails_fast=False, step="wait-1-x")):
        assert link_from(str(link)) == link


def test_no_two_children_share_an_id() -> None:
    groups = [Group(0, step, 12, 1, 0, born) for step in ("s", "s1") for born in (0, 1, 11)]
    places_of = [(t, p, group, i) for t in ("a", "b") for p in ("p", "p1") for group in groups for i in (0, 1, 11)]
    assert len({child_id(*place) for place in places_of}) == len(places_of)
