"""The long-running worker, in virtual time."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace

import pytest

from shared.errors import NotFound, WorldFault
from shared.memory.clock import EPOCH_MS, run_virtual
from shared.memory.jobs import MemoryJobs
from shared.memory.ports import memory_ports
from shared.memory.queues import MemoryQueues
from shared.moves import Move
from shared.payloads.generic import GenericPayload
from shared.payloads.results import ProcessResult
from shared.ports import Applied, Clock, Message, Refused
from shared.runtime.beats import TaskBeats
from shared.runtime.context import Context
from shared.runtime.definition import JobType
from shared.runtime.process import Assignment, serve
from shared.status import Event, Status
from tests.world import World, in_world


async def serving(world: World, stop: asyncio.Event, *, concurrency: int = 4, grace_s: float = 25.0) -> None:
    """The worker and the reactor's pump, until `stop`."""

    async def pump() -> None:
        while True:
            await world.react()
            await asyncio.sleep(0.2)

    pumping = asyncio.create_task(pump())
    beats = TaskBeats(world.ports, lease_ms=60_000)
    assignments = [Assignment(world.type, concurrency)]  # type: ignore[arg-type]  # a payload is a payload
    await serve(assignments, world.ports, beats, stack="test", who="me", stop=stop, grace_s=grace_s)
    pumping.cancel()


def with_worker(
    handler: Callable[[GenericPayload, Context], Awaitable[object]],
    story: Callable[[World, asyncio.Event], Awaitable[None]],
    **options: float,
) -> World:
    async def main(world: World) -> World:
        stop = asyncio.Event()
        worker = asyncio.create_task(serving(world, stop, **options))  # type: ignore[arg-type]
        await story(world, stop)
        stop.set()
        await worker
        return world

    return in_world(handler, main)


def test_work_longer_than_its_lease_is_kept_by_beats_hidden_and_done_once() -> None:
    receives: list[int] = []

    async def main(world: World) -> None:
        async def long(_payload: GenericPayload, _context: Context) -> ProcessResult:
            await asyncio.sleep(55)
            receives.extend(held.receives for held in world.queues.held["generic"])
            return ProcessResult()

        world.handler = long
        stop = asyncio.Event()
        worker = asyncio.create_task(serving(world, stop))
        jobs = [await world.submit() for _ in range(12)]
        await asyncio.sleep(400)
        stop.set()
        await worker
        rows = [await world.row(job) for job in jobs]
        assert {(row.status, row.epoch) for row in rows} == {(Status.SUCCESS, 1)}
        assert len(world.runs) == 12
        assert set(receives) <= {0, 1}, "no message came a second time while its job ran"
        assert not world.queues.held["generic"]

    async def unused(_payload: GenericPayload, _context: Context) -> None:
        raise AssertionError

    in_world(unused, main, visibility_s=30)


def test_no_more_jobs_run_at_a_time_than_it_was_told() -> None:
    now_running, most = 0, 0

    async def counted(_payload: GenericPayload, _context: Context) -> ProcessResult:
        nonlocal now_running, most
        now_running += 1
        most = max(most, now_running)
        await asyncio.sleep(1)
        now_running -= 1
        return ProcessResult()

    async def story(world: World, _stop: asyncio.Event) -> None:
        for _ in range(20):
            await world.submit()
        await asyncio.sleep(60)

    with_worker(counted, story, concurrency=3)
    assert most == 3


class CountedQueues(MemoryQueues):
    """`batches`: how many messages each poll brought."""

    def __init__(self, now: Clock) -> None:
        super().__init__(now)
        self.batches: list[int] = []

    async def receive(self, job_type: str, *, max_messages: int, wait_s: int) -> Sequence[Message]:
        messages = await super().receive(job_type, max_messages=max_messages, wait_s=wait_s)
        self.batches.append(len(messages))
        return messages


def test_jobs_that_end_nearly_together_are_followed_by_one_poll_for_all() -> None:
    async def brief(_payload: GenericPayload, context: Context) -> ProcessResult:
        await asyncio.sleep(1 + int(context.job_id[-1], 16) / 1000)
        return ProcessResult()

    async def main(now: Clock) -> list[int]:
        queues = CountedQueues(now)
        world, stop = World(memory_ports(now, queues=queues), brief), asyncio.Event()
        for _ in range(40):
            await world.submit()
        worker = asyncio.create_task(serving(world, stop, concurrency=10))
        await asyncio.sleep(8)
        stop.set()
        await worker
        return queues.batches

    assert [size for size in run_virtual(main) if size] == [10, 10, 10, 10]


def test_a_claim_alone_whose_answers_are_lost_for_a_while_costs_no_attempt() -> None:
    async def answer(_payload: GenericPayload, _context: Context) -> ProcessResult:
        return ProcessResult()

    async def story(world: World) -> None:
        class Forgetful(MemoryJobs):
            async def apply(self, move: Move) -> Applied | Refused:
                answer = await super().apply(move)
                if move.event is Event.CLAIM and world.ports.now() - EPOCH_MS < 10_000:
                    raise WorldFault("timeout", "the answer was lost")
                return answer

        world.ports = replace(world.ports, jobs=Forgetful())
        job = await world.submit()
        stop = asyncio.Event()
        worker = asyncio.create_task(serving(world, stop, concurrency=1))
        await asyncio.sleep(200)
        stop.set()
        await worker
        row = await world.row(job)
        assert (row.status, row.epoch, row.attempts) == (Status.SUCCESS, 1, 0)

    in_world(answer, story)


def test_a_stop_waits_for_what_runs() -> None:
    async def short(_payload: GenericPayload, _context: Context) -> ProcessResult:
        await asyncio.sleep(20)
        return ProcessResult()

    async def story(world: World, stop: asyncio.Event) -> None:
        await world.submit()
        await asyncio.sleep(5)
        stop.set()

    world = with_worker(short, story)
    assert [row.status for row in world.jobs.rows.values()] == [Status.SUCCESS]
    assert not world.queues.held["generic"]


def test_what_outlives_the_grace_cleans_up_and_is_queued_again_without_losing_an_attempt() -> None:
    cleaned: list[bool] = []

    async def endless(_payload: GenericPayload, context: Context) -> ProcessResult:
        try:
            await asyncio.sleep(50)
        finally:
            cleaned.append(context.cancelled)
        return ProcessResult()

    async def story(world: World, stop: asyncio.Event) -> None:
        await world.submit()
        await asyncio.sleep(5)
        stop.set()

    world = with_worker(endless, story, grace_s=10)
    (row,) = world.jobs.rows.values()
    assert (row.status, row.attempts, row.seq) == (Status.QUEUED, 0, 2)
    assert cleaned == [True]
    assert not world.queues.held["generic"], "the old wake-up was acknowledged after the settlement"


def test_a_stop_is_heard_while_every_place_is_taken() -> None:
    async def endless(_payload: GenericPayload, _context: Context) -> ProcessResult:
        await asyncio.sleep(50)
        return ProcessResult()

    async def story(world: World, stop: asyncio.Event) -> None:
        await world.submit()
        await asyncio.sleep(5)
        stop.set()

    world = with_worker(endless, story, concurrency=1, grace_s=10)
    (row,) = world.jobs.rows.values()
    assert (row.status, row.attempts, row.updated_at - row.created_at < 20_000) == (Status.QUEUED, 0, True)


def test_the_grace_begins_with_the_stop_and_not_after_the_open_polls() -> None:
    async def endless(_payload: GenericPayload, _context: Context) -> ProcessResult:
        await asyncio.sleep(50)
        return ProcessResult()

    async def story(world: World, stop: asyncio.Event) -> None:
        await world.submit()
        await asyncio.sleep(5)
        stop.set()

    world = with_worker(endless, story, grace_s=4)
    (row,) = world.jobs.rows.values()
    assert row.updated_at - row.created_at < 10_000


def test_what_waited_for_its_turn_is_stopped_as_well() -> None:
    async def endless(_payload: GenericPayload, _context: Context) -> ProcessResult:
        await asyncio.sleep(50)
        return ProcessResult()

    async def story(world: World, stop: asyncio.Event) -> None:
        dead = await world.submit("dead")
        row = replace(
            await world.row(dead), status=Status.RUNNING, epoch=1, token="dead", lease_until=world.ports.now() - 1
        )
        world.jobs.rows[dead.key] = row
        await asyncio.sleep(2)
        await world.submit("waits")
        await asyncio.sleep(5)
        stop.set()

    world = with_worker(endless, story, grace_s=4)
    rows = world.jobs.rows.values()
    assert {(row.status, row.attempts) for row in rows} == {(Status.QUEUED, 0)}
    assert max(row.updated_at for row in rows) - min(row.created_at for row in rows) < 15_000


def test_a_queue_that_is_not_there_ends_the_process_but_strands_nothing() -> None:
    async def endless(_payload: GenericPayload, _context: Context) -> ProcessResult:
        await asyncio.sleep(50)
        return ProcessResult()

    async def story(world: World) -> None:
        await world.submit()
        await world.react()
        serving = asyncio.create_task(serve_generic(world))
        await asyncio.sleep(15)
        world.queues.receive = gone  # type: ignore[method-assign]
        with pytest.raises(ExceptionGroup) as caught:
            await serving
        assert caught.group_contains(NotFound)
        (row,) = world.jobs.rows.values()
        assert (row.status, row.attempts) == (Status.QUEUED, 0)

    async def gone(*_args: object, **_options: object) -> list[Message]:
        raise NotFound("no_such_queue", "it was deleted")

    async def serve_generic(world: World) -> None:
        assignment = Assignment(world.type, 4)  # type: ignore[arg-type]  # a payload is a payload
        beats = TaskBeats(world.ports, lease_ms=60_000)
        await serve([assignment], world.ports, beats, stack="test", who="me", stop=asyncio.Event(), grace_s=5)

    in_world(endless, story)


def test_messages_received_while_stopping_are_handed_back_at_once() -> None:
    async def answer(_payload: GenericPayload, _context: Context) -> ProcessResult:
        return ProcessResult()

    async def story(world: World, stop: asyncio.Event) -> None:
        await asyncio.sleep(1)
        stop.set()
        await world.send('{"operation": "x"}')

    world = with_worker(answer, story)
    (held,) = world.queues.held["generic"]
    assert held.visible_at <= world.ports.now()
    assert not world.runs


def test_a_def_handler_runs_in_a_thread() -> None:
    def plain(payload: GenericPayload, context: Context) -> ProcessResult:
        context.progress(1, 1)
        return ProcessResult(data={"operation": payload.operation})

    async def main(world: World) -> None:
        world.type = JobType(GenericPayload, plain)
        stop = asyncio.Event()
        worker = asyncio.create_task(serving(world, stop))
        job = await world.submit("sync")
        await asyncio.sleep(5)
        stop.set()
        await worker
        row = await world.row(job)
        assert row.status is Status.SUCCESS
        assert (await world.service.result(row)).data.result == {"data": {"operation": "sync"}}

    async def unused(_payload: GenericPayload, _context: Context) -> None:
        raise AssertionError

    in_world(unused, main)
