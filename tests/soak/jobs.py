"""The job type of the soak, in the place of `generic`: its operations are one kind of trouble each.

Every run tells the ledger when it begins, what it did, and how it ended: a run that tells no end was killed.
"""

import asyncio
import os
import signal
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

from shared.errors import Permanent, Transient
from shared.outcomes import Partial, Proceed, Snooze
from shared.payloads.generic import GenericPayload
from shared.payloads.results import ProcessResult, RowError
from shared.runtime.context import Context
from shared.runtime.definition import JobType
from shared.status import Status
from tests.soak import brisk
from tests.soak.ledger import tell

Ended = ProcessResult | Partial | Snooze | Proceed

brisk.apply_if_asked()


@dataclass(frozen=True, slots=True)
class Kind:
    """`ends`: how such a job ends if nobody asks for its end and its workers don't die of it. `weight`: how many."""

    run: Callable[[GenericPayload, Context], Awaitable[Ended]]
    ends: Status = Status.SUCCESS
    weight: int = 2
    retries: int = 2


async def work(payload: GenericPayload, context: Context) -> Ended:
    """The handler."""
    run: dict[str, str | int] = {"job": f"{context.tenant_id}#{context.job_id}", "epoch": context.epoch}
    tell("began", **run)
    try:
        ended = await KINDS[payload.operation].run(payload, context)
    except asyncio.CancelledError:
        tell("stopped", **run)
        raise
    except Exception:
        tell("failed", **run)
        raise
    tell("effect" if isinstance(ended, ProcessResult | Partial) else "again", **run)
    return ended


# --- the kinds --------------------------------------------------------------------------------------------------------


async def quick(payload: GenericPayload, context: Context) -> Ended:
    return _result(context)


async def slow(payload: GenericPayload, context: Context) -> Ended:
    await asyncio.sleep(float(str(payload.parameters["seconds"])))
    return _result(context)


async def large(payload: GenericPayload, context: Context) -> Ended:
    """Its result does not fit into the row."""
    return _result(context, "x" * 2_000)


async def failing_once(payload: GenericPayload, context: Context) -> Ended:
    if context.attempt == 1:
        raise Transient("busy", "come again", retry_after_s=0.5)
    return _result(context)


async def hopeless(payload: GenericPayload, context: Context) -> Ended:
    raise RuntimeError("a bug, perhaps")


async def permanent(payload: GenericPayload, context: Context) -> Ended:
    raise Permanent("gone", "no such thing", field="parameters")


async def partly(payload: GenericPayload, context: Context) -> Ended:
    return Partial(_result(context), [RowError(table="t", code="c", message="m")])


async def snoozing(payload: GenericPayload, context: Context) -> Ended:
    return Snooze(1.0) if context.epoch == 1 else _result(context)


async def in_stages(payload: GenericPayload, context: Context) -> Ended:
    stage = int(context.checkpoint or 0)
    await asyncio.sleep(0.1)
    return Proceed(str(stage + 1)) if stage < 3 else _result(context)


async def poisonous(payload: GenericPayload, context: Context) -> Ended:
    """It kills whoever runs it."""
    await asyncio.sleep(0.2)
    tell("killed", target="by its job", victim=os.getpid())
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError("still alive")


KINDS: Final = {
    "quick": Kind(quick, weight=12),
    "slow": Kind(slow, weight=4),
    "asked_to_end": Kind(slow, weight=1),
    "large": Kind(large),
    "failing_once": Kind(failing_once),
    "hopeless": Kind(hopeless, Status.FAILED, retries=1),
    "permanent": Kind(permanent, Status.FAILED),
    "partly": Kind(partly, Status.PARTIAL_SUCCESS),
    "snoozing": Kind(snoozing),
    "in_stages": Kind(in_stages),
    "poisonous": Kind(poisonous, Status.FAILED, weight=0, retries=0),
}


def _result(context: Context, text: str = "") -> ProcessResult:
    return ProcessResult(data={"epoch": context.epoch, "text": text})


soak = JobType(GenericPayload, work)

handler = soak.lambda_handler
