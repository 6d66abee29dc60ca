"""Rates and places, decided: never more than was declared, whoever comes when."""

from typing import ClassVar, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.payloads.base import Payload
from shared.retry import Policy
from shared.throttle import (
    Concurrency,
    Hold,
    Limiter,
    Rate,
    Room,
    freed,
    held_json,
    read_held,
    read_throttles,
    reserved,
    taken,
    throttles_text,
)

FIELDS = {"type": "backup", "database": "secret://shop"}


def resolved(*throttles: Rate | Concurrency, tenant_id: str = "acme", **fields: object) -> tuple[Limiter, ...]:
    return read_throttles(throttles_text(throttles, tenant_id, FIELDS | fields)).limiters


@given(
    st.integers(1, 20).flatmap(lambda count: st.tuples(st.just(count), st.integers(1, count))),
    st.floats(0.5, 600),
    st.lists(st.integers(0, 20_000), max_size=80),
)
def test_no_window_ever_has_more_than_the_rate(rate: tuple[int, int], per_s: float, gaps: list[int]) -> None:
    count, burst = rate
    (limiter,) = resolved(Rate(count, per_s, burst=burst))
    now, next_at, slots = 1_000_000, 0, []
    for gap in gaps:
        now += gap
        slot, next_at = reserved(next_at, limiter, now)
        assert slot >= now
        slots.append(slot)
    assert slots == sorted(slots), "first come, first served"
    for first, over in zip(slots, slots[count:], strict=False):
        assert over - first >= per_s * 1000


def test_what_nobody_used_is_there_for_a_burst_and_no_more() -> None:
    (limiter,) = resolved(Rate(10, 60, burst=4))
    next_at, slots = 0, []
    for _ in range(6):
        slot, next_at = reserved(next_at, limiter, 1_000_000)
        slots.append(slot - 1_000_000)
    assert slots == [0, 0, 0, 0, 8572, 17144]


@given(st.integers(1, 5), st.lists(st.tuples(st.sampled_from("abcdefgh"), st.booleans()), max_size=60))
def test_there_are_never_more_holders_than_places(at_once: int, comings: list[tuple[str, bool]]) -> None:
    room, held = Room("k", at_once), dict[str, Hold]()
    for epoch, (who, comes) in enumerate(comings):
        held = dict((taken(held, room, who, Hold(epoch, 0, "")) or held) if comes else freed(held, {who: epoch}))
        assert len(held) <= at_once
        assert read_held(held_json(held, "token")) == held


def test_the_end_of_an_earlier_run_told_again_frees_no_later_one() -> None:
    held = {"t#j": Hold(3, 0, "")}
    assert freed(held, {"t#j": 2}) == held
    assert freed(held, {"t#j": 3}) == {}
    assert freed(held, {"t#other": 9}) == held


def test_a_key_is_below_its_tenant_and_a_resource_is_one_for_all_types_that_name_it() -> None:
    def key(by: str, tenant_id: str = "acme", *, across: bool = False, **fields: object) -> str:
        text = throttles_text((Concurrency(1, by=by, across_tenants=across),), tenant_id, FIELDS | fields)
        room = read_throttles(text).room
        assert room
        return room.key

    assert key("database") == key("database", type="restore") != key("database", database="secret://other")
    assert key("database") != key("database", "other")
    assert key("database", across=True) == key("database", "other", across=True)
    assert key("type") != key("type", type="restore")
    assert key("tenant") == key("tenant", type="restore") != key("tenant", "other")
    assert len({key("type", type="tenant"), key("tenant"), key("database", database="tenant")}) == 3


def test_two_rates_of_one_resource_are_two_limiters() -> None:
    first, second = resolved(Rate(1, 1), Rate(100, 3600))
    assert first.key != second.key
    assert (first.every_ms, second.every_ms) == (1_000, 36_000)


@pytest.mark.parametrize(
    "make",
    [
        lambda: Rate(0, 1),
        lambda: Rate(1, 0),
        lambda: Rate(1, 1, burst=2),
        lambda: Concurrency(0),
        lambda: Concurrency(101),
        lambda: Policy(throttles=(Concurrency(1), Concurrency(2, by="tenant"))),
    ],
)
def test_nonsense_is_refused_where_it_is_declared(make: object) -> None:
    with pytest.raises(ValueError, match=r"burst|at_once|one Concurrency"):
        make()  # type: ignore[operator]  # a lambda


def test_a_throttle_by_a_field_that_is_not_there_is_told_when_the_type_is_declared() -> None:
    with pytest.raises(TypeError, match="'databse'"):

        class Mistaken(Payload):
            policy: ClassVar[Policy] = Policy(throttles=(Rate(1, 1, by="databse"),))
            type: Literal["mistaken"] = "mistaken"
            database: str
