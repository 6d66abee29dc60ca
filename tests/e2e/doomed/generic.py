"""`generic`, and one operation more: `die` takes its whole worker along."""

import asyncio
import os
import signal
from dataclasses import replace

from handlers.jobs.generic import handler  # noqa: F401  # what the template names
from shared.operations import Answer, Parameters, Reporter, operation
from shared.payloads.generic import GenericPayload
from shared.runtime import batch, worker

GenericPayload.policy = replace(GenericPayload.policy, timeout_s=1)
worker.START_MARGIN_S = 2.0  # type: ignore[misc]  # a short wait
batch.LEASE_BEYOND_INVOCATION_MS = 500  # type: ignore[misc]  # a short wait


@operation("die")
async def die(_parameters: Parameters, context: Reporter) -> Answer:
    context.progress(1, 2, message="about to die")
    await asyncio.sleep(0.3)
    os.kill(os.getpid(), signal.SIGKILL)
    return {}
