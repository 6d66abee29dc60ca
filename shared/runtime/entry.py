"""The Lambda entry of a job type's queue."""

import os
from collections.abc import Mapping
from functools import cache
from typing import TypeVar, cast

from shared.payloads.base import Payload
from shared.ports import Message, Ports
from shared.runtime.batch import run_batch
from shared.runtime.container import LambdaContext, container
from shared.runtime.definition import JobType
from shared.runtime.worker import Worker

P = TypeVar("P", bound=Payload)


def handle_queue_event(job_type: JobType[P], event: Mapping[str, object], context: LambdaContext) -> dict[str, object]:
    """An SQS event → `{"batchItemFailures": [{"itemIdentifier": message id}, …]}`."""
    records = cast("list[Mapping[str, object]]", event["Records"])
    messages = [_message(record) for record in records]
    here = container()
    queue = str(records[0]["eventSourceARN"]).rpartition(":")[2].removeprefix(f"{here.settings.stack}-")

    async def invocation(ports: Ports) -> list[str]:
        worker = worker_of(cast("JobType[Payload]", job_type), ports, here.settings.stack)
        ends_at = ports.now() + context.get_remaining_time_in_millis()
        who = container_name(os.environ.get("AWS_LAMBDA_LOG_STREAM_NAME", context.function_name))
        return await run_batch(worker, messages, ports, queue=queue, ends_at=ends_at, who=who)

    return {"batchItemFailures": [{"itemIdentifier": message_id} for message_id in here.run(invocation)]}


@cache
def worker_of(job_type: JobType[Payload], ports: Ports, stack: str) -> Worker[Payload]:
    """One for as long as the container lives: it remembers which circuits are open."""
    return Worker(job_type, ports, stack=stack)


def container_name(log_stream: str) -> str:
    """For the history: the random end of the log stream's name. The whole of it would soon fill a row's first KB."""
    return log_stream[-8:]


def _message(record: Mapping[str, object]) -> Message:
    """https://docs.aws.amazon.com/lambda/latest/dg/with-sqs.html"""
    attributes = cast("Mapping[str, str]", record["attributes"])
    return Message(
        message_id=str(record["messageId"]),
        receipt=str(record["receiptHandle"]),
        body=str(record["body"]),
        receives=int(attributes["ApproximateReceiveCount"]),
        sent_at=int(attributes["SentTimestamp"]),
    )
