"""What a SideStore promises."""

import asyncio

import pytest

from shared.errors import InvalidInput
from shared.limits import SIDE_BODY_BYTES_MAX
from tests.contract.conftest import World


def test_the_first_body_stays_whatever_comes_later(world: World) -> None:
    side, pk = world.ports.side, world.fresh("job")

    async def story() -> None:
        assert await side.put_once(pk, "payload", "first – é", expires_at=2_000_000_000)
        assert not await side.put_once(pk, "payload", "second")
        assert not await side.put_once(pk, "payload", "first – é")
        assert await side.get(pk, "payload") == "first – é"

    world.run(story())


def test_of_many_writers_at_once_one_is_told_that_it_was_the_first(world: World) -> None:
    side, pk = world.ports.side, world.fresh("job")

    async def race() -> tuple[list[bool], str | None]:
        firsts = await asyncio.gather(*(side.put_once(pk, "payload", f"body {n}") for n in range(10)))
        return firsts, await side.get(pk, "payload")

    firsts, body = world.run(race())
    assert firsts.count(True) == 1
    assert body == f"body {firsts.index(True)}"


def test_what_is_not_there_is_none_and_an_empty_body_is_there(world: World) -> None:
    side, pk = world.ports.side, world.fresh("job")
    assert world.run(side.get(pk, "nothing")) is None
    world.run(side.put_once(pk, "empty", ""))
    assert world.run(side.get(pk, "empty")) == ""


def test_a_query_gives_the_greatest_sort_keys_of_its_own_partition_first(world: World) -> None:
    side, pk, other = world.ports.side, world.fresh("job"), world.fresh("job")

    async def story() -> None:
        for sk in ("error#2", "error#1", "error#3"):
            await side.put_once(pk, sk, f"body of {sk}")
        await side.put_once(other, "error#9", "not mine")
        assert await side.query(pk, limit=2) == [("error#3", "body of error#3"), ("error#2", "body of error#2")]
        assert await side.query(world.fresh("job"), limit=2) == []
        await side.put_once(pk, "payload#1", "greater than all errors")
        assert [sk for sk, _ in await side.query(pk, limit=2, prefix="error#")] == ["error#3", "error#2"]

    world.run(story())


def test_a_query_up_to_a_sort_key_gives_the_smallest_first(world: World) -> None:
    side, pk = world.ports.side, world.fresh("due")

    async def story() -> None:
        for sk in ("3#c", "1#a", "2#b", "4#d"):
            await side.put_once(pk, sk, "")
        assert [sk for sk, _ in await side.query(pk, limit=9, up_to="3#c")] == ["1#a", "2#b", "3#c"]
        assert [sk for sk, _ in await side.query(pk, limit=2, up_to="9")] == ["1#a", "2#b"]
        assert await side.query(pk, limit=9, up_to="1") == []

    world.run(story())


def test_a_query_goes_on_beyond_one_page_of_the_database(world: World) -> None:
    """A page of DynamoDB ends at 1 MB."""
    side, pk, body = world.ports.side, world.fresh("job"), "x" * SIDE_BODY_BYTES_MAX

    async def story() -> None:
        for number in range(5):
            await side.put_once(pk, str(number), body)
        assert [sk for sk, _ in await side.query(pk, limit=10)] == ["4", "3", "2", "1", "0"]

    world.run(story())


def test_a_body_too_large_is_refused_with_its_size(world: World) -> None:
    with pytest.raises(InvalidInput, match="350,002") as refusal:
        world.run(world.ports.side.put_once("job", "payload", "é" * (SIDE_BODY_BYTES_MAX // 2 + 1)))
    assert refusal.value.field == "body"


def test_a_swap_replaces_only_what_its_writer_saw(world: World) -> None:
    side, pk = world.ports.side, world.fresh("breaker")

    async def story() -> None:
        assert not await side.swap(pk, "state", old="open", new="closed")
        assert await side.get(pk, "state") is None
        assert await side.swap(pk, "state", old=None, new="open", expires_at=2_000_000_000)
        assert not await side.swap(pk, "state", old=None, new="closed")
        assert await side.swap(pk, "state", old="open", new="closed")
        assert await side.get(pk, "state") == "closed"
        assert not await side.swap(pk, "state", old="open", new=None)
        assert await side.swap(pk, "state", old="closed", new=None)
        assert await side.get(pk, "state") is None

    world.run(story())


def test_a_swap_that_is_repeated_has_happened(world: World) -> None:
    """The first request's answer was lost."""
    side, pk = world.ports.side, world.fresh("breaker")

    async def story() -> None:
        for _ in range(2):
            assert await side.swap(pk, "state", old=None, new="open")
        for _ in range(2):
            assert await side.swap(pk, "state", old="open", new="closed")
        for _ in range(2):
            assert await side.swap(pk, "state", old="closed", new=None)

    world.run(story())


def test_of_many_swaps_at_once_one_wins(world: World) -> None:
    side, pk = world.ports.side, world.fresh("breaker")

    async def race() -> list[bool]:
        await side.swap(pk, "state", old=None, new="open")
        return await asyncio.gather(*(side.swap(pk, "state", old="open", new=f"probe {n}") for n in range(10)))

    assert world.run(race()).count(True) == 1


# --- sets -------------------------------------------------------------------------------------------------------------

LATER_S = 2_000_000_000


def test_numbers_are_added_to_sets_and_all_sets_come_back(world: World) -> None:
    side, pk = world.ports.side, world.fresh("children")

    async def story() -> None:
        first = await side.unite(pk, "ends", {"ok": {3, 1}}, expires_at=LATER_S)
        assert dict(first) == {"ok": frozenset({1, 3})}
        both = await side.unite(pk, "ends", {"ok": [199], "bad": (0,)}, expires_at=LATER_S)
        assert dict(both) == {"ok": frozenset({1, 3, 199}), "bad": frozenset({0})}
        assert await side.unite(pk, "ends", {"ok": {3, 1}}, expires_at=LATER_S) == both, "repeating it changes nothing"
        other = await side.unite(pk, "other", {"ok": {7}, "bad": set()}, expires_at=LATER_S)
        assert dict(other) == {"ok": frozenset({7})}, "an item of its own, and an empty set is none"
        assert [dict(sets) for sets in await side.united([(pk, "ends")])] == [dict(both)]

    world.run(story())


def test_of_twenty_writers_at_once_none_is_lost_and_one_at_least_sees_them_all(world: World) -> None:
    side, pk = world.ports.side, world.fresh("children")

    async def race() -> None:
        seen = await asyncio.gather(
            *(side.unite(pk, "ends", {("ok", "bad")[n % 2]: {n, 100}}, expires_at=LATER_S) for n in range(20))
        )
        (whole,) = await side.united([(pk, "ends")])
        odd, even = frozenset(range(1, 20, 2)), frozenset(range(0, 20, 2))
        assert dict(whole) == {"ok": even | {100}, "bad": odd | {100}}
        assert whole in seen

    world.run(race())


def test_sets_are_read_in_the_order_asked_for_and_what_is_not_there_is_empty(world: World) -> None:
    side, pk = world.ports.side, world.fresh("children")

    async def story() -> None:
        for number in range(5):
            await side.unite(f"{pk}#{number}", "ends", {"ok": {number}}, expires_at=LATER_S)
        wanted = [(f"{pk}#{number}", "ends") for number in (4, 0, 99, 2, 0)]
        found = [dict(sets) for sets in await side.united(wanted)]
        assert found == [{"ok": {4}}, {"ok": {0}}, {}, {"ok": {2}}, {"ok": {0}}]
        assert await side.united([]) == []
        most = [(f"{pk}#{number}", "ends") for number in range(100)]
        assert [bool(sets) for sets in await side.united(most)] == [True] * 5 + [False] * 95
        with pytest.raises(InvalidInput):
            await side.united([*most, (pk, "one too many")])

    world.run(story())
