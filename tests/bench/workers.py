"""The workers whose CPU is compared: each a process of its own, `python -m tests.bench.workers NAME JOBS`.

They find the endpoint in their environment, work until JOBS have been done after a warm-up, write their CPU in
milliseconds per job to stderr and are gone. What AWS does for a Lambda function (polling, deleting) is done by the
same process and taken off.
"""

import asyncio
import json
import os
import sys
import time
from collections.abc import Callable, Mapping
from typing import Any, Final, NoReturn, cast

from aiobotocore.config import AioConfig
from aiobotocore.session import AioSession

from infra.local.events import queue_record
from shared.aws.clients import USER_AGENT
from shared.payloads.base import Payload
from shared.payloads.generic import GenericPayload
from shared.payloads.results import ProcessResult
from shared.runtime.beats import HeartThread
from shared.runtime.context import Context
from shared.runtime.definition import JobType, job
from shared.runtime.logs import configure_logs
from shared.runtime.process import Assignment, serve
from shared.runtime.settings import read_settings
from shared.runtime.wiring import ports_of
from tests.bench import by_hand
from tests.bench.stack import REGION, STACK

WARM_JOBS: Final = 50
CONCURRENCY: Final = 10
TABLE: Final = f"{STACK}-jobs"
QUEUE: Final = f"{STACK}-generic"
LEAN: Final = {"user_agent": USER_AGENT, "parameter_validation": False}
"""What our own clients are told; botocore does a third less then."""

Event = Mapping[str, object]


class Stopwatch:
    """Told of every job; ends the process after the last."""

    def __init__(self, jobs: int) -> None:
        self._jobs = jobs
        self._done = 0
        self._first = 0
        self._began_s = 0.0

    def count(self, jobs: int = 1) -> None:
        before, self._done = self._done, self._done + jobs
        if before < WARM_JOBS <= self._done:
            self._first, self._began_s = self._done, time.process_time()
        if self._done >= WARM_JOBS + self._jobs:
            per_job_s = (time.process_time() - self._began_s) / (self._done - self._first)
            print(1000 * per_job_s, file=sys.stderr, flush=True)
            os._exit(0)

    def skip(self, seconds: float) -> None:
        """This much of the CPU was not the worker's."""
        self._began_s += seconds


# --- long-running -----------------------------------------------------------------------------------------------------


def process_ours(watch: Stopwatch) -> None:
    """`longshore worker --types generic:10`, its logs and its heart's thread included."""

    async def main() -> None:
        configure_logs()
        settings = read_settings()
        assignments = [Assignment(_generic(watch), CONCURRENCY)]
        async with ports_of(settings, polling=True) as ports, HeartThread(lambda: ports_of(settings)) as heart:
            await serve(assignments, ports, heart, stack=STACK, who="bench", stop=asyncio.Event())

    asyncio.run(main())


def process_by_hand(watch: Stopwatch) -> None:
    """As most people make their clients."""
    asyncio.run(_work_by_hand(watch, {}))


def process_by_hand_lean(watch: Stopwatch) -> None:
    """With the settings that our own clients have."""
    asyncio.run(_work_by_hand(watch, LEAN))


async def _work_by_hand(watch: Stopwatch, config: Mapping[str, Any]) -> NoReturn:
    session = AioSession()
    options = {"region_name": REGION, "config": AioConfig(max_pool_connections=50, **config)}
    async with session.create_client("sqs", **options) as sqs, session.create_client("dynamodb", **options) as dynamodb:
        url = (await sqs.get_queue_url(QueueName=QUEUE))["QueueUrl"]
        while True:
            watch.count(await by_hand.work_batch(sqs, dynamodb, queue_url=url, table=TABLE, wait_s=10))


# --- Lambda -----------------------------------------------------------------------------------------------------------


def lambda_ours(watch: Stopwatch) -> None:
    """The function's handler, once per batch of ten."""
    handler = _generic(watch).lambda_handler
    _invoke(lambda event: handler(event, LambdaContext()), watch)


def lambda_by_hand(watch: Stopwatch) -> None:
    _invoke_by_hand(watch, {})


def lambda_by_hand_lean(watch: Stopwatch) -> None:
    _invoke_by_hand(watch, LEAN)


def _invoke_by_hand(watch: Stopwatch, config: Mapping[str, Any]) -> NoReturn:
    session, runner = AioSession(), asyncio.Runner()
    client = session.create_client("dynamodb", region_name=REGION, config=AioConfig(**config))
    dynamodb = runner.run(client.__aenter__())

    async def work(records: list[dict[str, Any]]) -> None:
        await asyncio.gather(*(by_hand.work(dynamodb, TABLE, json.loads(record["body"])) for record in records))

    def handler(event: Event) -> None:
        records = cast("list[dict[str, Any]]", event["Records"])
        runner.run(work(records))
        watch.count(len(records))

    _invoke(handler, watch)


class LambdaContext:
    function_name = QUEUE
    aws_request_id = "bench"

    def get_remaining_time_in_millis(self) -> int:
        return 75_000


def _invoke(handler: Callable[[Event], object], watch: Stopwatch) -> NoReturn:
    """The event source mapping, on a loop of its own, whose CPU is taken off."""
    session, runner = AioSession(), asyncio.Runner()
    sqs = runner.run(session.create_client("sqs", region_name=REGION).__aenter__())
    url = runner.run(sqs.get_queue_url(QueueName=QUEUE))["QueueUrl"]
    while True:
        began_s = time.process_time()
        messages = runner.run(by_hand.received(sqs, url, 10, 10, MessageSystemAttributeNames=["All"]))
        event = {"Records": [queue_record(message, f"arn:aws:sqs:{REGION}:0:{QUEUE}") for message in messages]}
        watch.skip(time.process_time() - began_s)
        handler(event)
        began_s = time.process_time()
        runner.run(by_hand.delete(sqs, url, messages))
        watch.skip(time.process_time() - began_s)


def _generic(watch: Stopwatch) -> "JobType[Payload]":
    """A job that does nothing."""

    @job(GenericPayload)
    async def generic(payload: GenericPayload, _context: Context) -> ProcessResult:
        watch.count()
        return ProcessResult(data=payload.parameters)

    return cast("JobType[Payload]", generic)


WORKERS: Final[Mapping[str, Callable[[Stopwatch], None]]] = {
    worker.__name__: worker
    for worker in (
        process_ours,
        process_by_hand,
        process_by_hand_lean,
        lambda_ours,
        lambda_by_hand,
        lambda_by_hand_lean,
    )
}

if __name__ == "__main__":
    WORKERS[sys.argv[1]](Stopwatch(int(sys.argv[2])))
