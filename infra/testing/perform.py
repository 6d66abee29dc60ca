"""One run of one job, apart from all others, and how it ended."""

import asyncio
from dataclasses import replace

from infra.testing.world import World
from shared.errors import InvalidInput
from shared.job import Job
from shared.memory.jobs import MemoryJobs
from shared.memory.queues import MemoryQueues
from shared.memory.schedules import MemorySchedules
from shared.outcomes import Failed, Outcome, Partial
from shared.payloads.base import Payload
from shared.payloads.results import ErrorBody
from shared.runtime.calling import called
from shared.runtime.context import Context
from shared.runtime.definition import JobType, Returned
from shared.runtime.ending import outcome_of
from shared.runtime.run import Run
from shared.status import Status

STOPPED = frozenset({"timeout", "interrupted"})
"""Errors of runs whose handler did not raise; the next run may do better."""


async def performed(world: World, payload: Payload, *, attempt: int, checkpoint: str | None) -> Outcome:
    """Run `payload` once, as its `attempt`-th attempt (from 1), on `world`'s files, secrets and side store."""
    queues = MemoryQueues(world.ports.now)
    schedules = MemorySchedules(queues, world.ports.now)
    apart = World(replace(world.ports, jobs=MemoryJobs(), queues=queues, schedules=schedules))
    ended: asyncio.Future[object] = asyncio.get_running_loop().create_future()
    apart.used[payload.type] = _watched(world.handler_of(payload.type), ended)
    job = await apart.service.submit(payload)
    if not 1 <= attempt <= job.attempts_max:
        raise InvalidInput("invalid_attempt", f"1 to {job.attempts_max}", field="attempt")
    left = job.attempts_max - attempt + 1
    apart.jobs.rows[job.key] = replace(job, checkpoint=checkpoint, attempts_left=left)
    await apart.react()
    await apart.invoke(job.type)
    return _outcome(apart.jobs.rows[job.key], ended, payload)


def _watched(job_type: JobType[Payload], ended: "asyncio.Future[object]") -> JobType[Payload]:
    """The same handler; what it returns or raises is told to `ended`."""

    async def handler(payload: Payload, context: Context) -> Returned:
        try:
            value = await called(job_type, payload, context)
        except Exception as error:
            ended.set_exception(error)
            raise
        ended.set_result(value)
        return value  # type: ignore[return-value]  # nonsense is for the worker to refuse

    return JobType(job_type.payload_model, handler)


def _outcome(row: Job, ended: "asyncio.Future[object]", payload: Payload) -> Outcome:
    """As the handler ended; where the row tells another end (stopped, or a result that cannot be kept), that one."""
    if row.status is Status.RUNNING:
        raise AssertionError("its worker died")
    error = None if row.error is None else ErrorBody.model_validate_json(row.error)
    if ended.done():
        run = Run(job=row, ends_at=row.updated_at, began_at=row.updated_at, lease_until=row.updated_at)
        outcome = outcome_of(ended, run, payload.effective_policy())
        if (
            error is None
            or isinstance(outcome, Partial)
            or (isinstance(outcome, Failed) and outcome.code == error.code)
        ):
            return outcome
    if error is None:
        raise AssertionError(f"its handler did not end; the job is {row.status}")
    return Failed(error.code, error.message, permanent=error.code not in STOPPED, field=error.field)
