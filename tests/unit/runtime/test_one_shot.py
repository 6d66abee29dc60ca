"""One-shot mode: a job in the environment."""

import asyncio
from dataclasses import replace

import pytest

from shared.errors import Conflict, InvalidInput, Transient, WorldFault
from shared.memory.jobs import MemoryJobs
from shared.moves import Move
from shared.payloads.generic import GenericPayload
from shared.payloads.results import ProcessResult
from shared.ports import Applied, Refused
from shared.runtime.beats import TaskBeats
from shared.runtime.context import Context
from shared.runtime.one_shot import Exit, exit_code, read_environment, run_once
from shared.runtime.service import Service
from shared.status import Event, Status
from tests.world import World, in_world

ENVIRONMENT = {"JOB_TYPE": "generic", "JOB_PAYLOAD": '{"operation": "x"}', "JOB_ID": "once-1", "USER_ID": "me"}


async def answer(_payload: GenericPayload, _context: Context) -> ProcessResult:
    return ProcessResult(data={"n": 1})


async def flaky(_payload: GenericPayload, context: Context) -> ProcessResult:
    if context.attempt == 1:
        raise Transient("busy", "again")
    return ProcessResult()


async def once(world: World) -> Exit:
    beats = TaskBeats(world.ports, lease_ms=60_000)
    job = await run_once(read_environment(ENVIRONMENT), world.type, world.ports, beats, who="task")  # type: ignore[arg-type]
    return exit_code(job)


def test_it_runs_here_and_its_outcome_is_the_exit_code() -> None:
    async def story(world: World) -> None:
        assert await once(world) is Exit.DONE
        (row,) = world.jobs.rows.values()
        assert (row.job_id, row.user_id, row.status) == ("once-1", "me", Status.SUCCESS)

    in_world(answer, story)


@pytest.mark.parametrize("event", [Event.START, Event.CLAIM])
def test_a_start_whose_answer_is_lost_is_known_again(event: Event) -> None:
    class Forgetful(MemoryJobs):
        lost = False

        async def apply(self, move: Move) -> Applied | Refused:
            answer = await super().apply(move)
            if move.event is event and not self.lost:
                self.lost = True
                raise WorldFault("timeout", "the answer was lost")
            return answer

    async def story(world: World) -> None:
        world.ports = replace(world.ports, jobs=Forgetful())
        if event is Event.CLAIM:
            await Service(world.ports).submit(read_environment(ENVIRONMENT))
        assert await once(world) is Exit.DONE
        assert len(world.runs) == 1

    in_world(answer, story)


def test_what_fails_for_now_goes_on_through_its_queue() -> None:
    async def story(world: World) -> None:
        assert await once(world) is Exit.AGAIN
        await world.drain()
        (row,) = world.jobs.rows.values()
        assert (row.status, row.attempts) == (Status.SUCCESS, 1)

    in_world(flaky, story)


def test_a_process_that_dies_is_taken_over_from_the_queue() -> None:
    async def endless(_payload: GenericPayload, context: Context) -> ProcessResult:
        if context.epoch == 1:
            await asyncio.sleep(1_000_000)
        return ProcessResult()

    async def story(world: World) -> None:
        dying = asyncio.create_task(once(world))
        await asyncio.sleep(0.1)
        dying.cancel()
        await asyncio.wait({dying})
        await world.drain()
        (row,) = world.jobs.rows.values()
        assert (row.status, row.attempts, row.epoch) == (Status.SUCCESS, 1, 2)

    in_world(endless, story)


def test_a_job_that_is_over_is_not_run_again() -> None:
    async def story(world: World) -> None:
        await once(world)
        with pytest.raises(Conflict, match="SUCCESS"):
            await once(world)
        assert len(world.runs) == 1

    in_world(answer, story)


@pytest.mark.parametrize(
    ("changed", "field"),
    [
        ({"JOB_TYPE": ""}, "JOB_TYPE"),
        ({"JOB_PAYLOAD": "{bad"}, "JOB_PAYLOAD"),
        ({"JOB_PAYLOAD": "[]"}, "JOB_PAYLOAD"),
        ({"JOB_PAYLOAD": '{"operation": 3}'}, "operation"),
        ({"JOB_ID": "a#b"}, "job_id"),
    ],
)
def test_bad_input_names_the_variable_or_field(changed: dict[str, str], field: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        read_environment(ENVIRONMENT | changed)
    assert caught.value.field == field
