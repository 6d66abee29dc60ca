"""The test kit: what a job's author relies on when a test says that all is well."""

import asyncio
from collections.abc import Callable
from typing import Literal

import pytest

from infra.testing import Drained, Longshore, Producer, die
from shared.errors import InvalidInput, Permanent, Transient, WorldFault
from shared.outcomes import Done, Failed, Partial, Proceed, Snooze
from shared.payloads import TYPES
from shared.payloads.base import Payload, Strict
from shared.payloads.generic import GenericPayload
from shared.payloads.results import ProcessResult
from shared.runtime.context import Context
from shared.runtime.definition import Handler, JobType, job
from shared.status import Status

ECHO = GenericPayload(operation="echo", parameters={"a": 1})


class Depth(Strict):
    metres: int


class DivePayload(Payload):
    type: Literal["dive"] = "dive"
    depth: Depth = Depth(metres=1)
    note: str = ""


def generic(function: Handler[GenericPayload]) -> JobType[GenericPayload]:
    return JobType(GenericPayload, function)


@job(DivePayload)
def dive(payload: DivePayload, _context: Context) -> ProcessResult:
    return ProcessResult(records_processed=payload.depth.metres)


# --- perform ----------------------------------------------------------------------------------------------------------


async def raises(error: Exception) -> None:
    raise error


@pytest.mark.parametrize(
    ("end", "outcome"),
    [
        (lambda: ProcessResult(records_processed=2), Done(ProcessResult(records_processed=2))),
        (lambda: None, Done(None)),
        (lambda: Partial(None, []), Partial(None, [])),
        (lambda: Snooze(5, "closed"), Snooze(5, "closed")),
        (lambda: Proceed("page 2"), Proceed("page 2")),
        (lambda: raises(Transient("busy", "later", retry_after_s=7)), Failed("busy", "later", False, None, 7)),
        (lambda: raises(Permanent("gone", "no", field="a")), Failed("gone", "no", True, "a")),
        (lambda: raises(WorldFault("throttled", "S3")), Snooze(30, "throttled")),
        (lambda: asyncio.sleep(3_600), Failed("timeout", "still running after 60 s", False)),
        (lambda: 7, Failed("invalid_result", "the handler returned int; a pydantic model was expected", True)),
    ],
    ids=lambda value: value.__class__.__name__,
)
def test_one_run_is_told_as_it_ended(longshore: Longshore, end: Callable[[], object], outcome: object) -> None:
    async def handler(_payload: GenericPayload, _context: Context) -> object:
        value = end()
        return await value if asyncio.iscoroutine(value) else value

    assert longshore.perform(generic(handler), ECHO) == outcome  # type: ignore[arg-type]  # nonsense, too


def test_one_run_is_the_attempt_and_goes_on_from_the_checkpoint_that_it_is_told(longshore: Longshore) -> None:
    seen: list[object] = []

    def handler(_payload: GenericPayload, context: Context) -> None:
        seen.append((context.attempt, context.checkpoint))

    longshore.perform(generic(handler), ECHO, attempt=3, checkpoint="page 2")
    assert seen == [(3, "page 2")]
    with pytest.raises(InvalidInput, match="1 to 3"):
        longshore.perform(generic(handler), ECHO, attempt=4)


def test_one_run_leaves_no_job_behind(longshore: Longshore) -> None:
    outcome = longshore.perform(generic(lambda *_: Snooze(5)), ECHO)
    assert outcome == Snooze(5)
    assert longshore.all_enqueued() == []
    assert longshore.drain(with_scheduled=True) == Drained()


def test_one_run_that_kills_its_worker_has_no_outcome(longshore: Longshore) -> None:
    async def deadly(_payload: GenericPayload, _context: Context) -> None:
        await die()

    with pytest.raises(AssertionError, match="its worker died"):
        longshore.perform(generic(deadly), ECHO)


# --- submit and drain -------------------------------------------------------------------------------------------------


def test_nothing_runs_before_the_queues_are_drained(longshore: Longshore) -> None:
    submitted = longshore.submit(ECHO)
    assert submitted.status is Status.QUEUED
    longshore.clock.advance(3600)
    assert longshore.job(submitted.job_id).status is Status.QUEUED
    assert longshore.drain() == Drained(succeeded=1)
    assert longshore.result(submitted).data.result == {"data": {"a": 1}}


def test_what_is_not_due_waits_for_the_clock(longshore: Longshore) -> None:
    longshore.submit(ECHO, delay_s=60)
    assert longshore.drain() == Drained()
    longshore.clock.advance(60)
    assert longshore.drain() == Drained(succeeded=1)


def test_a_schedule_beyond_what_a_queue_can_delay_fires_at_its_time(longshore: Longshore) -> None:
    longshore.submit(ECHO, delay_s=24 * 3600)
    assert longshore.drain() == Drained()
    assert len(longshore.world.schedules.made) == 1
    longshore.clock.advance(24 * 3600 + 1)
    assert longshore.drain() == Drained(succeeded=1)


def test_with_what_is_scheduled_nothing_is_left_to_do(longshore: Longshore) -> None:
    ends = iter([Snooze(2_000), Proceed("half"), Transient("busy", "later", retry_after_s=5), None])

    def handler(_payload: GenericPayload, _context: Context) -> Snooze | Proceed | None:
        end = next(ends)
        if isinstance(end, Transient):
            raise end
        return end

    longshore.use(generic(handler))
    longshore.submit(ECHO, delay_s=7 * 24 * 3600)
    assert longshore.drain(with_scheduled=True) == Drained(succeeded=1, retried=1, snoozed=1, proceeded=1)


def test_types_that_are_registered_and_types_that_are_not_run_side_by_side(longshore: Longshore) -> None:
    longshore.use(dive)
    jobs = [longshore.submit(payload) for payload in (ECHO, DivePayload(depth=Depth(metres=9)), ECHO)]
    assert longshore.drain() == Drained(succeeded=3)
    result = longshore.result(jobs[1]).data.result
    assert isinstance(result, dict)
    assert result["records_processed"] == 9


def test_a_type_is_known_as_long_as_the_world_that_uses_it() -> None:
    one, two = Longshore(), Longshore()
    for kit in (one, two):
        kit.use(dive)
    two.close()
    assert TYPES["dive"] is DivePayload
    one.close()
    assert "dive" not in TYPES
    assert TYPES["generic"] is GenericPayload


def test_a_payload_of_no_known_type_is_refused(longshore: Longshore) -> None:
    with pytest.raises(InvalidInput, match="use"):
        longshore.submit(DivePayload())


def test_a_bare_message_becomes_a_job(longshore: Longshore) -> None:
    longshore.send("generic", '{"operation": "echo", "jobId": "bare-1"}')
    assert longshore.drain() == Drained(succeeded=1)
    assert longshore.job("bare-1").status is Status.SUCCESS


def test_what_an_operator_does(longshore: Longshore) -> None:
    submitted = longshore.submit(ECHO)
    assert longshore.cancel(submitted).status is Status.CANCELLED
    assert longshore.drain() == Drained()
    assert longshore.redrive(submitted).status is Status.QUEUED
    assert longshore.drain() == Drained(succeeded=1)


def test_a_secret_is_its_tenants_own(longshore: Longshore) -> None:
    async def reading(_payload: GenericPayload, context: Context) -> ProcessResult:
        return ProcessResult(data={"secret": await context.secret("key")})

    longshore.put_secret("key", "mine", tenant_id="me")
    assert longshore.perform(generic(reading), ECHO) == Failed(
        "no_such_secret", "no secret 'key' for this tenant", permanent=True, field="database"
    )
    mine = GenericPayload(operation="echo", tenant_id="me")
    assert longshore.perform(generic(reading), mine) == Done(ProcessResult(data={"secret": "mine"}))


def test_a_dead_worker_is_counted_and_its_job_comes_back(longshore: Longshore) -> None:
    async def deadly(_payload: GenericPayload, context: Context) -> None:
        if context.epoch == 1:
            await die()

    longshore.use(generic(deadly))
    submitted = longshore.submit(ECHO)
    assert longshore.drain() == Drained(died=1)
    assert longshore.job(submitted).status is Status.RUNNING
    assert longshore.drain(with_scheduled=True) == Drained(succeeded=1)
    assert longshore.job(submitted).attempts == 1


# --- what is enqueued -------------------------------------------------------------------------------------------------


def test_a_job_is_found_by_its_type_and_any_of_its_fields(longshore: Longshore) -> None:
    longshore.use(dive)
    submitted = longshore.submit(DivePayload(depth=Depth(metres=9), user_id="me", metadata={"a": 1}), delay_s=60)
    for named in (dive, DivePayload, "dive"):
        assert longshore.assert_enqueued(named).job_id == submitted.job_id
    longshore.assert_enqueued(dive, depth=Depth(metres=9), user_id="me")
    longshore.assert_enqueued(dive, depth={"metres": 9}, note="", metadata={"a": 1}, tenant_id="default")
    longshore.refute_enqueued(dive, depth={"metres": 8})
    longshore.refute_enqueued("generic")
    assert longshore.assert_enqueued(dive).next_attempt_at == "2026-01-01T00:01:00.000Z"


@pytest.mark.parametrize("size_bytes", [300, 20_000])
def test_a_job_is_found_wherever_its_payload_is_kept(longshore: Longshore, size_bytes: int) -> None:
    longshore.use(dive)
    longshore.submit(DivePayload(note="x" * size_bytes))
    longshore.assert_enqueued(dive, note="x" * size_bytes)


def test_what_has_run_is_not_enqueued_but_what_waits_for_its_retry_is(longshore: Longshore) -> None:
    longshore.submit(ECHO)
    longshore.submit(GenericPayload(operation="fail", parameters={"attempts": 1}))
    longshore.drain()
    longshore.refute_enqueued("generic", operation="echo")
    assert longshore.assert_enqueued("generic", operation="fail").attempts == 1


def test_a_failure_shows_what_is_enqueued_instead(longshore: Longshore) -> None:
    with pytest.raises(AssertionError, match=r"^not enqueued: generic, operation='fail'\nnothing is enqueued$"):
        longshore.assert_enqueued("generic", operation="fail")
    submitted = longshore.submit(ECHO)
    longshore.send("generic", "{}")
    with pytest.raises(AssertionError) as caught:
        longshore.assert_enqueued("generic", operation="fail")
    assert str(caught.value).splitlines() == [
        "not enqueued: generic, operation='fail'",
        "enqueued are:",
        f"  generic {{'operation': 'echo', 'parameters': {{'a': 1}}}}, {submitted.job_id}",
        "messages in the queues: {'generic': 1}",
    ]
    with pytest.raises(AssertionError, match=r"^enqueued: generic, operation='echo'"):
        longshore.refute_enqueued("generic", operation="echo")


def test_a_field_or_type_that_does_not_exist_is_no_silent_mismatch(longshore: Longshore) -> None:
    with pytest.raises(InvalidInput, match="operation, parameters") as caught:
        longshore.refute_enqueued("generic", operator="echo")
    assert caught.value.field == "operator"
    with pytest.raises(InvalidInput, match="there is no job type 'dive'"):
        longshore.refute_enqueued("dive")


# --- crash points -----------------------------------------------------------------------------------------------------


def test_every_fault_is_tried_at_every_call(longshore: Longshore) -> None:
    """Put the row, send the wake-up, see what is paused, claim, settle."""
    played: list[list[str]] = []
    points = longshore.crash_points(ECHO, lambda kit: played.append(kit.world.plan.calls))
    assert played[0] == ["jobs.apply", "queues.send", "side.query", "jobs.apply", "jobs.apply"]
    assert points == 5 * 5 == len(played) - 1


def test_an_effect_that_happens_twice_is_found_with_the_call_that_it_takes(longshore: Longshore) -> None:
    charged: list[str] = []

    async def charging(_payload: GenericPayload, _context: Context) -> None:
        charged.append("charge")

    def check(_kit: Longshore) -> None:
        assert len(charged) == 1
        charged.clear()

    longshore.use(generic(charging))
    with pytest.raises(AssertionError) as caught:
        longshore.crash_points(ECHO, check)
    (story,) = caught.value.__notes__
    assert story.startswith("killed before call 5:\n    1 jobs.apply\n    2 queues.send\n")
    assert "    5 jobs.apply  <--\n" in story
    assert "run_began" in story


def once_only(_payload: GenericPayload, context: Context) -> None:
    if context.epoch > 1:
        raise Permanent("twice", "run again")


async def impatient(_payload: GenericPayload, context: Context) -> None:
    """Takes a fault of the world for its own."""
    try:
        async with context.artifacts.create("file") as upload:
            await upload.write(b"1")
    except WorldFault as fault:
        raise Transient("s3", "failed") from fault


@pytest.mark.parametrize(
    ("handler", "complaint"),
    [(once_only, "ended otherwise"), (impatient, "an attempt was spent on what is no death")],
    ids=["ends otherwise", "spends an attempt"],
)
def test_a_handler_that_a_crash_changes_is_found(
    longshore: Longshore, handler: Handler[GenericPayload], complaint: str
) -> None:
    longshore.use(generic(handler))
    with pytest.raises(AssertionError, match=complaint):
        longshore.crash_points(ECHO)


def test_what_a_scenario_leaves_behind_is_found(longshore: Longshore) -> None:
    async def garbage(producer: Producer) -> None:
        await producer.send("generic", "garbage")

    with pytest.raises(AssertionError, match="messages are left, in quarantine"):
        longshore.crash_points(garbage)


def test_a_scenario_that_never_ends_is_told_so(longshore: Longshore) -> None:
    async def waiting(producer: Producer) -> None:
        await producer.until(await producer.submit(ECHO, delay_s=2 * 24 * 3600), Status.SUCCESS)

    async def throttled(_producer: Producer) -> None:
        raise WorldFault("throttled", "always")

    with pytest.raises(AssertionError, match="is still QUEUED after a day, not SUCCESS"):
        longshore.crash_points(waiting)
    with pytest.raises(AssertionError, match="did not come to its end in 10 starts"):
        longshore.crash_points(throttled)


def test_each_crash_point_has_the_secrets_and_files_of_the_test(longshore: Longshore) -> None:
    outcome = longshore.perform(generic(storing), ECHO)
    assert isinstance(outcome, Done)
    assert isinstance(outcome.result, ProcessResult)
    url = str(outcome.result.data["url"])
    longshore.put_secret("key", "mine")

    async def reading(_payload: GenericPayload, context: Context) -> ProcessResult:
        return ProcessResult(data={"secret": await context.secret("key"), "file": await text_at(context, url)})

    def check(kit: Longshore) -> None:
        (row,) = kit.world.jobs.rows.values()
        assert kit.result(row.job_id).data.result == {"data": {"secret": "mine", "file": "1"}}

    longshore.use(generic(reading))
    longshore.crash_points(ECHO, check)


def test_a_file_of_the_test_is_there_for_a_job_and_at_each_crash_point(longshore: Longshore) -> None:
    urls = [longshore.upload("a.txt", b"one"), longshore.upload("a.txt", b"two")]

    async def reading(_payload: GenericPayload, context: Context) -> ProcessResult:
        return ProcessResult(data={"said": [await text_at(context, url) for url in urls]})

    def check(kit: Longshore) -> None:
        (row,) = kit.world.jobs.rows.values()
        assert kit.result(row.job_id).data.result == {"data": {"said": ["one", "two"]}}

    longshore.use(generic(reading))
    longshore.crash_points(ECHO, check)


async def text_at(context: Context, url: str) -> str:
    return b"".join([chunk async for chunk in context.artifacts.read(url)]).decode()


async def storing(_payload: GenericPayload, context: Context) -> ProcessResult:
    async with context.artifacts.create("file") as upload:
        await upload.write(b"1")
    return ProcessResult(data={"url": upload.url})


def test_die_is_for_handlers_in_the_kit(longshore: Longshore) -> None:
    with pytest.raises(RuntimeError, match="die"):
        longshore.run(die())
