"""An operator's hand: cancel and redrive, whatever the job is doing."""

import asyncio
from dataclasses import replace

import pytest

from shared.errors import Conflict, InvalidInput, NotFound, Permanent
from shared.job import Job, read_history_entry
from shared.outcomes import Proceed
from shared.payloads.generic import GenericPayload
from shared.payloads.results import ProcessResult
from shared.runtime.context import Context
from shared.status import Status
from tests.world import World, in_world

TENANT = "default"


async def answer(_payload: GenericPayload, _context: Context) -> ProcessResult:
    return ProcessResult(data={"n": 1})


async def refuse(_payload: GenericPayload, _context: Context) -> ProcessResult:
    raise Permanent("broken", "never")


def moves(job: Job) -> list[tuple[str, str]]:
    return [(entry.event, entry.who) for entry in map(read_history_entry, job.history)]


@pytest.mark.parametrize("status", [Status.WAITING, Status.QUEUED])
def test_a_job_that_does_not_run_is_cancelled_at_once_and_its_wake_up_is_stale(status: Status) -> None:
    async def story(world: World) -> None:
        job = await world.submit()
        world.jobs.rows[job.key] = replace(await world.row(job), status=status)
        row = await world.service.cancel(TENANT, job.job_id, who="ann")
        assert (row.status, row.completed_at, moves(row)[-1]) == (
            Status.CANCELLED,
            world.ports.now(),
            ("cancel", "ann"),
        )
        assert row.expires_at is not None
        await world.drain()
        assert (await world.row(job)) == row
        assert world.runs == []
        assert (await world.service.cancel(TENANT, job.job_id, who="bob")) == row

    in_world(answer, story)


def test_a_running_job_is_asked_to_stop_once_and_its_history_tells_by_whom() -> None:
    async def story(world: World) -> None:
        job = await world.submit()
        await world.react()
        running = asyncio.ensure_future(world.invoke())
        await asyncio.sleep(5)
        asked = await world.service.cancel(TENANT, job.job_id, who="ann")
        assert (asked.status, asked.cancel_requested) == (Status.RUNNING, True)
        assert (await world.service.cancel(TENANT, job.job_id, who="bob")) == asked
        assert await running == []
        row = await world.row(job)
        assert row.status is Status.CANCELLED
        assert moves(row)[-2:] == [("request_cancel", "ann"), ("cancelled", "test")]

    async def long(_payload: GenericPayload, _context: Context) -> None:
        await asyncio.sleep(50)

    in_world(long, story)


def test_a_cancel_that_comes_too_late_to_stop_anything_stays_in_the_history() -> None:
    async def story(world: World) -> None:
        job = await world.submit()
        await world.react()
        running = asyncio.ensure_future(world.invoke())
        await asyncio.sleep(0.2)
        await world.service.cancel(TENANT, job.job_id, who="ann")
        assert await running == []
        row = await world.row(job)
        assert row.status is Status.SUCCESS
        assert moves(row)[-2:] == [("request_cancel", "ann"), ("succeed", "test")]

    async def short(_payload: GenericPayload, _context: Context) -> None:
        await asyncio.sleep(0.5)

    in_world(short, story)


def test_a_run_whose_worker_is_dead_is_cancelled_at_once() -> None:
    async def story(world: World) -> None:
        job = await world.submit()
        row = replace(await world.row(job), status=Status.RUNNING, epoch=1, lease_until=world.ports.now() - 1)
        world.jobs.rows[job.key] = row
        assert (await world.service.cancel(TENANT, job.job_id, who="ann")).status is Status.CANCELLED

    in_world(answer, story)


@pytest.mark.parametrize("handler", [refuse, answer])
def test_what_is_over_in_another_way_or_not_there_cannot_be_cancelled(handler: object) -> None:
    async def story(world: World) -> None:
        job = await world.submit()
        await world.drain()
        with pytest.raises(Conflict, match="has ended"):
            await world.service.cancel(TENANT, job.job_id, who="ann")
        with pytest.raises(NotFound):
            await world.service.cancel("another", job.job_id, who="ann")

    in_world(handler, story)  # type: ignore[arg-type]  # one of the two above


def test_a_redriven_job_begins_anew_from_its_checkpoint_and_a_cancel_of_old_is_forgotten() -> None:
    ends = iter([Proceed("half"), Permanent("broken", "never"), ProcessResult(data={"n": 2})])

    async def by_turns(_payload: GenericPayload, _context: Context) -> object:
        end = next(ends)
        if isinstance(end, Exception):
            raise end
        return end

    async def story(world: World) -> None:
        job = await world.submit()
        await world.drain()
        failed = await world.row(job)
        assert (failed.status, failed.attempts) == (Status.FAILED, 1)
        world.jobs.rows[job.key] = replace(failed, cancel_requested=True)
        row = await world.service.redrive(TENANT, job.job_id, who="ann", delay_s=60)
        assert (row.status, row.seq, row.attempts, row.checkpoint) == (Status.QUEUED, 3, 0, "half")
        assert (row.due_at - world.ports.now(), row.expires_at, row.completed_at) == (60_000, None, None)
        assert moves(row)[-1] == ("redrive", "ann")
        await world.drain()
        done = await world.row(job)
        assert (done.status, done.error) == (Status.SUCCESS, None)
        assert world.runs[-1].checkpoint == "half"

    in_world(by_turns, story)


def test_a_job_that_is_on_its_way_cannot_be_redriven_nor_one_that_is_not_there() -> None:
    async def story(world: World) -> None:
        job = await world.submit()
        with pytest.raises(Conflict, match="QUEUED"):
            await world.service.redrive(TENANT, job.job_id, who="ann")
        with pytest.raises(NotFound):
            await world.service.redrive(TENANT, "job_x", who="ann")
        with pytest.raises(InvalidInput):
            await world.service.redrive(TENANT, job.job_id, who="ann", delay_s=-1)

    in_world(answer, story)


def test_two_operators_redrive_a_job_once() -> None:
    async def story(world: World) -> None:
        job = await world.submit()
        await world.drain()
        asked = (world.service.redrive(TENANT, job.job_id, who=who) for who in ("ann", "bob"))
        answers = await asyncio.gather(*asked, return_exceptions=True)
        assert sorted(type(answer).__name__ for answer in answers) == ["Conflict", "Job"]
        assert (await world.row(job)).seq == 2

    in_world(refuse, story)
