"""The tally: every job is counted once, however often and in whatever pieces its record comes."""

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from shared.consequences import Record
from shared.memory.clock import run_virtual
from shared.memory.ports import memory_ports
from shared.ports import Clock
from shared.runtime.tally import read_tally, tally
from shared.tally import HOUR_MS, KEPT_HOURS, ShardTally, counted, hour_of, summed
from tests.unit.test_audit import HOUR, NOW, created

RECORDS = [Record(str(number), None, created(HOUR - number % 3)) for number in range(10, 30)]
EXPECTED = {HOUR: 6, HOUR - 1: 7, HOUR - 2: 7}


def test_only_creations_count() -> None:
    row = created(HOUR)
    records = [
        Record("1", None, row),
        Record("2", row, replace(row, seq=9)),
        Record("3", row, None),
        Record("4", None, None, problem="unreadable"),
    ]
    assert counted(None, records, NOW) == ShardTally(watermark=4, hours={HOUR: 1})


@given(st.lists(st.tuples(st.integers(0, 20), st.integers(0, 20)), max_size=12))
def test_batches_that_come_again_wholly_or_in_part_change_nothing(repeats: list[tuple[int, int]]) -> None:
    """Records come in order the first time, and in any pieces again: as Lambda promises."""
    now_at, seen = None, 0
    for start, size in [*repeats, (0, 20)]:
        first = min(start, seen)
        batch = RECORDS[first : first + size]
        seen = max(seen, first + len(batch))
        now_at = counted(now_at, batch, NOW) or now_at
    assert now_at == ShardTally(watermark=29, hours=EXPECTED)


def test_sequence_numbers_are_numbers() -> None:
    before = ShardTally(watermark=9, hours={HOUR: 1})
    assert counted(before, [Record("10", None, created(HOUR))], NOW) == ShardTally(watermark=10, hours={HOUR: 2})


def test_hours_too_old_to_be_compared_are_forgotten() -> None:
    before = ShardTally(watermark=1, hours={HOUR - KEPT_HOURS - 1: 5, HOUR - KEPT_HOURS: 4})
    after = counted(before, [Record("2", None, created(HOUR))], NOW)
    assert after == ShardTally(watermark=2, hours={HOUR - KEPT_HOURS: 4, HOUR: 1})


def test_shards_add_up() -> None:
    assert summed([ShardTally(watermark=1, hours={1: 2, 2: 1}), ShardTally(watermark=9, hours={2: 3})]) == {1: 2, 2: 4}


def test_the_document_is_written_once_a_batch_and_not_at_all_for_a_repetition() -> None:
    async def story(now: Clock) -> None:
        ports = memory_ports(now)
        known = await tally(ports, "a", RECORDS[:5])
        for remembered in (known, None):
            assert await tally(ports, "a", RECORDS[:5], remembered) == known
        after = await tally(ports, "a", RECORDS[3:], known)
        assert await tally(ports, "a", RECORDS, None) == after
        await tally(ports, "b", RECORDS[:1])
        total, opened = await read_tally(ports)
        assert total == {**EXPECTED, HOUR - 1: 8}
        assert opened == hour_of(now()), "when counting began, whatever a producer's clock says"

    run_virtual(story)


def test_a_document_that_somebody_else_has_changed_is_read_again() -> None:
    async def story(now: Clock) -> None:
        ports = memory_ports(now)
        stale = await tally(ports, "a", RECORDS[:5])
        await tally(ports, "a", RECORDS[5:10], stale)
        await tally(ports, "a", RECORDS[5:], stale)
        total, _ = await read_tally(ports)
        assert total == EXPECTED

    run_virtual(story)


def test_an_hour_is_as_long_as_its_name() -> None:
    assert counted(None, [Record("1", None, replace(created(0), created_at=HOUR_MS - 1))], 0) == ShardTally(
        watermark=1, hours={0: 1}
    )
