"""CPU of a worker per job, ours against one written by hand, on the same endpoint, rows and messages, in turns.

Every worker is a process of its own and so is the endpoint: only the worker's own CPU counts. The job does nothing.
"""

import asyncio
import json
import os
import statistics
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from infra.local.cloud import client_environment
from infra.local.endpoint import ACCOUNT
from shared.aws.clients import Clients
from shared.envelope import Wakeup, wakeup_body
from shared.names import default_bucket
from shared.payloads.generic import GenericPayload
from shared.ports import Outgoing
from tests.bench.stack import REGION, STACK, metered_stack
from tests.bench.workers import QUEUE, WARM_JOBS, WORKERS

ROUNDS: Final = 5
JOBS: Final = 200
SPARE_JOBS: Final = 30
"""So that no poll finds an empty queue before the last job that counts."""

WORKER_MAX_S: Final = 60

PAYLOAD: Final = GenericPayload(tenant_id="acme-corp", operation="echo", parameters={"order": 4711, "copies": 2})

PAIRS: Final = (
    ("process_ours", "process_by_hand"),
    ("process_ours", "process_by_hand_lean"),
    ("lambda_ours", "lambda_by_hand"),
)


@dataclass(frozen=True, slots=True)
class Measured:
    """Milliseconds of CPU per job, one for each round."""

    worker: str
    ms: tuple[float, ...]

    @property
    def median_ms(self) -> float:
        return statistics.median(self.ms)


def measure(*, rounds: int = ROUNDS, jobs: int = JOBS) -> list[Measured]:
    """All workers in turns, `rounds` times."""
    found: dict[str, list[float]] = {name: [] for name in WORKERS}
    with subprocess.Popen(
        [sys.executable, "-m", "tests.bench.worker_cpu"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as endpoint:
        assert endpoint.stdin is not None
        assert endpoint.stdout is not None
        environment = os.environ | json.loads(endpoint.stdout.readline())
        for _ in range(rounds):
            for name in WORKERS:
                endpoint.stdin.write(f"{WARM_JOBS + jobs + SPARE_JOBS}\n")
                endpoint.stdin.flush()
                endpoint.stdout.readline()
                found[name].append(_run(name, jobs, environment))
        endpoint.stdin.close()
    return [Measured(name, tuple(figures)) for name, figures in found.items()]


def _run(name: str, jobs: int, environment: Mapping[str, str]) -> float:
    ran = subprocess.run(
        [sys.executable, "-m", "tests.bench.workers", name, str(jobs)],
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        timeout=WORKER_MAX_S,
        check=False,
    )
    if ran.returncode:
        raise RuntimeError(f"{name}: {ran.stderr}")
    return float(ran.stderr)


# --- the endpoint's process -------------------------------------------------------------------------------------------


async def _serve() -> None:
    """Says where it is; then, for every number read, makes that many jobs whose wake-ups are in the queue."""
    async with metered_stack({}) as stack:
        names = {"LONGSHORE_STACK": STACK, "LONGSHORE_BUCKET": default_bucket(STACK, ACCOUNT, REGION)}
        print(json.dumps(client_environment(stack.endpoint.url, REGION) | names), flush=True)
        while line := await asyncio.to_thread(sys.stdin.readline):
            await _empty_queue(stack.clients)
            rows = [await stack.submit(PAYLOAD) for _ in range(int(line))]
            wakeups = [Wakeup(row.tenant_id, row.job_id, 1) for row in rows]
            await stack.ports.queues.send([Outgoing("generic", wakeup_body(wakeup)) for wakeup in wakeups])
            print("ready", flush=True)


async def _empty_queue(clients: Clients) -> None:
    """A new one: whatever the last worker held is gone with the old."""
    url = (await clients.call("sqs", "get_queue_url", QueueName=QUEUE))["QueueUrl"]
    await clients.call("sqs", "delete_queue", QueueUrl=url)
    await clients.call("sqs", "create_queue", QueueName=QUEUE, Attributes={"VisibilityTimeout": "106"})


if __name__ == "__main__":
    asyncio.run(_serve())
