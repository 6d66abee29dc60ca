"""Many jobs run again, one after the other."""

from collections.abc import Sequence

import pytest

from shared.errors import Conflict, InvalidInput, NotFound, Permanent
from shared.job import Job
from shared.payloads.generic import GenericPayload
from shared.payloads.results import ProcessResult
from shared.runtime.context import Context
from shared.runtime.redriving import redrive_paced
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


async def again(world: World, jobs: Sequence[Job], rate_per_s: float = 10) -> list[Job | Conflict | NotFound]:
    return [one async for one in redrive_paced(world.ports, jobs, who="me", rate_per_s=rate_per_s)]


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
