"""`stop_training`: what a fine-tuning that failed or was cancelled has begun elsewhere is told to end."""

from typing import Final, cast

from shared.outcomes import Snooze
from shared.payloads.results import ProcessResult
from shared.payloads.stop_training import StopTrainingPayload
from shared.remote_training import Engine
from shared.runtime.context import Context
from shared.runtime.definition import job

LOOK_AGAIN_S: Final = 60.0


@job(StopTrainingPayload)
async def stop_training(payload: StopTrainingPayload, context: Context) -> ProcessResult | Snooze:
    """A run that has not heard of its end may begin it yet: so what is not there is looked for until that is over."""
    engine, _, key = payload.training.partition("/")
    trainers = context.ports.trainers
    seen = await trainers.look(cast("Engine", engine), key)
    if seen is None and context.ports.now() < payload.until:
        return Snooze(LOOK_AGAIN_S)
    if seen is None or seen.status != "running":
        return ProcessResult(status="no-op")
    await trainers.stop(cast("Engine", engine), key)
    return ProcessResult(records_processed=1)


handler = stop_training.lambda_handler
