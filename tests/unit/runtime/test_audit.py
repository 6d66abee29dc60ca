"""The audit at work: it wakes what was forgotten, counts everything, and goes on where its time ended."""

import asyncio
from dataclasses import replace

import pytest

from shared.audit import Books, Problem
from shared.fan_in import inbox_key
from shared.memory.jobs import SCAN_PAGE
from shared.payloads.generic import GenericPayload
from shared.payloads.results import ProcessResult
from shared.runtime.audit import EVERY_MS, audited, daily_audit, report_of
from shared.runtime.context import Context
from shared.runtime.tally import tally
from shared.status import Status
from shared.tally import HOUR_MS
from tests.world import STACK, World, in_world

LATE_S = 2 * 3600


async def answer(_payload: GenericPayload, _context: Context) -> ProcessResult:
    return ProcessResult()


async def read_whole(world: World, *, repair: bool) -> Books:
    books = Books(started_at=world.ports.now())
    async for _ in audited(world.ports, books, repair=repair):
        pass
    return books


def test_a_job_whose_wake_up_was_lost_is_found_and_ends() -> None:
    async def story(world: World) -> None:
        job = await world.submit()
        world.seen = len(world.jobs.stream)  # the reactor never hears of it
        await asyncio.sleep(LATE_S)
        looked = await read_whole(world, repair=False)
        assert (looked.problems, looked.repaired) == ({Problem.LOST: 1}, 0)
        assert not world.queues.held.get("generic")
        repaired = await read_whole(world, repair=True)
        assert (repaired.problems, repaired.repaired) == ({Problem.LOST: 1}, 1)
        await world.invoke()
        assert (await world.row(job)).status is Status.SUCCESS

    in_world(answer, story)


def test_a_dead_run_that_nobody_comes_for_is_taken_over() -> None:
    async def story(world: World) -> None:
        job = await world.submit()
        dead = replace(job, status=Status.RUNNING, epoch=1, lease_until=world.ports.now() + 60_000)
        world.jobs.rows[job.key] = dead
        world.seen = len(world.jobs.stream)
        await asyncio.sleep(LATE_S)
        books = await read_whole(world, repair=True)
        assert (books.problems, books.repaired) == ({Problem.STUCK: 1}, 1)
        await world.invoke()
        assert (await world.row(job)).status is Status.SUCCESS

    in_world(answer, story)


def test_what_a_consistent_read_finds_in_order_is_left_alone() -> None:
    async def story(world: World) -> None:
        stale = await world.submit()
        await world.drain()
        await asyncio.sleep(LATE_S)
        page = await world.ports.jobs.scan()

        async def eventual(*, cursor: str | None = None) -> object:
            return replace(page, jobs=(stale,))

        world.ports.jobs.scan = eventual  # type: ignore[method-assign, assignment]
        books = await read_whole(world, repair=True)
        assert (books.problems, books.repaired, books.not_repaired) == ({Problem.LOST: 1}, 0, 0)
        assert not world.queues.held.get("generic")

    in_world(answer, story)


def test_a_job_that_cannot_be_woken_is_told_and_stops_nobody() -> None:
    async def story(world: World) -> None:
        good, bad, waits = [await world.submit() for _ in range(3)]
        world.jobs.rows[bad.key] = replace(bad, type="gone")
        world.jobs.rows[waits.key] = replace(waits, status=Status.WAITING, deadline_at=waits.created_at)
        world.seen = len(world.jobs.stream)
        await asyncio.sleep(LATE_S)
        books = await read_whole(world, repair=True)
        assert books.problems == {Problem.LOST: 2, Problem.OVERDUE: 1}
        assert (books.repaired, books.not_repaired) == (2, 1)
        assert {held.body for held in world.queues.held["generic"]} == {
            f'{{"longshore":1,"tenant_id":"default","job_id":"{woken.job_id}","seq":1}}' for woken in (good, waits)
        }
        await world.drain()
        expired = await world.ports.jobs.get(waits.tenant_id, waits.job_id)
        assert expired is not None
        assert (expired.status, "timed_out" in (expired.error or "")) == (Status.FAILED, True)

    in_world(answer, story)


def test_a_parent_whose_childrens_ends_nobody_told_it_of_is_woken() -> None:
    async def story(world: World) -> None:
        parent = await world.submit()
        waits = replace(
            parent, status=Status.WAITING, wait_number=1, awaits="0", groups="0 a 1 0 1", deadline_at=10**14
        )
        world.jobs.rows[parent.key] = waits
        world.seen = len(world.jobs.stream)
        await asyncio.sleep(LATE_S)
        books = await read_whole(world, repair=True)
        assert (books.problems, books.repaired) == ({}, 0), "its child may yet be at work"
        await world.ports.side.unite(*inbox_key(parent.tenant_id, parent.job_id), {"ok": {0}}, expires_at=10**10)
        books = await read_whole(world, repair=True)
        assert (books.problems, books.repaired) == ({Problem.STUCK: 1}, 1)
        woken = await world.ports.jobs.get(parent.tenant_id, parent.job_id)
        assert woken is not None
        assert woken.status is Status.QUEUED

    in_world(answer, story)


def test_the_books_balance_and_a_deleted_row_is_missed(capsys: pytest.CaptureFixture[str]) -> None:
    async def story(world: World) -> None:
        jobs = [await world.submit() for _ in range(5)]
        await tally(world.ports, "shard", world.jobs.stream)
        await world.drain()
        await asyncio.sleep(3 * 3600)
        books = await read_whole(world, repair=True)
        report = await report_of(world.ports, books, stack=STACK)
        assert report.is_clean
        assert (report.accepted, report.finished, report.alive) == (5, 5, 0)
        assert "audit_unbalanced" not in capsys.readouterr().out
        del world.jobs.rows[jobs[2].key]
        report = await report_of(world.ports, await read_whole(world, repair=True), stack=STACK)
        assert [hour.difference for hour in report.differences] == [1]
        assert "audit_unbalanced" in capsys.readouterr().out

    in_world(answer, story)


def test_the_daily_audit_goes_on_where_its_time_ended_and_is_made_once_a_day() -> None:
    async def story(world: World) -> None:
        for _ in range(2 * SCAN_PAGE + 1):
            await world.submit()
        ends_at = world.ports.now()
        assert await daily_audit(world.ports, stack=STACK, ends_at=ends_at) is None
        assert await daily_audit(world.ports, stack=STACK, ends_at=ends_at) is None
        report = await daily_audit(world.ports, stack=STACK, ends_at=ends_at)
        assert report is not None
        assert report.rows == 2 * SCAN_PAGE + 1
        assert await daily_audit(world.ports, stack=STACK, ends_at=ends_at + HOUR_MS) is None
        await asyncio.sleep(EVERY_MS / 1000)
        again = await daily_audit(world.ports, stack=STACK, ends_at=world.ports.now() + HOUR_MS)
        assert again is not None
        assert again.started_at > report.started_at

    in_world(answer, story)


def test_an_audit_that_is_asked_for_is_made_in_any_case() -> None:
    async def story(world: World) -> None:
        ends_at = world.ports.now() + HOUR_MS
        assert await daily_audit(world.ports, stack=STACK, ends_at=ends_at) is not None
        job = await world.submit()
        world.seen = len(world.jobs.stream)
        await asyncio.sleep(1)
        report = await daily_audit(world.ports, stack=STACK, ends_at=ends_at, late_ms=0)
        assert report is not None
        assert report.repaired == 1
        await world.invoke()
        assert (await world.row(job)).status is Status.SUCCESS

    in_world(answer, story)


def test_of_two_audits_at_once_one_gives_way() -> None:
    async def story(world: World) -> None:
        for _ in range(2 * SCAN_PAGE + 1):
            await world.submit()
        soon = world.ports.now()
        results = await asyncio.gather(*(daily_audit(world.ports, stack=STACK, ends_at=soon) for _ in range(2)))
        assert results == [None, None]
        body = await world.ports.side.get("audit", "daily")
        assert body is not None
        assert f'"rows":{SCAN_PAGE},' in body

    in_world(answer, story)
