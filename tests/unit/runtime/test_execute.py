"""A job now or queued: the same job either way."""

import asyncio
from dataclasses import replace

import pytest

from shared.errors import Conflict, InvalidInput, Permanent, Transient
from shared.job import Job
from shared.memory.jobs import MemoryJobs
from shared.moves import Move
from shared.pause import Pause
from shared.payloads.backup import BackupPayload
from shared.payloads.generic import GenericPayload
from shared.payloads.results import ProcessResult
from shared.ports import Applied, Refused
from shared.runtime.beats import TaskBeats
from shared.runtime.context import Context
from shared.runtime.execute import Executor
from shared.runtime.pause import pause
from shared.status import Event, Status
from shared.throttle import Concurrency
from tests.world import World, in_world

PAYLOAD = GenericPayload(operation="x", parameters={"text": "y" * 1_000})


async def answer(_payload: GenericPayload, context: Context) -> ProcessResult:
    context.progress(1, 2)
    await asyncio.sleep(2)
    return ProcessResult(data={"n": 1})


async def patient(_payload: GenericPayload, context: Context) -> ProcessResult:
    """Its first run would never end."""
    if context.epoch == 1:
        await asyncio.sleep(55)
    return ProcessResult()


def executor(world: World, *, at_once_max: int = 4) -> Executor:
    beats = TaskBeats(world.ports, lease_ms=60_000)
    return Executor((world.type,), world.ports, beats, who="app", at_once_max=at_once_max)


async def only(world: World) -> Job:
    (row,) = world.jobs.rows.values()
    return row


def test_a_job_run_here_and_a_queued_one_differ_in_nothing_but_their_history() -> None:
    async def story(world: World) -> None:
        jobs = executor(world)
        here = await jobs.execute(PAYLOAD, now=True)
        queued = await jobs.execute(PAYLOAD, now=False)
        assert (here.status, queued.status) == (Status.SUCCESS, Status.QUEUED)
        await world.drain()
        there = await world.row(queued)
        assert [entry.split(" ")[1] for entry in here.history] == ["start", "succeed"]
        assert [entry.split(" ")[1] for entry in there.history] == ["submit", "claim", "succeed"]
        results = [await jobs.service.result(job) for job in (here, there)]
        assert results[0].data.payload == results[1].data.payload
        assert results[0].data.result == results[1].data.result
        for name in ("status", "attempts", "seq", "progress", "payload_place", "payload_hash", "type"):
            assert getattr(here, name) == getattr(there, name)
        assert {job.job_id for job in (await jobs.service.list("default")).jobs} == {here.job_id, there.job_id}

    in_world(answer, story)


def test_by_load_it_runs_here_until_enough_run_here() -> None:
    async def story(world: World) -> None:
        jobs = executor(world, at_once_max=2)
        ends = await asyncio.gather(*(jobs.execute(PAYLOAD) for _ in range(3)))
        assert [job.status for job in ends] == [Status.SUCCESS, Status.SUCCESS, Status.QUEUED]
        assert (await jobs.execute(PAYLOAD)).status is Status.SUCCESS

    in_world(answer, story)


def test_what_can_wait_does_not_run_here_by_load() -> None:
    async def story(world: World) -> None:
        low = PAYLOAD.model_copy(update={"priority": "low"})
        assert (await executor(world).execute(low)).status is Status.QUEUED
        assert (await executor(world).execute(low, now=True)).status is Status.SUCCESS

    in_world(answer, story)


def test_who_says_now_is_not_sent_to_the_queue_however_much_runs() -> None:
    async def story(world: World) -> None:
        jobs = executor(world, at_once_max=1)
        ends = await asyncio.gather(*(jobs.execute(PAYLOAD, now=True) for _ in range(3)))
        assert {job.status for job in ends} == {Status.SUCCESS}

    in_world(answer, story)


def test_a_failure_with_attempts_left_goes_on_through_the_queue() -> None:
    async def flaky(_payload: GenericPayload, context: Context) -> ProcessResult:
        if context.attempt == 1:
            raise Transient("busy", "again")
        return ProcessResult()

    async def story(world: World) -> None:
        job = await executor(world).execute(PAYLOAD, now=True)
        assert (job.status, job.attempts) == (Status.QUEUED, 1)
        await world.drain()
        assert ((await only(world)).status, len(world.runs)) == (Status.SUCCESS, 2)

    in_world(flaky, story)


def test_a_failure_for_good_is_in_the_row_and_not_raised() -> None:
    async def broken(_payload: GenericPayload, _context: Context) -> ProcessResult:
        raise Permanent("gone", "no such table", field="tables.0")

    async def story(world: World) -> None:
        job = await executor(world).execute(PAYLOAD, now=True)
        assert job.status is Status.FAILED
        assert '"code":"gone"' in (job.error or "")

    in_world(broken, story)


def test_a_time_out_is_the_types_own_also_here() -> None:
    async def endless(_payload: GenericPayload, _context: Context) -> ProcessResult:
        await asyncio.sleep(1_000_000)
        return ProcessResult()

    async def story(world: World) -> None:
        job = await executor(world).execute(PAYLOAD, now=True)
        assert '"code":"timeout"' in (job.error or "")
        assert job.status is Status.QUEUED

    in_world(endless, story)


def test_one_that_is_cancelled_while_it_runs_here_ends_cancelled() -> None:
    async def story(world: World) -> None:
        jobs = executor(world)
        running = asyncio.create_task(jobs.execute(PAYLOAD, now=True))
        await asyncio.sleep(1)
        row = await only(world)
        assert row.status is Status.RUNNING
        await jobs.service.cancel("default", row.job_id, who="me")
        assert (await running).status is Status.CANCELLED

    in_world(patient, story)


def test_a_caller_who_no_longer_waits_hands_it_to_the_queue_at_no_attempts_cost() -> None:
    async def story(world: World) -> None:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(3):
                await executor(world).execute(PAYLOAD, now=True)
        row = await only(world)
        assert (row.status, row.attempts, row.seq) == (Status.QUEUED, 0, 2)
        await world.drain()
        assert (await only(world)).status is Status.SUCCESS

    in_world(patient, story)


@pytest.mark.parametrize("now", [None, True])
def test_what_is_throttled_or_paused_is_let_in_by_its_queue(now: bool | None, monkeypatch: pytest.MonkeyPatch) -> None:
    async def story(world: World) -> None:
        with monkeypatch.context() as patch:
            policy = replace(GenericPayload.policy, throttles=(Concurrency(1),))
            patch.setattr(GenericPayload, "policy", policy)
            assert (await executor(world).execute(PAYLOAD, now=now)).status is Status.QUEUED
        assert (await executor(world).execute(PAYLOAD, now=now)).status is Status.SUCCESS
        await pause(world.ports, Pause(tenant_id="default", type="generic", since=world.ports.now(), who="me"))
        assert (await executor(world).execute(PAYLOAD, now=now)).status is Status.QUEUED

    in_world(answer, story)


@pytest.mark.parametrize("turns", range(10))
def test_closing_hands_what_runs_to_the_queue_whether_it_has_begun_or_not(turns: int) -> None:
    async def story(world: World) -> None:
        jobs = executor(world)
        running = asyncio.create_task(jobs.execute(PAYLOAD, now=True))
        for _ in range(turns):
            await asyncio.sleep(0)
        await jobs.close()
        assert (await running).status is Status.QUEUED
        await world.drain()
        assert ((await only(world)).status, (await only(world)).attempts) == (Status.SUCCESS, 0)

    in_world(patient, story)


def test_a_process_that_dies_is_taken_over_at_no_attempts_cost_since_it_did_more_than_this() -> None:
    class Dying(MemoryJobs):
        """The process can write nothing after its start."""

        async def apply(self, move: Move) -> Applied | Refused:
            if move.event is not Event.START:
                await asyncio.get_running_loop().create_future()
            return await super().apply(move)

    async def story(world: World) -> None:
        alive, dead = world.ports, Dying()
        dead.rows, dead.stream = world.jobs.rows, world.jobs.stream
        world.ports = replace(alive, jobs=dead)
        dying = asyncio.create_task(executor(world).execute(PAYLOAD, now=True))
        await asyncio.sleep(3)
        world.ports = alive
        await world.drain()
        row = await only(world)
        assert (row.status, row.attempts, row.epoch) == (Status.SUCCESS, 0, 2)
        dying.cancel()

    in_world(patient, story)


def test_the_same_key_is_the_same_job_now_or_queued() -> None:
    async def story(world: World) -> None:
        jobs = executor(world)
        queued = await jobs.execute(PAYLOAD, now=False, idempotency_key="k")
        here = await jobs.execute(PAYLOAD, now=True, idempotency_key="k")
        again = await jobs.execute(PAYLOAD, now=True, idempotency_key="k")
        assert (queued.job_id, here.status, again) == (here.job_id, Status.SUCCESS, here)
        await world.drain()
        assert len(world.runs) == 1
        with pytest.raises(Conflict):
            await jobs.execute(GenericPayload(operation="other"), now=True, idempotency_key="k")

    in_world(answer, story)


@pytest.mark.parametrize(
    ("payload", "key", "field"),
    [
        (BackupPayload(database="sqlite:///x"), None, "type"),
        (GenericPayload(operation="x", job_id="j"), "k", "idempotency_key"),
        (GenericPayload(operation="x"), "", "idempotency_key"),
    ],
)
def test_what_cannot_be_run_here_is_refused_before_anything_is_written(
    payload: GenericPayload | BackupPayload, key: str | None, field: str
) -> None:
    async def story(world: World) -> None:
        with pytest.raises(InvalidInput) as caught:
            await executor(world).execute(payload, now=True, idempotency_key=key)
        assert caught.value.field == field
        assert world.jobs.rows == {}

    in_world(answer, story)


def test_a_type_that_is_not_here_goes_to_its_queue() -> None:
    async def story(world: World) -> None:
        assert (await executor(world).execute(BackupPayload(database="sqlite:///x"))).status is Status.QUEUED

    in_world(answer, story)
