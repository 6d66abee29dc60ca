"""Every call of every scenario: the process dies before or after it, or AWS throttles, half-answers or repeats it.

Whatever happened, when all is quiet the job has ended as it should have, once, and what it published can be read.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import pytest

from infra.testing import Longshore, Producer, die
from infra.testing.crash import Scenario
from shared.errors import Permanent, Transient
from shared.outcomes import Partial, Proceed, Snooze
from shared.payloads.generic import GenericPayload
from shared.payloads.results import ProcessResult, RowError
from shared.runtime.context import Context
from shared.runtime.definition import JobType
from shared.status import Status

Handler = Callable[[GenericPayload, Context], Awaitable[object]]

BIG = GenericPayload(operation="x", job_id="the-job", parameters={"text": "y" * 1_000})
LONG = ProcessResult(data={"text": "z" * 300})


# --- handlers ---------------------------------------------------------------------------------------------------------


async def success(_payload: GenericPayload, context: Context) -> ProcessResult:
    async with context.artifacts.create("file") as upload:
        await upload.write(b"artefact")
    return ProcessResult(data={"url": upload.url})


async def retried(_payload: GenericPayload, context: Context) -> ProcessResult:
    if context.attempt == 1:
        raise Transient("busy", "again " * 100)
    return LONG


async def permanent(_payload: GenericPayload, _context: Context) -> ProcessResult:
    raise Permanent("gone", "no such table", field="tables.0")


async def partly(_payload: GenericPayload, _context: Context) -> Partial:
    return Partial(ProcessResult(), [RowError(table="t", code="c", message="m")])


async def too_long(_payload: GenericPayload, context: Context) -> ProcessResult:
    if context.attempt == 1:
        await asyncio.sleep(3_600)
    return LONG


async def always_too_long(_payload: GenericPayload, _context: Context) -> None:
    await asyncio.sleep(3_600)


async def snoozed(_payload: GenericPayload, context: Context) -> ProcessResult | Snooze:
    return Snooze(5) if context.epoch == 1 else LONG


async def proceeding(_payload: GenericPayload, context: Context) -> ProcessResult | Proceed:
    step = int(context.checkpoint or 0)
    return Proceed(str(step + 1)) if step < 2 else LONG


async def reporting(_payload: GenericPayload, context: Context) -> ProcessResult:
    for step in range(20):
        context.progress(step, 20)
        await asyncio.sleep(1)
    return LONG


async def stopping(_payload: GenericPayload, context: Context) -> ProcessResult:
    """Writes a file, and would go on with it; its end leaves none."""
    async with context.artifacts.create("file") as upload:
        await upload.write(b"half")
        await asyncio.sleep(50)
    return LONG


async def deadly_once(_payload: GenericPayload, context: Context) -> ProcessResult:
    if context.epoch == 1:
        await die()
    return await success(_payload, context)


async def deadly(_payload: GenericPayload, _context: Context) -> None:
    await die()


async def mended(payload: GenericPayload, context: Context) -> ProcessResult:
    if context.epoch == 1:
        raise Permanent("gone", "no such table")
    return await success(payload, context)


async def once(_payload: GenericPayload, context: Context) -> ProcessResult:
    async def charge(key: str) -> str:
        return key

    return ProcessResult(data={"receipt": await context.once("charge", charge)})


# --- stories ----------------------------------------------------------------------------------------------------------


async def bare(producer: Producer) -> None:
    await producer.send("generic", '{"operation": "x", "job_id": "the-job"}')


async def cancel_queued(producer: Producer) -> None:
    await producer.cancel(await producer.submit(BIG, delay_s=600))


async def cancel_running(producer: Producer) -> None:
    job = await producer.until(await producer.submit(BIG), Status.RUNNING)
    await producer.cancel(job)


async def cancel_between_attempts(producer: Producer) -> None:
    job = await producer.submit(BIG)
    await asyncio.sleep(5)
    await producer.cancel(job)


async def slow_to_return(_payload: GenericPayload, _context: Context) -> None:
    raise Transient("busy", "later", retry_after_s=3_600)


async def redrive(producer: Producer) -> None:
    job = await producer.until(await producer.submit(BIG))
    if job.status is Status.FAILED:
        await producer.redrive(job)
    await producer.until(job, Status.SUCCESS)


async def late(producer: Producer) -> None:
    """Later than a message can wait: the scheduler's."""
    await producer.submit(BIG, delay_s=3_600)


async def several(producer: Producer) -> None:
    for number in range(3):
        await producer.submit(GenericPayload(operation=f"x{number}"))


@dataclass(frozen=True)
class Case:
    name: str
    handler: Handler
    ends: Status
    story: Scenario = BIG


CASES = [
    Case("submit and success", success, Status.SUCCESS),
    Case("retry, then success", retried, Status.SUCCESS),
    Case("permanent failure", permanent, Status.FAILED),
    Case("attempts run out", slow_to_return, Status.FAILED),
    Case("partial success", partly, Status.PARTIAL_SUCCESS),
    Case("cancel while running", stopping, Status.CANCELLED, cancel_running),
    Case("cancel while queued", success, Status.CANCELLED, cancel_queued),
    Case("cancel between two attempts", slow_to_return, Status.CANCELLED, cancel_between_attempts),
    Case("time-out, then success", too_long, Status.SUCCESS),
    Case("time-out, each time", always_too_long, Status.FAILED),
    Case("snooze", snoozed, Status.SUCCESS),
    Case("proceed from checkpoint", proceeding, Status.SUCCESS),
    Case("progress", reporting, Status.SUCCESS),
    Case("an effect once", once, Status.SUCCESS),
    Case("bare message", success, Status.SUCCESS, bare),
    Case("bare message, retried", retried, Status.SUCCESS, bare),
    Case("dead worker", deadly_once, Status.SUCCESS),
    Case("its third dead worker", deadly, Status.FAILED),
    Case("redrive", mended, Status.SUCCESS, redrive),
    Case("submit, due in an hour", success, Status.SUCCESS, late),
    Case("several at once", success, Status.SUCCESS, several),
]


def generic(handler: Handler) -> JobType[GenericPayload]:
    return JobType(GenericPayload, handler)  # type: ignore[arg-type]  # whatever it returns


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_every_crash_point_has_one_outcome(case: Case, longshore: Longshore) -> None:
    def check(kit: Longshore) -> None:
        jobs = list(kit.world.jobs.rows.values())
        assert {job.status for job in jobs} == {case.ends}
        assert len(jobs) == (3 if case.story is several else 1)
        for job in jobs:
            assert kit.result(job.job_id).success == (case.ends in {Status.SUCCESS, Status.PARTIAL_SUCCESS})

    longshore.use(generic(case.handler))
    assert longshore.crash_points(case.story, check) >= 5 * 5
