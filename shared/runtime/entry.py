"""Lambda entries. One event loop and one set of clients per container, made at the first invocation and kept.

Never `asyncio.run` per invocation: it closes the loop that cached clients live on.
"""

import asyncio
import os
from collections.abc import Callable, Coroutine, Mapping
from functools import cache
from typing import Protocol, TypeVar, cast

from shared.payloads.base import Payload
from shared.ports import Message, Ports
from shared.runtime.batch import run_batch
from shared.runtime.definition import JobType
from shared.runtime.logs import configure_logs
from shared.runtime.settings import Settings, read_settings
from shared.runtime.wiring import open_ports
from shared.runtime.worker import Worker

T = TypeVar("T")
P = TypeVar("P", bound=Payload)


class LambdaContext(Protocol):
    """https://docs.aws.amazon.com/lambda/latest/dg/python-context.html"""

    function_name: str
    aws_request_id: str

    def get_remaining_time_in_millis(self) -> int: ...


class Container:
    """What lives as long as the container does."""

    def __init__(self) -> None:
        configure_logs()
        self.settings: Settings = read_settings()
        self._runner = asyncio.Runner()
        self._ports: Ports | None = None

    def run(self, invocation: Callable[[Ports], Coroutine[object, object, T]]) -> T:
        return self._runner.run(self._with_ports(invocation))

    async def _with_ports(self, invocation: Callable[[Ports], Coroutine[object, object, T]]) -> T:
        if self._ports is None:
            self._ports = await open_ports(self.settings)
        return await invocation(self._ports)


@cache
def container() -> Container:
    return Container()


def handle_queue_event(job_type: JobType[P], event: Mapping[str, object], context: LambdaContext) -> dict[str, object]:
    """An SQS event → `{"batchItemFailures": [{"itemIdentifier": message id}, …]}`."""
    messages = [_message(record) for record in cast("list[Mapping[str, object]]", event["Records"])]
    here = container()

    async def invocation(ports: Ports) -> list[str]:
        worker = cast("Worker[Payload]", Worker(job_type, ports, stack=here.settings.stack))
        ends_at = ports.now() + context.get_remaining_time_in_millis()
        who = container_name(os.environ.get("AWS_LAMBDA_LOG_STREAM_NAME", context.function_name))
        return await run_batch(worker, messages, ports, job_type=job_type.type, ends_at=ends_at, who=who)

    return {"batchItemFailures": [{"itemIdentifier": message_id} for message_id in here.run(invocation)]}


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
