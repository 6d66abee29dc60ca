"""Whatever wakes a job wakes it in its own lane; who serves all lanes serves the urgent first, and the low at times."""

import asyncio
from collections.abc import Collection

import pytest

from shared.audit import Books
from shared.dead_letters import DeadLetter
from shared.errors import InvalidInput
from shared.lanes import LANES, Priority, queue_of, queues_of
from shared.outcomes import WaitFor
from shared.payloads import read_payload
from shared.payloads.generic import GenericPayload
from shared.payloads.results import ProcessResult
from shared.ports import Outgoing
from shared.runtime.audit import audited
from shared.runtime.beats import TaskBeats
from shared.runtime.context import Context
from shared.runtime.dead_letters import heal
from shared.runtime.process import LOW_EVERY, Assignment, serve
from shared.runtime.settings import read_settings
from shared.status import Status
from shared.view import view_of
from tests.world import World, in_world

each_lane = pytest.mark.parametrize("lane", LANES)


async def answer(_payload: GenericPayload, _context: Context) -> ProcessResult:
    return ProcessResult()


def waiting_in(world: World) -> list[str]:
    """The queues that hold a message."""
    return [queue for queue, held in world.queues.held.items() if held]


def forget(world: World) -> None:
    for held in world.queues.held.values():
        held.clear()


# --- every way to a queue ---


@each_lane
def test_every_run_of_a_job_is_woken_in_its_lane(lane: Priority) -> None:
    async def once_again(payload: GenericPayload, _context: Context) -> ProcessResult:
        runs.append(payload.priority)
        if len(runs) < 2:
            raise ConnectionError
        return ProcessResult()

    async def story(world: World) -> None:
        job = await world.submit(priority=lane)
        for _ in range(2):
            await world.react()
            assert waiting_in(world) == [f"generic-{lane}"]
            await asyncio.sleep(2)
            assert await world.invoke(f"generic-{lane}") == []
        row = await world.row(job)
        assert (row.status, view_of(row, bucket="b").priority) == (Status.SUCCESS, lane)

    runs: list[str] = []
    in_world(once_again, story, lanes=True)
    assert runs == [lane, lane]


@each_lane
def test_a_job_that_is_due_later_than_sqs_can_wait_comes_in_its_lane(lane: Priority) -> None:
    async def story(world: World) -> None:
        await world.submit(priority=lane, delay_s=5_000.0)
        await world.react()
        await asyncio.sleep(5_001)
        assert waiting_in(world) == [f"generic-{lane}"]

    in_world(answer, story, lanes=True)


@each_lane
def test_what_was_lost_is_woken_again_in_its_lane(lane: Priority) -> None:
    async def story(world: World) -> None:
        await world.submit(priority=lane)
        await world.react()
        forget(world)
        await asyncio.sleep(7_300)
        async for _ in audited(world.ports, Books(started_at=world.ports.now()), repair=True):
            assert waiting_in(world) == [f"generic-{lane}"]

    in_world(answer, story, lanes=True)


@each_lane
def test_a_dead_letter_goes_back_to_its_lane(lane: Priority) -> None:
    async def story(world: World) -> None:
        await world.submit(priority=lane)
        await world.react()
        (held,) = world.queues.held[f"generic-{lane}"]
        bare = DeadLetter("bare", '{"operation": "x"}', "generic", lane=lane)
        said = DeadLetter("said", f'{{"operation": "x", "priority": "{lane}"}}', "generic")
        for letter in (DeadLetter(held.message_id, held.body, None), bare, said):
            forget(world)
            assert await heal([letter], world.ports, stack="t") == []
            assert waiting_in(world) == [f"generic-{lane}"]

    in_world(answer, story, lanes=True)


@pytest.mark.parametrize(
    ("queue", "body", "lane"),
    [
        ("generic-urgent", '{"operation": "x"}', "urgent"),
        ("generic-low", '{"operation": "x", "priority": "high"}', "high"),
        ("generic", '{"operation": "x", "priority": "low"}', "low"),
        ("generic", '{"operation": "x", "priority": "normal"}', None),
    ],
    ids=["the lane's", "its own before the lane's", "its own", "none"],
)
def test_a_bare_message_may_be_sent_to_a_lane_and_is_of_its_priority(queue: str, body: str, lane: str | None) -> None:
    async def snoozing(_payload: GenericPayload, _context: Context) -> ProcessResult:
        raise ConnectionError

    async def story(world: World) -> None:
        job_type, _, own = queue.partition("-")
        await world.ports.queues.send([Outgoing(job_type, body, lane=own or None)])
        assert await world.invoke(queue) == []
        await world.react()
        assert waiting_in(world) == [queue_of("generic", lane)]

    in_world(snoozing, story, lanes=True)


def test_what_an_urgent_job_waits_for_is_urgent_unless_it_says_otherwise() -> None:
    async def parent(payload: GenericPayload, context: Context) -> ProcessResult | WaitFor:
        if payload.operation == "child" or context.checkpoint:
            return ProcessResult()
        low = GenericPayload(operation="child", priority="low")
        return WaitFor([GenericPayload(operation="child"), low], checkpoint="waited")

    async def story(world: World) -> None:
        job = await world.submit(priority="urgent")
        await world.drain()
        assert (await world.row(job)).status is Status.SUCCESS
        assert sorted(row.priority or "" for row in world.jobs.rows.values()) == ["low", "urgent", "urgent"]

    in_world(parent, story, lanes=True)


def test_a_type_without_lanes_takes_any_priority() -> None:
    async def story(world: World) -> None:
        jobs = [await world.submit(priority=priority) for priority in LANES]
        await world.drain()
        assert {(await world.row(job)).status for job in jobs} == {Status.SUCCESS}

    in_world(answer, story)


def test_a_priority_that_does_not_exist_is_refused_by_name_and_another_one_makes_no_other_job() -> None:
    with pytest.raises(InvalidInput) as refusal:
        read_payload('{"type": "generic", "operation": "x", "priority": "asap"}')
    assert refusal.value.field == "priority"

    async def story(world: World) -> None:
        urgent = await world.submit(priority="urgent", idempotency_key="k")
        assert await world.submit(priority="low", idempotency_key="k") == urgent

    in_world(answer, story, lanes=True)


# --- one worker, all lanes ---


def served(jobs: Collection[tuple[Priority, int]], *, concurrency: int, seconds: float) -> list[str]:
    """Give a worker so many jobs of these priorities before it begins; → the priorities of those that began."""
    began: list[str] = []

    async def brief(payload: GenericPayload, _context: Context) -> ProcessResult:
        began.append(payload.priority)
        await asyncio.sleep(1)
        return ProcessResult()

    async def story(world: World) -> None:
        stop = asyncio.Event()
        for priority, count in jobs:
            for _ in range(count):
                await world.submit(priority=priority)
        await world.react()
        assignments = [Assignment(world.handler_of("generic"), concurrency)]
        beats = TaskBeats(world.ports, lease_ms=60_000)
        worker = asyncio.create_task(serve(assignments, world.ports, beats, stack="t", who="me", stop=stop))
        await asyncio.sleep(seconds)
        stop.set()
        await worker

    in_world(brief, story, lanes=True)
    return began


@pytest.mark.parametrize("concurrency", [1, 4])
def test_a_worker_takes_no_normal_job_while_an_urgent_one_waits(concurrency: int) -> None:
    began = served([("normal", 100), ("high", 8), ("urgent", 8)], concurrency=concurrency, seconds=24)
    assert began[:16] == ["urgent"] * 8 + ["high"] * 8
    assert began[16:] == ["normal"] * len(began[16:]) != []


def test_low_jobs_move_however_many_urgent_ones_wait_but_hold_up_few() -> None:
    began = served([("urgent", 200), ("low", 200)], concurrency=1, seconds=100)
    assert began[:LOW_EVERY] == ["urgent"] * (LOW_EVERY - 1) + ["low"]
    assert began.count("low") == len(began) // LOW_EVERY


def test_a_worker_with_nothing_else_to_do_serves_every_lane_at_once() -> None:
    for priority in ("urgent", "high", "normal", "low"):
        assert served([(priority, 1)], concurrency=1, seconds=2) == [priority]


def test_a_function_is_told_which_types_have_lanes_and_others_ask() -> None:
    assert read_settings({"LONGSHORE_LANES": "generic,extract"}).lanes == frozenset({"generic", "extract"})
    assert read_settings({"LONGSHORE_LANES": ""}).lanes == frozenset()
    assert read_settings({}).lanes is None


def test_all_lanes_of_a_type_are_named() -> None:
    assert queues_of("generic") == ("generic-urgent", "generic-high", "generic", "generic-low")
