"""What a job, and each thing that can befall it, costs: scenarios as data, and the bench's own small handlers.

Every scenario plays ten jobs; `more_than` names the one whose tally is taken off, so that what remains is the price of
the mishap alone. `units_max` is the design's budget in write units per job.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final, cast

from shared.envelope import Wakeup, wakeup_body
from shared.errors import Transient
from shared.job import compact_json
from shared.outcomes import Proceed, Snooze
from shared.payloads.backup import BackupPayload
from shared.payloads.base import Payload
from shared.payloads.extract import ExtractPayload
from shared.payloads.generic import GenericPayload
from shared.payloads.restore import RestorePayload
from shared.payloads.results import Artifact, ProcessResult
from shared.runtime.context import Context
from shared.runtime.definition import JobType, Returned, job
from shared.status import Status
from tests.bench import by_hand
from tests.bench.meter import Tally
from tests.bench.stack import STACK, Stack, metered_stack

JOBS: Final = 10
BY_HAND_TABLE: Final = "by-hand"


@dataclass(frozen=True, slots=True)
class Scenario:
    name: str
    play: Callable[[Stack], Awaitable[None]]
    units_max: int | None = None
    more_than: str | None = None


@job(GenericPayload)
async def generic(payload: GenericPayload, context: Context) -> Returned:
    """One mishap by name, then success."""
    if context.epoch == 1:
        match payload.operation:
            case "retry":
                raise Transient("busy", "try again")
            case "crash":
                raise ZeroDivisionError("division by zero")
            case "snooze":
                return Snooze(0)
            case "proceed":
                return Proceed("row 1000")
    return ProcessResult(data={"ok": True})


@job(ExtractPayload)
async def extract(_payload: ExtractPayload, context: Context) -> ProcessResult:
    return _exported(context)


@job(BackupPayload)
async def backup(_payload: BackupPayload, context: Context) -> ProcessResult:
    return _exported(context)


@job(RestorePayload)
async def restore(_payload: RestorePayload, context: Context) -> ProcessResult:
    """Does not get through at first, so that its row is as large as rows get."""
    if context.epoch < 3:
        raise Transient("unreachable", 'connection to server at "db.example.org", port 5432 failed: timed out')
    return _exported(context)


def _exported(context: Context) -> ProcessResult:
    context.progress(250_000, 250_000, message="order_lines", context="4/4 tables")
    url = f"s3://longshore-123456789012-us-east-1/artifacts/acme/{context.job_id}/manifest.json"
    return ProcessResult(records_processed=250_000, tables_processed=4, artifact=Artifact(url=url, size_bytes=1))


JOB_TYPES: Final = {each.type: cast("JobType[Payload]", each) for each in (generic, extract, backup, restore)}

TYPICAL: Final[dict[str, Payload]] = {
    "generic": GenericPayload(
        tenant_id="acme-corp",
        user_id="jane.doe@example.org",
        operation="resize",
        parameters={"image": "s3://photos/2026/01/31/0123456789.jpg", "width": 1280, "height": 720},
    ),
    "extract": ExtractPayload(
        tenant_id="acme-corp",
        user_id="jane.doe@example.org",
        database="secret://shop",
        tables=("customers", "orders", "order_lines"),
        output_format="parquet",
    ),
    "backup": BackupPayload(tenant_id="acme-corp", user_id="jane.doe@example.org", database="secret://shop"),
    "restore": RestorePayload(
        tenant_id="acme-corp",
        user_id="jane.doe@example.org",
        database="secret://shop-copy",
        backup_url="s3://longshore-123456789012-us-east-1/artifacts/acme-corp/job_0123456789abcdef0123456789abcdef/1-0123456789abcdef/manifest.json",
    ),
}
"""One of each type as users send them: a tenant, a user, a handful of fields."""


def _jobs(payload: Payload, count: int = JOBS) -> Callable[[Stack], Awaitable[None]]:
    """Submitted through the API, run to their end."""

    async def play(stack: Stack) -> None:
        jobs = [await stack.submit(payload) for _ in range(count)]
        await stack.drain(payload.type)
        with stack.uncounted():
            rows = [await stack.ports.jobs.get(row.tenant_id, row.job_id) for row in jobs]
        assert {row.status for row in rows if row} == {Status.SUCCESS}

    return play


def _bare(payload: Payload) -> Callable[[Stack], Awaitable[None]]:
    """Sent to the queue by a producer that knows SQS alone."""

    async def play(stack: Stack) -> None:
        await stack.send(payload.type, [payload.model_dump_json()] * JOBS)
        await stack.drain(payload.type)

    return play


def _delivered_again(payload: Payload) -> Callable[[Stack], Awaitable[None]]:
    """SQS delivers each message once more, after its job has ended."""

    async def play(stack: Stack) -> None:
        with stack.uncounted():
            jobs = [await stack.submit(payload) for _ in range(JOBS)]
            await stack.drain(payload.type)
            await stack.send(payload.type, [wakeup_body(Wakeup(row.tenant_id, row.job_id, 1)) for row in jobs])
        await stack.drain(payload.type)

    return play


async def _by_hand(stack: Stack) -> None:
    """A row and a message per job, written in one breath; then a claim and a finish."""
    sqs, dynamodb = await stack.clients.get("sqs"), await stack.clients.get("dynamodb")
    with stack.uncounted():
        url = (await sqs.get_queue_url(QueueName=f"{STACK}-generic"))["QueueUrl"]
        await by_hand.make_table(dynamodb, BY_HAND_TABLE)
    for number in range(JOBS):
        body = compact_json({"tenant_id": "acme-corp", "job_id": f"job_{number:032x}"})
        await by_hand.put(dynamodb, BY_HAND_TABLE, f"acme-corp#job_{number:032x}", TYPICAL["generic"].body_json())
        await sqs.send_message(QueueUrl=url, MessageBody=body)
    for _ in range(0, JOBS, stack.batch):
        await by_hand.work_batch(sqs, dynamodb, queue_url=url, table=BY_HAND_TABLE, batch=stack.batch)
        stack.count("lambda worker")


async def _by_hand_without_state(stack: Stack) -> None:
    sqs = await stack.clients.get("sqs")
    with stack.uncounted():
        url = (await sqs.get_queue_url(QueueName=f"{STACK}-generic"))["QueueUrl"]
    for _ in range(JOBS):
        await sqs.send_message(QueueUrl=url, MessageBody=TYPICAL["generic"].body_json())
    for _ in range(0, JOBS, stack.batch):
        await by_hand.work_batch_without_state(sqs, queue_url=url, batch=stack.batch)
        stack.count("lambda worker")


def _text(size_bytes: int) -> Payload:
    return GenericPayload(tenant_id="acme-corp", operation="x", parameters={"text": "x" * size_bytes})


def _operation(name: str) -> Payload:
    return GenericPayload(tenant_id="acme-corp", user_id="jane.doe@example.org", operation=name)


API_JOB: Final = "job through the API"
IN_S3: Final = "… its result in S3"

SCENARIOS: Final = (
    Scenario(API_JOB, _jobs(_operation("resize")), 4),
    Scenario(IN_S3, _jobs(TYPICAL["extract"]), 4),
    Scenario("bare message", _bare(_operation("resize")), 3),
    Scenario("payload of 2 KB", _jobs(_text(2_000))),
    Scenario("payload of 8 KB", _jobs(_text(8_000))),
    Scenario("payload of 100 KB", _jobs(_text(100_000))),
    Scenario("payload of 100 KB, bare", _bare(_text(100_000))),
    Scenario("+ a retry", _jobs(_operation("retry")), 2, more_than=API_JOB),
    Scenario("+ a retry, its stack kept", _jobs(_operation("crash")), more_than=API_JOB),
    Scenario("+ a snooze", _jobs(_operation("snooze")), 2, more_than=API_JOB),
    Scenario("+ a proceed", _jobs(_operation("proceed")), 2, more_than=API_JOB),
    Scenario("+ a duplicate delivery", _delivered_again(_operation("resize")), 1),
    Scenario("by hand: row, claim, finish", _by_hand),
    Scenario("by hand: no state at all", _by_hand_without_state),
)


@dataclass(frozen=True, slots=True)
class Cost:
    """Tallies of JOBS jobs. `busy`: in batches of ten; `trickle`: one at a time."""

    scenario: Scenario
    busy: Tally
    trickle: Tally


async def play_all() -> list[Cost]:
    async with metered_stack(JOB_TYPES) as stack:
        busy, trickle = await play(stack, 10), await play(stack, 1)
    return [Cost(scenario, busy[scenario.name], trickle[scenario.name]) for scenario in SCENARIOS]


async def play_busy() -> dict[str, Tally]:
    async with metered_stack(JOB_TYPES) as stack:
        return await play(stack, 10)


async def largest_rows() -> dict[str, int]:
    """job type → bytes of its row at its largest, for a typical job of it."""
    largest: dict[str, int] = {}
    async with metered_stack(JOB_TYPES) as stack:
        for job_type, payload in TYPICAL.items():
            stack.endpoint.tally = Tally()
            await _jobs(payload, 1)(stack)
            largest[job_type] = stack.endpoint.tally.row_bytes[f"{STACK}-jobs"]
    return largest


async def play(stack: Stack, batch: int) -> dict[str, Tally]:
    """scenario → its tally of JOBS jobs"""
    stack.batch = batch
    tallies: dict[str, Tally] = {}
    for scenario in SCENARIOS:
        stack.endpoint.tally = Tally()
        await scenario.play(stack)
        whole = stack.endpoint.tally
        tallies[scenario.name] = whole.without(tallies[scenario.more_than]) if scenario.more_than else whole
    return tallies
