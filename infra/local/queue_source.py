"""From a queue to a function, as Lambda's SQS event source mapping does it.

Rules of this file:
1. It receives only when an invocation is free to take the messages: none loses a receive to a busy function.
2. What succeeded is deleted. What failed is left alone: it becomes visible when its visibility timeout says so.
3. A batch whose invocation failed has failed whole.

https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-errorhandling.html
"""

import asyncio
import itertools
import math
from typing import Any, Final

import structlog
from botocore.exceptions import BotoCoreError, ClientError

from infra.local.containers import Function
from infra.local.events import InvocationFailed, failed_items, queue_record
from infra.local.specs import QueueSource
from shared.aws.clients import Clients

RECEIVE_MAX: Final = 10
LONG_POLL_S: Final = 20
PAUSE_AFTER_ERROR_S: Final = 1.0
PAUSE_MAX_S: Final = 10.0

log = structlog.get_logger("longshore.local")


class QueuePoller:
    """`run()` polls until it is cancelled; `drained()` then waits for the invocations that are under way."""

    def __init__(self, source: QueueSource, function: Function, clients: Clients, *, concurrency_max: int) -> None:
        self._source = source
        self._function = function
        self._clients = clients
        self._free = asyncio.Semaphore(min(source.concurrency_max, concurrency_max))
        self._under_way: set[asyncio.Task[None]] = set()
        self._failures = 0

    async def run(self) -> None:
        sqs = await self._clients.get("sqs")
        name = self._source.queue_arn.rsplit(":", 1)[-1]
        url: str = (await sqs.get_queue_url(QueueName=name))["QueueUrl"]
        while True:
            await self._free.acquire()
            try:
                messages = await self._batch(sqs, url)
            except BaseException:
                self._free.release()
                raise
            task = asyncio.create_task(self._deliver(sqs, url, messages))
            self._under_way.add(task)
            task.add_done_callback(self._under_way.discard)

    async def drained(self) -> None:
        await asyncio.gather(*self._under_way)

    async def _batch(self, sqs: Any, url: str) -> list[dict[str, Any]]:
        """At least one message; more, up to the batch size, as long as the window since the first is open."""
        clock = asyncio.get_running_loop().time
        messages: list[dict[str, Any]] = []
        while not messages:
            messages = await self._receive(sqs, url, self._source.batch_size, LONG_POLL_S)
        window_ends = clock() + self._source.window_s
        while (left_s := window_ends - clock()) > 0 and len(messages) < self._source.batch_size:
            messages += await self._receive(sqs, url, self._source.batch_size - len(messages), math.ceil(left_s))
        return messages

    async def _receive(self, sqs: Any, url: str, count: int, wait_s: int) -> list[dict[str, Any]]:
        try:
            answer = await sqs.receive_message(
                QueueUrl=url,
                MaxNumberOfMessages=min(count, RECEIVE_MAX),
                WaitTimeSeconds=wait_s,
                MessageSystemAttributeNames=["All"],
                MessageAttributeNames=["All"],
            )
        except (ClientError, BotoCoreError) as error:
            log.warning("receive_failed", queue=url, error=str(error))
            await asyncio.sleep(PAUSE_AFTER_ERROR_S)
            return []
        received: list[dict[str, Any]] = answer.get("Messages", [])
        return received

    async def _deliver(self, sqs: Any, url: str, messages: list[dict[str, Any]]) -> None:
        try:
            failed = await self._invoke(messages)
            await self._delete(sqs, url, [message for message in messages if message["MessageId"] not in failed])
            self._failures = 0
        except InvocationFailed as error:
            log.warning("invocation_failed", function=self._function.spec.name, kind=error.kind, error=error.message)
            self._failures += 1
            # Lambda, too, takes less from a queue whose function keeps failing.
            await asyncio.sleep(min(0.1 * 2**self._failures, PAUSE_MAX_S))
        except (ClientError, BotoCoreError) as error:
            log.warning("delete_failed", queue=url, error=str(error))
        finally:
            self._free.release()

    async def _invoke(self, messages: list[dict[str, Any]]) -> set[str]:
        event = {"Records": [queue_record(message, self._source.queue_arn) for message in messages]}
        answer = await self._function.invoke(event)
        if not self._source.reports_items:
            return set()
        return failed_items(answer, [message["MessageId"] for message in messages])

    async def _delete(self, sqs: Any, url: str, messages: list[dict[str, Any]]) -> None:
        handles = enumerate(message["ReceiptHandle"] for message in messages)
        entries = ({"Id": str(index), "ReceiptHandle": handle} for index, handle in handles)
        while some := list(itertools.islice(entries, RECEIVE_MAX)):
            await sqs.delete_message_batch(QueueUrl=url, Entries=some)
