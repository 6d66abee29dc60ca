"""How a run ends, whatever its handler does."""

import asyncio
import json
import threading
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import replace

import pytest
from pydantic import BaseModel, ConfigDict

from shared.errors import Permanent, WorldFault
from shared.job import read_history_entry
from shared.memory.clock import EPOCH_MS
from shared.memory.jobs import MemoryJobs
from shared.memory.objects import MemoryObjects
from shared.moves import Move
from shared.outcomes import Proceed, Snooze
from shared.payloads.generic import GenericPayload
from shared.payloads.results import ProcessResult
from shared.ports import Applied, Refused
from shared.runtime.beats import TaskBeats
from shared.runtime.context import Context
from shared.runtime.definition import JobType
from shared.runtime.one_shot import run_once
from shared.runtime.run import Run, Stop
from shared.status import Event, Status
from tests.world import INVOCATION_MS, World, in_world

PATIENCE_S = 20.0
SECRET = "s3cret" * 30

Handler = Callable[[GenericPayload, Context], Awaitable[object]]


async def unused(_payload: GenericPayload, _context: Context) -> None:
    raise AssertionError


class Opaque(BaseModel):
    model_config = ConfigDict(arbitrary_types_allowed=True)
    secret: object


@pytest.mark.parametrize(
    "result",
    [
        Opaque(secret=object()),
        ProcessResult(data={"name": "caf\udce9"}),
        Proceed(3),  # type: ignore[arg-type]  # an author's slip
        Snooze("5"),  # type: ignore[arg-type]  # an author's slip
    ],
)
def test_a_result_that_cannot_be_written_is_its_authors_failure_and_no_bug_of_ours(result: object) -> None:
    async def opaque(_payload: GenericPayload, _context: Context) -> object:
        return result

    async def story(world: World) -> None:
        job = await world.submit()
        await world.drain()
        row = await world.row(job)
        assert (row.status, json.loads(row.error or "")["code"]) == (Status.FAILED, "invalid_result")
        assert len(world.runs) == 1

    in_world(opaque, story)


@pytest.mark.parametrize(
    "error",
    [
        ValueError("no such file: caf\udce9"),
        Permanent("x" * 5_000, "m" * 500_000, field="f" * 500_000),
        RuntimeError("z" * 2_000_000),
        RuntimeError("\N{SNOWMAN}" * 500_000),
    ],
    ids=["surrogate", "long code and field", "long message", "long message of wide characters"],
)
def test_whatever_an_error_says_the_job_ends_and_its_row_stays_small(error: Exception) -> None:
    async def broken(_payload: GenericPayload, _context: Context) -> ProcessResult:
        raise error

    async def story(world: World) -> None:
        job = await world.submit()
        await world.drain()
        row = await world.row(job)
        assert (row.status, row.epoch) == (Status.FAILED, len(world.runs))
        assert len(repr(row).encode()) < 3_000
        assert await world.service.failures(row)

    in_world(broken, story)


def test_a_snoozes_reason_does_not_fill_the_row() -> None:
    async def chatty(_payload: GenericPayload, context: Context) -> ProcessResult | Snooze:
        return Snooze(1, "because " * 10_000) if context.epoch == 1 else ProcessResult()

    async def story(world: World) -> None:
        job = await world.submit()
        await world.drain()
        assert len(repr(await world.row(job)).encode()) < 3_000

    in_world(chatty, story)


def test_a_password_that_the_cut_of_a_long_trace_falls_upon_is_not_kept() -> None:
    def failing(padding: int) -> Handler:
        async def broken(_payload: GenericPayload, _context: Context) -> ProcessResult:
            raise ValueError("postgresql://me:" + SECRET + "@host/db" + "." * padding)

        return broken

    async def story(world: World) -> None:
        job = await world.submit()
        await world.drain()
        for failure in await world.service.failures(await world.row(job)):
            assert SECRET[:6] not in failure.model_dump_json()

    for padding in range(7_900, 8_192, 29):
        in_world(failing(padding), story)


@pytest.mark.parametrize(
    ("error", "attempts", "status"),
    [
        (WorldFault("throttled", "slow down"), 0, Status.SUCCESS),
        (Permanent("gone", "no such table"), 1, Status.FAILED),
    ],
)
def test_an_error_that_a_task_group_wrapped_is_what_it_was(error: Exception, attempts: int, status: Status) -> None:
    async def grouped(_payload: GenericPayload, context: Context) -> ProcessResult:
        async def part() -> None:
            if context.epoch == 1:
                raise error

        async with asyncio.TaskGroup() as outer:
            outer.create_task(part())
        return ProcessResult()

    async def story(world: World) -> None:
        job = await world.submit()
        await world.drain()
        row = await world.row(job)
        assert (row.status, row.attempts) == (status, attempts)

    in_world(grouped, story)


# --- told to stop -----------------------------------------------------------------------------------------------------


def halting(world: World, why: Stop, after_s: float) -> TaskBeats:
    """Beats of a world whose run is told to stop after a while."""

    class Halting(TaskBeats):
        def during(self, run: Run, hide: object) -> object:  # type: ignore[override]  # passed on as it came
            asyncio.get_running_loop().call_later(after_s, run.halt, why)
            return super().during(run, hide)  # type: ignore[arg-type]

    return Halting(world.ports, lease_ms=60_000)


async def once(world: World, beats: TaskBeats) -> None:
    await run_once(GenericPayload(operation="x", job_id="it"), world.type, world.ports, beats, who="me")  # type: ignore[arg-type]


def test_whoever_is_told_to_stop_has_a_moment_to_clean_up_and_no_more() -> None:
    async def stubborn(_payload: GenericPayload, _context: Context) -> ProcessResult:
        for _ in range(3):
            with suppress(asyncio.CancelledError):
                await asyncio.sleep(50)
        return ProcessResult()

    async def story(world: World) -> None:
        began = world.ports.now()
        await once(world, halting(world, Stop.SHUTDOWN, 2))
        assert world.ports.now() - began < 10_000, "not until its time-out: by then its lease would be over"
        (row,) = world.jobs.rows.values()
        assert (row.status, row.attempts) == (Status.QUEUED, 0)

    in_world(stubborn, story)


@pytest.mark.parametrize(
    ("why", "status"), [(Stop.SHUTDOWN, Status.QUEUED), (Stop.CANCELLED, Status.CANCELLED)], ids=str
)
def test_what_a_handler_raises_while_it_is_stopped_is_no_failure(why: Stop, status: Status) -> None:
    async def translating(_payload: GenericPayload, _context: Context) -> ProcessResult:
        try:
            await asyncio.sleep(50)
        except asyncio.CancelledError:
            raise ValueError("the driver says: operation aborted") from None
        return ProcessResult()

    async def story(world: World) -> None:
        await once(world, halting(world, why, 2))
        (row,) = world.jobs.rows.values()
        assert (row.status, row.attempts) == (status, 0)

    in_world(translating, story)


def test_a_handler_can_see_that_its_time_is_over() -> None:
    seen: list[bool] = []

    async def slow(_payload: GenericPayload, context: Context) -> ProcessResult:
        try:
            await asyncio.sleep(3_600)
        finally:
            seen.append(context.cancelled)
        return ProcessResult()

    async def story(world: World) -> None:
        await world.submit()
        await world.drain()
        assert seen == [True] * 3

    in_world(slow, story)


# --- in a thread ------------------------------------------------------------------------------------------------------


def with_function(world: World, function: Callable[[GenericPayload, Context], ProcessResult]) -> None:
    world.type = world.use(JobType(GenericPayload, function))


def test_more_def_handlers_than_processors_run_at_the_same_time() -> None:
    together = threading.Barrier(40)

    def meeting(_payload: GenericPayload, _context: Context) -> ProcessResult:
        together.wait(PATIENCE_S)
        return ProcessResult()

    async def story(world: World) -> None:
        with_function(world, meeting)
        jobs = [await world.submit() for _ in range(40)]
        await world.react()
        await asyncio.gather(*(world.invoke() for _ in range(4)))
        assert {(await world.row(job)).status for job in jobs} == {Status.SUCCESS}

    in_world(unused, story)


def test_a_def_handler_that_is_stopped_has_ended_before_its_job_is_somebody_elses() -> None:
    async def story(world: World) -> None:
        ended_as: list[Status] = []

        def polite(_payload: GenericPayload, context: Context) -> ProcessResult:
            waiting = threading.Event()
            while not context.cancelled:
                waiting.wait(0.01)
            (row,) = world.jobs.rows.values()
            ended_as.append(row.status)
            return ProcessResult()

        with_function(world, polite)
        await once(world, halting(world, Stop.SHUTDOWN, 0))
        (row,) = world.jobs.rows.values()
        assert (ended_as, row.status) == ([Status.RUNNING], Status.QUEUED)

    in_world(unused, story)


def test_a_def_handler_that_raises_stop_iteration_fails_and_does_not_hang() -> None:
    def careless(_payload: GenericPayload, _context: Context) -> ProcessResult:
        return next(iter(()))

    async def story(world: World) -> None:
        with_function(world, careless)
        job = await world.submit()
        await world.drain()
        assert json.loads((await world.row(job)).error or "")["message"] == "the handler raised StopIteration"

    in_world(unused, story)


def test_a_def_that_returns_an_awaitable_is_awaited() -> None:
    async def answer(_payload: GenericPayload, _context: Context) -> ProcessResult:
        return ProcessResult(data={"n": 1})

    def decorated(payload: GenericPayload, context: Context) -> ProcessResult:
        return answer(payload, context)  # type: ignore[return-value]  # as an untyped decorator would

    async def story(world: World) -> None:
        with_function(world, decorated)
        job = await world.submit()
        await world.drain()
        assert (await world.row(job)).status is Status.SUCCESS

    in_world(unused, story)


# --- the lease --------------------------------------------------------------------------------------------------------


def test_what_took_longer_than_its_first_lease_is_settled_with_as_much_patience() -> None:
    async def long(_payload: GenericPayload, _context: Context) -> ProcessResult:
        await asyncio.sleep(55)
        return ProcessResult()

    async def story(world: World) -> None:
        class Stormy(MemoryJobs):
            """Throttles every settlement for the first 75 s."""

            async def apply(self, move: Move) -> Applied | Refused:
                if move.event is Event.SUCCEED and world.ports.now() - EPOCH_MS < 75_000:
                    raise WorldFault("throttled", "slow down")
                return await super().apply(move)

        world.ports = replace(world.ports, jobs=Stormy())
        await once(world, TaskBeats(world.ports, lease_ms=60_000))
        (row,) = world.jobs.rows.values()
        assert (row.status, row.epoch) == (Status.SUCCESS, 1)

    in_world(long, story)


def test_in_lambda_patience_ends_before_the_invocation_does() -> None:
    async def long(_payload: GenericPayload, _context: Context) -> ProcessResult:
        await asyncio.sleep(55)
        return ProcessResult()

    async def story(world: World) -> None:
        class Down(MemoryJobs):
            async def apply(self, move: Move) -> Applied | Refused:
                if move.event is Event.SUCCEED:
                    raise WorldFault("throttled", "slow down")
                return await super().apply(move)

        world.ports = replace(world.ports, jobs=Down())
        await world.submit()
        await world.react()
        began = world.ports.now()
        assert await world.invoke() != []
        assert world.ports.now() - began < INVOCATION_MS

    in_world(long, story)


def test_a_beat_that_fails_for_whatever_reason_is_followed_by_another() -> None:
    async def long(_payload: GenericPayload, context: Context) -> ProcessResult:
        for step in range(55):
            context.progress(step, 55)
            await asyncio.sleep(1)
        return ProcessResult()

    async def story(world: World) -> None:
        beaten: list[int] = []

        class Odd(MemoryJobs):
            async def apply(self, move: Move) -> Applied | Refused:
                if move.event is Event.BEAT:
                    beaten.append(world.ports.now())
                    if len(beaten) < 3:
                        raise Permanent("ValidationException", "the item is too large")
                return await super().apply(move)

        world.ports = replace(world.ports, jobs=Odd())
        await once(world, TaskBeats(world.ports, lease_ms=60_000))
        assert len(beaten) > 5

    in_world(long, story)


def test_what_its_payload_made_wait_shows_a_sign_of_life_as_soon_as_it_runs() -> None:
    async def long(_payload: GenericPayload, _context: Context) -> ProcessResult:
        await asyncio.sleep(5)
        return ProcessResult()

    async def story(world: World) -> None:
        beaten: list[int] = []

        class Witness(MemoryJobs):
            async def apply(self, move: Move) -> Applied | Refused:
                if move.event is Event.BEAT:
                    beaten.append(world.ports.now())
                return await super().apply(move)

        class Slow(MemoryObjects):
            async def get(self, key: str) -> bytes | None:
                await asyncio.sleep(14)
                return await super().get(key)

        world.ports = replace(world.ports, jobs=Witness(), objects=Slow())
        await world.service.submit(GenericPayload(operation="x", parameters={"text": "y" * 9_000}))
        await world.react()
        assert await world.invoke() == []
        assert len(beaten) == 1

    in_world(long, story)


def test_a_claim_whose_answer_is_long_in_coming_costs_no_attempt_and_no_time_out() -> None:
    """An invocation has too little time left for the run then: it is put off, and the next one has all of it."""

    async def almost_too_long(_payload: GenericPayload, _context: Context) -> ProcessResult:
        await asyncio.sleep(59)
        return ProcessResult()

    async def story(world: World) -> None:
        began = world.ports.now()

        class Deaf(MemoryJobs):
            async def apply(self, move: Move) -> Applied | Refused:
                answer = await super().apply(move)
                if move.event is Event.CLAIM and world.ports.now() < began + 14_000:
                    raise WorldFault("timed_out", "the answer was lost")
                return answer

        world.ports = replace(world.ports, jobs=Deaf())
        job = await world.submit()
        await world.drain()
        row = await world.row(job)
        assert [read_history_entry(entry).event for entry in row.history] == [
            "submit",
            "claim",
            "snooze",
            "claim",
            "succeed",
        ]
        assert (row.attempts, len(world.runs)) == (0, 1)

    in_world(almost_too_long, story)
