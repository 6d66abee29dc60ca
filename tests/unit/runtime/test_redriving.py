"""Many jobs run again: those that were meant, one after the other, and nothing by saying nothing."""

from collections.abc import Sequence

import pytest

from shared.errors import Conflict, InvalidInput, NotFound, Permanent
from shared.fingerprint import fingerprint_of
from shared.job import Job
from shared.payloads.generic import GenericPayload
from shared.payloads.results import ProcessResult
from shared.runtime.context import Context
from shared.runtime.redriving import Selection, redrive_paced, selected
from shared.status import Status
from tests.world import World, in_world


async def fails_unless_fine(payload: GenericPayload, _context: Context) -> ProcessResult:
    if payload.operation != "fine":
        raise Permanent(payload.operation, f"row {payload.parameters['row']} is bad")
    return ProcessResult()


async def ended(world: World, *operations: str) -> list[Job]:
    """Jobs that failed by the code they are called by, or succeeded if called `fine`."""
    jobs = [
        await world.service.submit(GenericPayload(operation=operation, parameters={"row": row}))
        for row, operation in enumerate(operations)
    ]
    await world.drain()
    return [await world.row(job) for job in jobs]


async def matching(world: World, **said: object) -> list[str]:
    selection = Selection(**said)  # type: ignore[arg-type]  # as a caller says it
    return [job.job_id async for job in selected(world.ports, "default", selection)]


async def again(world: World, jobs: Sequence[Job], rate_per_s: float = 10) -> list[Job | Conflict | NotFound]:
    return [one async for one in redrive_paced(world.ports, jobs, who="me", rate_per_s=rate_per_s)]


@pytest.mark.parametrize("said", [{}, {"type": ""}, {"error": "x", "job_ids": ("a",)}], ids=["none", "empty", "both"])
def test_a_selection_that_says_nothing_or_two_things_is_refused(said: dict[str, str]) -> None:
    with pytest.raises(InvalidInput, match="either job ids, or"):
        Selection(**said)  # type: ignore[arg-type]  # as a caller says it


@pytest.mark.parametrize("status", [Status.QUEUED, Status.RUNNING, Status.WAITING, Status.SUCCESS])
def test_what_is_not_over_or_went_well_is_not_run_again(status: Status) -> None:
    with pytest.raises(InvalidInput, match="PARTIAL_SUCCESS"):
        Selection(status=status)


def test_only_what_matches_every_filter_is_selected() -> None:
    async def story(world: World) -> None:
        a, other, b, fine = await ended(world, "broken", "other", "broken", "fine")
        cancelled = await world.submit(delay_s=100)
        await world.service.cancel("default", cancelled.job_id, who="me")
        assert fingerprint_of(a) == fingerprint_of(b) != fingerprint_of(other)
        assert {*await matching(world, error=fingerprint_of(a))} == {a.job_id, b.job_id}
        assert await matching(world, error="other") == [other.job_id]
        assert {*await matching(world, type="generic")} == {a.job_id, b.job_id, other.job_id}
        assert await matching(world, type="generic", status=Status.CANCELLED) == [cancelled.job_id]
        assert await matching(world, type="backup") == []
        assert await matching(world, error="other", ended_since=world.ports.now() + 1) == []
        assert await matching(world, ended_since=other.completed_at, error="other") == [other.job_id]
        assert await matching(world, job_ids=(fine.job_id, a.job_id, fine.job_id)) == [fine.job_id, a.job_id]
        with pytest.raises(NotFound):
            await matching(world, job_ids=("job_none",))

    in_world(fails_unless_fine, story)


def test_a_tenant_selects_its_own_jobs_alone() -> None:
    async def story(world: World) -> None:
        payload = GenericPayload(operation="broken", tenant_id="acme", parameters={"row": 1})
        job = await world.service.submit(payload)
        await world.drain()
        assert await matching(world, type="generic") == []
        assert [one.job_id async for one in selected(world.ports, "acme", Selection(type="generic"))] == [job.job_id]

    in_world(fails_unless_fine, story)


def test_more_jobs_than_one_page_are_found() -> None:
    async def story(world: World) -> None:
        jobs = await ended(world, *["broken"] * 120)
        assert {*await matching(world, error="broken")} == {job.job_id for job in jobs}

    in_world(fails_unless_fine, story)


def test_they_become_due_one_after_the_other() -> None:
    async def story(world: World) -> None:
        jobs = await ended(world, *["broken"] * 3)
        now = world.ports.now()
        queued = [one for one in await again(world, jobs, rate_per_s=0.5) if isinstance(one, Job)]
        assert [job.due_at - now for job in queued] == [0, 2_000, 4_000]
        assert {job.status for job in queued} == {Status.QUEUED}
        assert {job.attempts for job in queued} == {0}

    in_world(fails_unless_fine, story)


def test_one_that_has_moved_on_harms_nothing_and_takes_nobodys_turn() -> None:
    async def story(world: World) -> None:
        a, b = await ended(world, "broken", "broken")
        waiting = await world.submit(delay_s=100)
        now = world.ports.now()
        refused, first, second = await again(world, [waiting, a, b], rate_per_s=1)
        assert isinstance(refused, Conflict)
        assert (refused.field, refused.code) == (waiting.job_id, "not_over")
        assert isinstance(first, Job)
        assert isinstance(second, Job)
        assert (first.due_at - now, second.due_at - now) == (0, 1_000)

    in_world(fails_unless_fine, story)


def test_a_rate_of_nothing_is_refused() -> None:
    async def story(world: World) -> None:
        with pytest.raises(InvalidInput, match="more than 0"):
            await again(world, [], rate_per_s=0)

    in_world(fails_unless_fine, story)
