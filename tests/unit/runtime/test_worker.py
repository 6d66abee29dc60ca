"""From message to disposition, on the in-memory ports and the virtual clock."""

import asyncio
import json
from dataclasses import replace

import pytest

from shared.errors import Permanent, Transient, WorldFault
from shared.job import Job, read_history_entry
from shared.outcomes import Partial, Proceed, Snooze
from shared.payloads.generic import GenericPayload
from shared.payloads.results import ProcessResult, RowError
from shared.runtime.beats import TaskBeats
from shared.runtime.context import Context
from shared.runtime.floor import Floor
from shared.runtime.host import Host
from shared.status import Status
from tests.world import World, in_world


async def answer(_payload: GenericPayload, _context: Context) -> ProcessResult:
    return ProcessResult(data={"n": 1})


def events(job: Job) -> list[str]:
    return [read_history_entry(entry).event for entry in job.history]


def test_a_job_runs_once_and_takes_two_writes_by_its_worker() -> None:
    async def story(world: World) -> None:
        job = await world.submit()
        await world.drain()
        row = await world.row(job)
        assert (row.status, row.attempts, len(world.runs)) == (Status.SUCCESS, 0, 1)
        assert events(row) == ["submit", "claim", "succeed"]
        assert len(world.jobs.stream) == 3
        assert (await world.service.result(row)).data.result == {"data": {"n": 1}}
        assert not world.queues.held["generic"]

    in_world(answer, story)


def test_a_duplicate_is_refused_by_the_claim_and_acknowledged() -> None:
    async def story(world: World) -> None:
        job = await world.submit()
        await world.react()
        world.seen = 0
        await world.drain()
        assert len(world.runs) == 1
        assert (await world.row(job)).epoch == 1
        assert not world.queues.held["generic"]

    in_world(answer, story)


def test_a_transient_failure_is_tried_again_through_the_reactor_and_keeps_its_error() -> None:
    async def flaky(_payload: GenericPayload, context: Context) -> ProcessResult:
        if context.attempt < 3:
            raise Transient("busy", "come back", retry_after_s=7)
        return ProcessResult()

    async def story(world: World) -> None:
        job = await world.submit()
        await world.drain()
        row = await world.row(job)
        assert (row.status, row.attempts, row.seq, row.epoch) == (Status.SUCCESS, 2, 3, 3)
        moves = [read_history_entry(entry) for entry in row.history]
        assert [move.event for move in moves] == ["submit", "claim", "retry", "claim", "retry", "claim", "succeed"]
        assert all(later.at - sooner.at >= 7_000 for sooner, later in ((moves[2], moves[3]), (moves[4], moves[5])))
        assert row.error is None

    in_world(flaky, story)


def test_when_attempts_run_out_the_job_fails_with_the_last_error() -> None:
    async def broken(_payload: GenericPayload, context: Context) -> ProcessResult:
        raise ValueError(f"attempt {context.attempt} of postgresql://me:secret@host/db")

    async def story(world: World) -> None:
        job = await world.submit()
        await world.drain()
        row = await world.row(job)
        assert (row.status, row.attempts, row.attempts_left) == (Status.FAILED, 3, 0)
        error = json.loads(row.error or "")
        assert (error["code"], error["attempt"]) == ("ValueError", 3)
        failures = await world.service.failures(row)
        assert [failure.attempt for failure in failures] == [3, 2, 1]
        kept = "".join(failure.model_dump_json() for failure in failures)
        assert "Traceback" in kept
        assert "secret" not in kept
        assert row.expires_at is not None

    in_world(broken, story)


@pytest.mark.parametrize("error", [Permanent("gone", "no such thing", field="tables.0"), TypeError("oops")])
def test_a_permanent_failure_ends_the_job_at_once(error: Exception) -> None:
    async def broken(_payload: GenericPayload, _context: Context) -> ProcessResult:
        raise error

    async def story(world: World) -> None:
        job = await world.submit()
        await world.drain()
        row = await world.row(job)
        assert (row.status, row.attempts, len(world.runs)) == (Status.FAILED, 1, 1)

    in_world(broken, story)


def test_partial_success_lists_what_was_left_out() -> None:
    async def partly(_payload: GenericPayload, _context: Context) -> Partial:
        error = RowError(table="orders", row=3, field="price", code="not_a_number", message="'x'")
        return Partial(ProcessResult(records_processed=9), [error])

    async def story(world: World) -> None:
        job = await world.submit()
        await world.drain()
        row = await world.row(job)
        assert row.status is Status.PARTIAL_SUCCESS
        response = await world.service.result(row)
        assert response.data.details["errors_total"] == 1
        assert response.data.details["errors"] == [
            {"table": "orders", "row": 3, "field": "price", "code": "not_a_number", "message": "'x'"}
        ]

    in_world(partly, story)


def test_a_run_that_takes_too_long_is_stopped_cleans_up_and_counts_as_a_failure() -> None:
    cleaned: list[int] = []

    async def slow(_payload: GenericPayload, context: Context) -> ProcessResult:
        try:
            await asyncio.sleep(3600)
        finally:
            cleaned.append(context.attempt)
        return ProcessResult()

    async def story(world: World) -> None:
        job = await world.submit()
        await world.drain()
        row = await world.row(job)
        assert (row.status, json.loads(row.error or "")["code"]) == (Status.FAILED, "timeout")
        assert cleaned == [1, 2, 3]

    in_world(slow, story)


def test_snooze_and_proceed_cost_no_attempt_and_keep_the_checkpoint() -> None:
    async def long(_payload: GenericPayload, context: Context) -> ProcessResult | Snooze | Proceed:
        match context.checkpoint:
            case None:
                return Proceed("1")
            case "1" if context.epoch == 2:
                return Snooze(5)
            case "1":
                return Proceed("2")
        return ProcessResult(data={"at": context.checkpoint})

    async def story(world: World) -> None:
        job = await world.submit()
        await world.drain()
        row = await world.row(job)
        assert (row.status, row.attempts, row.epoch, row.checkpoint) == (Status.SUCCESS, 0, 4, "2")

    in_world(long, story)


def test_a_proceed_that_stands_still_is_a_failed_attempt() -> None:
    async def stuck(_payload: GenericPayload, _context: Context) -> Proceed:
        return Proceed("same")

    async def story(world: World) -> None:
        job = await world.submit()
        await world.drain()
        row = await world.row(job)
        assert (row.status, json.loads(row.error or "")["code"], row.attempts) == (Status.FAILED, "no_progress", 3)

    in_world(stuck, story)


def test_a_fault_of_the_world_inside_a_handler_costs_no_attempt() -> None:
    async def throttled(_payload: GenericPayload, context: Context) -> ProcessResult:
        if context.epoch < 6:
            raise WorldFault("throttled", "slow down")
        return ProcessResult()

    async def story(world: World) -> None:
        job = await world.submit()
        await world.drain()
        row = await world.row(job)
        assert (row.status, row.attempts, row.epoch) == (Status.SUCCESS, 0, 6)

    in_world(throttled, story)


def test_progress_is_coalesced_and_reaches_the_row() -> None:
    async def counting(_payload: GenericPayload, context: Context) -> ProcessResult:
        for step in range(300):
            context.progress(step, 300, message="rows")
            await asyncio.sleep(0.1)
        return ProcessResult()

    async def story(world: World) -> None:
        job = await world.submit()
        await world.drain()
        row = await world.row(job)
        beats = len(world.jobs.stream) - 3
        assert 5 <= beats <= 8, "after 1 s, then every 5 s, in 30 s"
        assert json.loads(row.progress or "")["current"] == 299

    in_world(counting, story)


def test_a_cancel_is_seen_at_the_next_beat_and_the_handler_cleans_up() -> None:
    cleaned: list[bool] = []

    async def slow(_payload: GenericPayload, context: Context) -> ProcessResult:
        try:
            await asyncio.sleep(50)
        finally:
            cleaned.append(context.cancelled)
        return ProcessResult()

    async def story(world: World) -> None:
        job = await world.submit()
        await world.react()
        running = asyncio.create_task(world.invoke())
        await asyncio.sleep(3)
        world.jobs.rows[job.key] = replace(await world.row(job), cancel_requested=True)
        await running
        assert (await world.row(job)).status is Status.CANCELLED
        assert cleaned == [True]

    in_world(slow, story)


def test_who_lost_its_lease_is_stopped_and_changes_nothing_more() -> None:
    ended: list[str] = []

    async def slow(_payload: GenericPayload, _context: Context) -> ProcessResult:
        try:
            await asyncio.sleep(50)
        except asyncio.CancelledError:
            ended.append("stopped")
            raise RuntimeError("the cleanup failed as well") from None
        return ProcessResult()

    async def story(world: World) -> None:
        job = await world.submit()
        await world.react()
        running = asyncio.create_task(world.invoke())
        await asyncio.sleep(3)
        taken = replace(await world.row(job), epoch=2, token="another", progress='{"current":1}')
        world.jobs.rows[job.key] = taken
        failed = await running
        assert ended == ["stopped"]
        assert await world.row(job) == taken
        assert not await world.ports.side.query(job.key, limit=10)
        assert failed, "the message is hidden, not acknowledged: the other run may die"

    in_world(slow, story)


def test_dead_runs_are_taken_over_alone_and_a_death_in_company_costs_nothing() -> None:
    running: set[str] = set()
    beside: dict[str, set[str]] = {}

    async def recorded(payload: GenericPayload, _context: Context) -> ProcessResult:
        running.add(payload.operation)
        for name in running:
            beside[name] = beside.get(name, set()) | running
        await asyncio.sleep(5)
        running.discard(payload.operation)
        return ProcessResult()

    async def story(world: World) -> None:
        dead = [await world.submit("dead-1"), await world.submit("dead-2")]
        for name in ("fresh-1", "fresh-2"):
            await world.submit(name)
        await world.react()
        now = world.ports.now()
        for job in dead:  # they were claimed in one batch, and their container died
            row = await world.row(job)
            world.jobs.rows[job.key] = replace(
                row, status=Status.RUNNING, epoch=1, token="dead", lease_until=now - 1, started_at=now
            )
        await world.drain()
        rows = [await world.row(job) for job in dead]
        assert [(row.status, row.attempts, row.epoch) for row in rows] == [(Status.SUCCESS, 0, 2)] * 2
        assert beside["fresh-1"] == beside["fresh-2"] == {"fresh-1", "fresh-2"}
        assert (beside["dead-1"], beside["dead-2"]) == ({"dead-1"}, {"dead-2"})

    in_world(recorded, story)


def test_before_a_dead_run_is_taken_over_its_neighbours_are_settled_and_deleted() -> None:
    left: list[int] = []

    async def story(world: World) -> None:
        async def counted(payload: GenericPayload, _context: Context) -> ProcessResult:
            if payload.operation == "dead":
                left.append(len(world.queues.held["generic"]))
            return ProcessResult()

        world.handler = counted
        dead = await world.submit("dead")
        await world.submit("fresh")
        await world.react()
        row = await world.row(dead)
        world.jobs.rows[dead.key] = replace(
            row, status=Status.RUNNING, epoch=1, token="dead", lease_until=world.ports.now() - 1
        )
        await world.drain()
        assert left == [1], "only its own message was left when it ran"

    in_world(answer, story)


def test_what_kills_its_worker_alone_is_buried_by_its_next_receiver() -> None:
    async def story(world: World) -> None:
        job = await world.submit()
        await world.react()
        now = world.ports.now()
        row = await world.row(job)
        world.jobs.rows[job.key] = replace(
            row, status=Status.RUNNING, epoch=3, token="dead", lease_until=now - 1, alone=True, attempts_left=1
        )
        await world.drain()
        row = await world.row(job)
        assert (row.status, json.loads(row.error or "")["code"]) == (Status.FAILED, "worker_died")
        assert not world.runs
        assert not world.queues.held["generic"]

    in_world(answer, story)


def test_one_jobs_failure_never_touches_another_of_the_same_batch() -> None:
    async def mixed(payload: GenericPayload, _context: Context) -> ProcessResult:
        if payload.operation == "exit":
            raise SystemExit(3)
        if payload.operation == "bad":
            raise Permanent("bad", "bad")
        return ProcessResult()

    async def story(world: World) -> None:
        jobs = [await world.submit(name) for name in ("good", "exit", "bad", "fine")]
        await world.drain()
        states = [(await world.row(job)).status for job in jobs]
        assert states == [Status.SUCCESS, Status.FAILED, Status.FAILED, Status.SUCCESS]

    in_world(mixed, story)


@pytest.mark.parametrize(
    "body",
    [
        '{"operation": "x"}',
        '{"type": "generic", "operation": "x", "tenant_id": "acme", "job_id": "order-7"}',
        '{"type": "generic", "operation": "x", "tenantId": "acme", "jobId": "order-7", "userId": "me"}',
    ],
)
def test_a_bare_message_is_a_job_whose_row_its_claim_creates(body: str) -> None:
    async def story(world: World) -> None:
        await world.send(body)
        await world.drain()
        (row,) = world.jobs.rows.values()
        assert (row.status, row.seq, row.epoch) == (Status.SUCCESS, 1, 1)
        assert events(row) == ["claim_bare", "succeed"]
        assert row.job_id == "order-7" if "order-7" in body else row.job_id.startswith("job_")

    in_world(answer, story)


def test_two_bare_messages_without_an_id_are_two_jobs_and_a_redelivery_is_the_same_one() -> None:
    async def story(world: World) -> None:
        for _ in range(2):
            await world.send('{"operation": "x"}')
        messages = await world.ports.queues.receive("generic", max_messages=10, wait_s=0)
        for message in (*messages, *messages):
            host = batch_host(world)
            await world.worker.handle(message, host)
        assert len(world.jobs.rows) == len(world.runs) == 2

    in_world(answer, story)


def test_a_bare_message_that_names_no_job_is_known_again_by_another_version_of_its_model() -> None:
    async def story(world: World) -> None:
        await world.send('{"operation": "x"}')
        (message,) = await world.ports.queues.receive("generic", max_messages=1, wait_s=0)
        await world.worker.handle(message, batch_host(world))
        (row,) = world.jobs.rows.values()
        world.jobs.rows[row.key] = replace(
            row, status=Status.RUNNING, lease_until=world.ports.now() - 1, payload_hash="as the older version wrote it"
        )
        await asyncio.sleep(100)
        await world.drain()
        (row,) = world.jobs.rows.values()
        assert (row.status, row.epoch) == (Status.SUCCESS, 2)

    in_world(answer, story)


def batch_host(world: World) -> Host:
    return Host(
        who="test",
        lease_until=lambda: world.ports.now() + 85_000,
        time_left_s=lambda: 75.0,
        beats=TaskBeats(world.ports),
        floor=Floor(),
        solitary=False,
    )


def test_a_bare_message_that_fails_once_goes_on_as_an_ordinary_job() -> None:
    async def flaky(_payload: GenericPayload, context: Context) -> ProcessResult:
        if context.attempt == 1:
            raise Transient("busy", "again")
        return ProcessResult()

    async def story(world: World) -> None:
        await world.send('{"operation": "x", "metadata": {"order": 7}}')
        await world.drain()
        (row,) = world.jobs.rows.values()
        assert (row.status, row.seq, row.attempts) == (Status.SUCCESS, 2, 1)

    in_world(flaky, story)


def test_the_same_bare_id_with_another_payload_is_quarantined() -> None:
    async def story(world: World) -> None:
        await world.send('{"operation": "x", "job_id": "a"}')
        await world.send('{"operation": "y", "job_id": "a"}')
        await world.drain()
        kept = await world.ports.side.query("quarantine", limit=10)
        assert len(kept) == 1
        assert "another payload" in kept[0][1]
        assert len(world.runs) == 1

    in_world(answer, story)


def test_a_readable_message_with_a_bad_payload_is_a_failed_job_that_names_the_field() -> None:
    async def story(world: World) -> None:
        await world.send('{"operation": 7, "job_id": "a", "tenant_id": "acme"}')
        await world.drain()
        (row,) = world.jobs.rows.values()
        error = json.loads(row.error or "")
        assert (row.status, error["code"], error["field"]) == (Status.FAILED, "invalid_payload", "operation")
        assert not world.runs

    in_world(answer, story)


@pytest.mark.parametrize(
    "body", ["", "{", "[]", "7", '{"type":"backup"}', '{"longshore":2}', '{"job_id":"a#b","operation":"x"}', "[" * 5000]
)
def test_an_unreadable_message_is_quarantined_with_its_reason_and_acknowledged(body: str) -> None:
    async def story(world: World) -> None:
        await world.send(body)
        await world.send('{"operation": "x"}')
        await world.drain()
        ((_, kept),) = await world.ports.side.query("quarantine", limit=10)
        item = json.loads(kept)
        assert item["body"] == body
        assert item["reason"]
        assert len(world.runs) == 1, "its neighbour ran"
        assert not world.queues.held["generic"]

    in_world(answer, story)


def test_metadata_that_would_fill_the_row_is_a_failed_job_and_names_the_field() -> None:
    async def story(world: World) -> None:
        await world.send(json.dumps({"operation": "x", "job_id": "a", "metadata": {"text": "y" * 500_000}}))
        await world.send(json.dumps({"operation": "x", "job_id": "b", "z" * 500_000: 1}))
        await world.drain()
        for row, field in zip(world.jobs.rows.values(), ("metadata", "zzz"), strict=True):
            error = json.loads(row.error or "")
            assert (row.status, error["code"], error["field"][: len(field)]) == (
                Status.FAILED,
                "invalid_payload",
                field,
            )
            assert len(repr(row)) < 3_000
        assert not world.runs

    in_world(answer, story)


def test_why_a_message_is_in_quarantine_is_told_in_few_words() -> None:
    async def story(world: World) -> None:
        wakeup = {"longshore": 1, "tenant_id": "a", "job_id": "b", "seq": 1}
        await world.send(json.dumps(wakeup | {"z" * 500_000: 1}))
        await world.drain()
        ((_, kept),) = await world.ports.side.query("quarantine", limit=10)
        assert len(json.loads(kept)["reason"]) <= 1_000
        assert not world.queues.held["generic"]

    in_world(answer, story)


def test_a_message_that_cannot_be_hidden_touches_no_other() -> None:
    async def story(world: World) -> None:
        async def refused(*_args: object, **_options: object) -> None:
            raise Permanent("InvalidAddress", "no such endpoint")

        early = await world.submit(delay_s=600)
        job = await world.submit()
        await world.send(f'{{"longshore":1,"tenant_id":"default","job_id":"{early.job_id}","seq":1}}')
        await world.react()
        world.queues.hide = refused  # type: ignore[method-assign]
        failed = await world.invoke()
        assert failed is not None
        assert len(failed) == 1
        assert (await world.row(job)).status is Status.SUCCESS

    in_world(answer, story)


def test_a_wake_up_without_a_row_is_a_ghost_and_is_acknowledged() -> None:
    async def story(world: World) -> None:
        await world.send('{"longshore":1,"tenant_id":"a","job_id":"b","seq":1}')
        await world.drain()
        assert not world.jobs.rows
        assert not world.queues.held["generic"]

    in_world(answer, story)


def test_a_wake_up_that_comes_too_early_is_hidden_until_due_and_never_lost() -> None:
    async def story(world: World) -> None:
        job = await world.submit(delay_s=600)
        await world.send(f'{{"longshore":1,"tenant_id":"default","job_id":"{job.job_id}","seq":1}}')
        assert await world.invoke() != []
        await asyncio.sleep(601)
        assert await world.invoke() == []
        assert (await world.row(job)).status is Status.SUCCESS

    in_world(answer, story)


def test_a_delay_beyond_sqs_becomes_a_schedule() -> None:
    async def story(world: World) -> None:
        job = await world.submit(delay_s=3600)
        await world.react()
        assert not world.queues.held.get("generic")
        await asyncio.sleep(3700)
        await world.drain()
        assert (await world.row(job)).status is Status.SUCCESS

    in_world(answer, story)


def test_a_large_payload_is_kept_beside_the_row_and_read_again() -> None:
    seen: list[int] = []

    async def measure(payload: GenericPayload, _context: Context) -> ProcessResult:
        seen.append(len(str(payload.parameters["text"])))
        return ProcessResult()

    async def story(world: World) -> None:
        for size in (10, 3_000, 300_000):
            await world.service.submit(GenericPayload(operation="x", parameters={"text": "y" * size}))
        await world.drain()
        assert sorted(seen) == [10, 3_000, 300_000]
        assert {row.payload_place for row in world.jobs.rows.values()} == {"row", "side", "s3"}

    in_world(measure, story)


def test_a_payload_that_cannot_be_fetched_just_now_costs_no_attempt() -> None:
    async def story(world: World) -> None:
        job = await world.service.submit(GenericPayload(operation="x", parameters={"text": "y" * 9_000}))
        objects = world.ports.objects
        failing = [2]

        async def get(key: str) -> bytes | None:
            if failing[0]:
                failing[0] -= 1
                raise WorldFault("throttled", "slow down")
            return await type(objects).get(objects, key)

        objects.get = get  # type: ignore[method-assign]
        await world.drain()
        row = await world.row(job)
        assert (row.status, row.attempts, row.epoch) == (Status.SUCCESS, 0, 3)

    in_world(answer, story)
