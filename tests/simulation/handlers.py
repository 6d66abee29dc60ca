"""What the simulated jobs do: one short handler per kind of trouble. A job's `operation` names its handler.

Each tells the ledger how its run ended, and its result tells which run made it.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

from shared.errors import Permanent, Transient, WorldFault
from shared.outcomes import Partial, Proceed, Snooze
from shared.payloads.generic import GenericPayload
from shared.payloads.results import ProcessResult, RowError
from shared.runtime.context import Context
from shared.status import Status
from tests.simulation.ledger import Claimed, Ledger
from tests.simulation.weather import PROCESS, Process

Returned = ProcessResult | Partial | Snooze | Proceed


@dataclass(frozen=True, slots=True)
class Here:
    context: Context
    process: Process
    run: Claimed

    def result(self, size: int = 300) -> ProcessResult:
        """A small one fits into the row."""
        return ProcessResult(data={"epoch": self.context.epoch, "text": "x" * size})


Handler = Callable[[Here], Awaitable[Returned]]


@dataclass(frozen=True, slots=True)
class Kind:
    """`ends`: how such a job ends, unless its workers die too often or somebody asks it to end."""

    handler: Handler
    ends: Status = Status.SUCCESS
    timeout_s: int = 60


def recorded(ledger: Ledger) -> Callable[[GenericPayload, Context], Awaitable[Returned]]:
    """The handler of the job type."""

    async def handler(payload: GenericPayload, context: Context) -> Returned:
        process = PROCESS.get()
        assert process is not None
        process.must_live()
        run = ledger.runs[f"{context.tenant_id}#{context.job_id}", context.epoch]
        ledger.check(not run.begun, "I2", "a claim is run once", context.job_id)
        run.begun = True
        try:
            if process.weather.chance(10 * process.weather.freezing):
                process.freeze()
            await asyncio.sleep(float(str(payload.parameters.get("work_s", 0))))
            process.must_live()
            answer = await KINDS[payload.operation].handler(Here(context, process, run))
        except BaseException as error:
            run.failed = context.cancelled or not isinstance(error, WorldFault)  # which is nobody's failure
            raise
        run.returned = True
        return answer

    return handler


async def quick(here: Here) -> Returned:
    await asyncio.sleep(0.1)
    return here.result(size=0)


async def publishing(here: Here) -> Returned:
    async with here.context.artifacts.create("artefact") as upload:
        await upload.write(str(here.context.epoch).encode())
        await asyncio.sleep(2)
    return here.result()


async def slow(here: Here) -> Returned:
    for step in range(25):
        here.process.must_live()
        here.context.progress(step, 25)
        await asyncio.sleep(1)
    return here.result()


async def failing_once(here: Here) -> Returned:
    if here.context.attempt == 1:
        raise Transient("busy", "come again")
    return here.result()


async def crashing_twice(here: Here) -> Returned:
    if here.context.attempt <= 2:
        raise RuntimeError("a bug, perhaps " * 30)
    return here.result()


async def hopeless(_: Here) -> Returned:
    await asyncio.sleep(1)
    raise Transient("busy", "always busy")


async def permanent(_: Here) -> Returned:
    raise Permanent("gone", "no such table")


async def partly(here: Here) -> Returned:
    return Partial(here.result(), [RowError(table="t", code="c", message="m")])


async def snoozing(here: Here) -> Returned:
    return Snooze(7) if here.context.checkpoint is None and here.context.epoch == 1 else here.result()


async def snoozing_long(here: Here) -> Returned:
    return Snooze(1_000) if here.context.epoch == 1 else here.result()


async def in_stages(here: Here) -> Returned:
    stage = int(here.context.checkpoint or 0)
    await asyncio.sleep(3)
    return Proceed(str(stage + 1)) if stage < 3 else here.result()


async def too_long_once(here: Here) -> Returned:
    if here.context.attempt == 1:
        await asyncio.sleep(3_600)
    return here.result()


async def deaf_once(here: Here) -> Returned:
    """It won't be stopped, and writes after its time is over."""
    if here.context.attempt == 1:
        try:
            await asyncio.sleep(3_600)
        except asyncio.CancelledError:
            here.run.failed = True
            await asyncio.sleep(30)
            here.process.must_live()
            async with here.context.artifacts.create("late") as upload:
                await upload.write(b"late")
            raise
    return here.result()


async def poisonous(here: Here) -> Returned:
    """It kills whoever runs it."""
    await asyncio.sleep(1)
    here.process.kill("poisoned")
    raise asyncio.CancelledError


async def poisonous_once(here: Here) -> Returned:
    return await poisonous(here) if here.context.epoch == 1 else here.result()


KINDS: Final = {
    "quick": Kind(quick),
    "publishing": Kind(publishing),
    "slow": Kind(slow),
    "failing_once": Kind(failing_once),
    "crashing_twice": Kind(crashing_twice),
    "hopeless": Kind(hopeless, Status.FAILED),
    "permanent": Kind(permanent, Status.FAILED),
    "partly": Kind(partly, Status.PARTIAL_SUCCESS),
    "snoozing": Kind(snoozing),
    "snoozing_long": Kind(snoozing_long),
    "in_stages": Kind(in_stages),
    "too_long_once": Kind(too_long_once, timeout_s=10),
    "deaf_once": Kind(deaf_once, timeout_s=10),
    "poisonous": Kind(poisonous, Status.FAILED),
    "poisonous_once": Kind(poisonous_once),
}
