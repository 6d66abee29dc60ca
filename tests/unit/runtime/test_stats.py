"""Counts as they are kept: seldom written, never counted twice, whatever becomes of an invocation or its state."""

import random
from dataclasses import replace

import pytest

from shared.consequences import Record
from shared.cost import MEMORY_MB
from shared.job import rfc3339
from shared.memory.clock import run_virtual
from shared.memory.jobs import MemoryJobs
from shared.memory.ports import memory_ports
from shared.memory.side import MemorySide
from shared.ports import Clock, Ports
from shared.runtime import audit, stats
from shared.runtime.audit import daily_audit, last_report
from shared.runtime.stats import memory_mb, read_stats
from shared.stats import SLOT_MS, Page
from shared.tally import HOUR_MS
from tests.unit.test_audit import JOB, NOW
from tests.unit.test_stats import Story

SHARD = "shardId-1"


def lives(jobs: int) -> list[Record]:
    """Three records of each, all within an hour."""
    story = Story()
    for number in range(jobs):
        story.whole(f"job-{number}", NOW + 10 * number)
    return story.records


def pages_of(ports: Ports) -> list[Page]:
    assert isinstance(ports.side, MemorySide)
    kept = [body for (pk, sk), body in ports.side.items.items() if pk == "#stats#t" and sk[0].isdigit()]
    return [Page.model_validate_json(body) for body in kept]


def test_a_trickle_waits_for_its_window_and_many_are_written_at_once() -> None:
    async def story(now: Clock) -> None:
        ports = memory_ports(now)
        few, many = lives(40)[:6], lives(40)[6:]
        state = await stats.count(ports, SHARD, few, None, is_last=False)
        assert (state is None, pages_of(ports)) == (False, [])
        state = await stats.count(ports, SHARD, many, state, is_last=False)
        (page,) = pages_of(ports)
        assert page.types["generic"].succeeded == 40
        assert await stats.count(ports, SHARD, [], state, is_last=True) is None
        assert pages_of(ports) == [page]

    run_virtual(story)


def test_the_end_of_a_window_writes_what_waits() -> None:
    async def story(now: Clock) -> None:
        ports = memory_ports(now)
        state = await stats.count(ports, SHARD, lives(2), None, is_last=False)
        assert pages_of(ports) == []
        await stats.count(ports, SHARD, [], state, is_last=True)
        assert [page.types["generic"].succeeded for page in pages_of(ports)] == [2]

    run_virtual(story)


@pytest.mark.parametrize("seed", range(30))
def test_whatever_becomes_of_invocations_and_their_state_every_move_is_counted_once(seed: int) -> None:
    """An invocation that dies after its write comes again with the older state, and with other records at its end."""

    async def story(now: Clock) -> None:
        ports, dice, records = memory_ports(now), random.Random(seed), lives(60)
        done, state = 0, None
        while done < len(records):
            size = dice.choice((1, 3, 10, 70))
            after = await stats.count(ports, SHARD, records[done : done + size], state, is_last=False)
            if dice.random() < 0.4:
                continue
            done, state = done + size, after
            if dice.random() < 0.2:
                state = await stats.count(ports, SHARD, [], state, is_last=True)
        await stats.count(ports, SHARD, [], state, is_last=True)
        (page,) = pages_of(ports)
        counts = page.types["generic"]
        assert (counts.created, counts.succeeded, counts.queued, counts.running) == (60, 60, 0, 0)
        assert (sum(counts.run.values()), sum(counts.wait.values()), counts.due) == (60, 60, {})

    run_virtual(story)


def test_a_state_that_would_grow_too_large_is_written_and_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stats, "STATE_BYTES_MAX", 100)

    async def story(now: Clock) -> None:
        ports = memory_ports(now)
        assert await stats.count(ports, SHARD, lives(1), None, is_last=False) is None
        assert len(pages_of(ports)) == 1

    run_virtual(story)


def test_shards_hours_and_tenants_have_pages_of_their_own_and_add_up() -> None:
    told = Story()
    told.whole("a", NOW)
    told.whole("b", NOW - HOUR_MS)

    async def story(_now: Clock) -> None:
        ports = memory_ports(lambda: NOW)
        for shard in ("one", "two"):
            await stats.count(ports, shard, told.records, None, is_last=True)
        assert len(pages_of(ports)) == 4
        (found,) = (await read_stats(ports, "t")).types
        assert [hour.succeeded for hour in found.hours[-2:]] == [2, 2]
        assert (await read_stats(ports, "another")).types == []

    run_virtual(story)


def test_the_audit_puts_right_what_has_drifted() -> None:
    """Records that were given up are in no count: here an end, so that a job seems to run for ever."""
    told = Story()
    told.whole("over", NOW - 2 * HOUR_MS)
    told.submitted("alive", NOW - 2 * HOUR_MS)

    async def story(_now: Clock) -> None:
        ports = memory_ports(lambda: NOW)
        await stats.count(ports, SHARD, [*told.records[:2], told.records[3]], None, is_last=True)
        (drifted,) = (await read_stats(ports, "t")).types
        assert (drifted.queued, drifted.running) == (1, 1)
        assert isinstance(ports.jobs, MemoryJobs)
        ports.jobs.rows.update({row.key: row for row in told.rows.values()})
        await daily_audit(ports, stack="s", ends_at=NOW + 60_000)
        (right,) = (await read_stats(ports, "t")).types
        assert (right.queued, right.running, right.oldest_queued_at) == (
            1,
            0,
            rfc3339(NOW - NOW % SLOT_MS - 2 * HOUR_MS),
        )
        report = await last_report(ports)
        assert report is not None
        assert report.rows == 2

    run_virtual(story)


def test_what_is_alive_by_too_many_tenants_is_not_corrected_and_the_audit_goes_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(audit, "SAVE_EVERY_PAGES", 1)
    monkeypatch.setattr(audit, "SIDE_BODY_BYTES_MAX", 4_000)

    async def story(_now: Clock) -> None:
        ports = memory_ports(lambda: NOW)
        assert isinstance(ports.jobs, MemoryJobs)
        for number in range(250):
            row = replace(JOB, tenant_id=f"tenant-{number}", created_at=NOW - 2 * HOUR_MS, updated_at=NOW - 2 * HOUR_MS)
            ports.jobs.rows[row.key] = row
        report = await daily_audit(ports, stack="s", ends_at=NOW + 60_000)
        assert report is not None
        assert report.rows == 250
        assert isinstance(ports.side, MemorySide)
        assert not any(pk.startswith("#stats") for pk, _ in ports.side.items)

    run_virtual(story)


def test_a_types_memory_is_the_templates(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LONGSHORE_MEMORY_MB", "extract=1769,generic=256")
    memory_mb.cache_clear()
    assert (memory_mb("extract"), memory_mb("generic"), memory_mb("new")) == (1769, 256, MEMORY_MB)
    memory_mb.cache_clear()
