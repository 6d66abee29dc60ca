"""SQS: a standard queue per job type and lane, ten messages and at most 1 MiB a request.

A long poll holds its connection for up to 20 s, so polling has clients of its own where much else is going on.
"""

import asyncio
from collections.abc import Iterator, Sequence
from typing import Any, Final

from shared.aws.clients import Clients
from shared.aws.faults import AwsRefusal, is_world_code
from shared.dead_letters import RETURNED, read_returned
from shared.errors import LongshoreError, NotFound, Permanent, WorldFault
from shared.lanes import queues_of, routed
from shared.limits import BATCH_MAX, HIDE_S_MAX, MESSAGE_BYTES_MAX, check_number, check_outgoing
from shared.names import Names
from shared.ports import Depth, Dice, Message, Outgoing

BATCH_TRIES: Final = 3
"""SQS may take some entries of a batch and not others; these are tried again unless the fault is the sender's."""

NO_QUEUE: Final = frozenset({"AWS.SimpleQueueService.NonExistentQueue", "QueueDoesNotExist"})

RECEIPT_OVER: Final = frozenset(
    {
        "AWS.SimpleQueueService.MessageNotInflight",
        "InvalidParameterValue",
        "MessageNotInflight",
        "ReceiptHandleIsInvalid",
    }
)
"""What SQS says of a receipt whose message came back since: it is somebody else's now, or deleted."""

DEPTH: Final = (
    "ApproximateNumberOfMessages",
    "ApproximateNumberOfMessagesNotVisible",
    "ApproximateNumberOfMessagesDelayed",
)

Entry = dict[str, Any]


class AwsQueues:
    def __init__(self, clients: Clients, names: Names, dice: Dice, *, polling: Clients | None = None) -> None:
        self._clients = clients
        self._polling = polling or clients
        self._names = names
        self._dice = dice
        self._urls: dict[str, str] = {}
        self._queues: dict[str, Sequence[str]] = {}

    async def queues_of(self, job_type: str) -> Sequence[str]:
        if job_type not in self._queues:
            self._queues[job_type] = await self._found(job_type)
        return self._queues[job_type]

    async def send(self, messages: Sequence[Outgoing]) -> Sequence[int]:
        """Every queue is found before anything is sent: NotFound, with the job type as its field, means nothing was."""
        sizes_bytes = [check_outgoing(message) for message in messages]
        queues = [await self._queue(message) for message in messages]
        urls = {queue: await self._url(queue) for queue in set(queues)}
        batches = list(_batches(messages, queues, sizes_bytes))
        results = await asyncio.gather(
            *(self._batch("send_message_batch", urls[queue], entries) for queue, entries in batches)
        )
        missed = sorted(int(entry["Id"]) for left, _ in results for entry in left)
        faults = [fault for _, fault in results if fault is not None]
        if faults and len(missed) == len(messages):
            raise faults[0]
        return missed

    async def receive(self, queue: str, *, max_messages: int, wait_s: int) -> Sequence[Message]:
        check_number("max_messages", max_messages, 1, BATCH_MAX)
        check_number("wait_s", wait_s, 0, 20)
        answer = await self._polling.call(
            "sqs",
            "receive_message",
            QueueUrl=await self._url(queue),
            MaxNumberOfMessages=max_messages,
            WaitTimeSeconds=wait_s,
            MessageSystemAttributeNames=["ApproximateReceiveCount", "SentTimestamp"],
            MessageAttributeNames=[RETURNED],
        )
        return [_message(received) for received in answer.get("Messages", ())]

    async def delete(self, queue: str, receipts: Sequence[str]) -> None:
        """A receipt whose message came back since deletes nothing, and is no error."""
        entries = [{"Id": str(index), "ReceiptHandle": receipt} for index, receipt in enumerate(receipts)]
        batches = [entries[start : start + BATCH_MAX] for start in range(0, len(entries), BATCH_MAX)]
        url = await self._url(queue) if batches else ""
        results = await asyncio.gather(*(self._batch("delete_message_batch", url, batch) for batch in batches))
        for _, fault in results:
            if fault is not None and fault.code not in RECEIPT_OVER:
                raise fault

    async def hide(self, queue: str, receipt: str, *, seconds: int) -> None:
        check_number("seconds", seconds, 0, HIDE_S_MAX)
        url = await self._url(queue)
        try:
            await self._clients.call(
                "sqs", "change_message_visibility", QueueUrl=url, ReceiptHandle=receipt, VisibilityTimeout=seconds
            )
        except AwsRefusal as refusal:
            if refusal.code not in RECEIPT_OVER:
                raise

    async def depth(self, queue: str) -> Depth:
        """https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_GetQueueAttributes.html"""
        url = await self._url(queue)
        answer = await self._clients.call("sqs", "get_queue_attributes", QueueUrl=url, AttributeNames=list(DEPTH))
        return Depth(*(int(answer["Attributes"][name]) for name in DEPTH))

    async def _queue(self, message: Outgoing) -> str:
        queues = await self.queues_of(message.job_type) if message.lane else ()
        return routed(message.job_type, message.lane, queues)

    async def _found(self, job_type: str) -> Sequence[str]:
        """As the template said, or as SQS knows them: a process outside of the stack is not told."""
        if self._names.lanes is not None:
            return queues_of(job_type) if job_type in self._names.lanes else (job_type,)
        return [queue for queue in queues_of(job_type) if queue == job_type or await self._is_there(queue)]

    async def _is_there(self, queue: str) -> bool:
        try:
            await self._url(queue)
        except NotFound:
            return False
        return True

    async def _url(self, queue: str) -> str:
        if queue not in self._urls:
            try:
                answer = await self._clients.call("sqs", "get_queue_url", QueueName=self._names.queue(queue))
            except AwsRefusal as refusal:
                raise _no_queue(refusal, queue) from refusal
            self._urls[queue] = answer["QueueUrl"]
        return self._urls[queue]

    async def _batch(self, operation: str, url: str, entries: list[Entry]) -> tuple[list[Entry], LongshoreError | None]:
        """→ the entries that were not taken, and why."""
        left: list[Entry] = entries
        fault: LongshoreError | None = None
        for attempt in range(BATCH_TRIES):
            if attempt:
                await asyncio.sleep(self._dice() * 0.1 * 2**attempt)
            try:
                answer = await self._clients.call("sqs", operation, QueueUrl=url, Entries=left)
            except WorldFault as world:  # botocore has tried again already
                return left, world
            failures = {failure["Id"]: failure for failure in answer.get("Failed", ())}
            left = [entry for entry in left if entry["Id"] in failures]
            if not left:
                return [], None
            fault = _fault(failures[left[0]["Id"]])
        return left, fault


def _batches(
    messages: Sequence[Outgoing], queues: Sequence[str], sizes_bytes: Sequence[int]
) -> Iterator[tuple[str, list[Entry]]]:
    """(queue, entries) of each request; an entry's Id is the message's index."""
    open_batches: dict[str, tuple[list[Entry], int]] = {}
    for index, (message, queue, size_bytes) in enumerate(zip(messages, queues, sizes_bytes, strict=True)):
        entries, total_bytes = open_batches.get(queue, ([], 0))
        if len(entries) == BATCH_MAX or total_bytes + size_bytes > MESSAGE_BYTES_MAX:
            yield queue, entries
            entries, total_bytes = [], 0
        entries.append(_entry(index, message))
        open_batches[queue] = entries, total_bytes + size_bytes
    for queue, (entries, _) in open_batches.items():
        yield queue, entries


def _entry(index: int, message: Outgoing) -> Entry:
    entry: Entry = {"Id": str(index), "MessageBody": message.body, "DelaySeconds": message.delay_s}
    entry |= {"MessageGroupId": message.group} if message.group else {}
    returned = {"DataType": "Number", "StringValue": str(message.returned)}
    return entry | ({"MessageAttributes": {RETURNED: returned}} if message.returned else {})


def _message(received: dict[str, Any]) -> Message:
    attributes = received["Attributes"]
    return Message(
        message_id=received["MessageId"],
        receipt=received["ReceiptHandle"],
        body=received["Body"],
        receives=int(attributes["ApproximateReceiveCount"]),
        sent_at=int(attributes["SentTimestamp"]),
        returned=read_returned(received.get("MessageAttributes", {}).get(RETURNED, {}).get("StringValue")),
    )


def _fault(failure: dict[str, Any]) -> LongshoreError:
    code, message = failure["Code"], failure.get("Message", failure["Code"])
    is_senders = failure["SenderFault"] and not is_world_code(code)
    return Permanent(code, message) if is_senders else WorldFault(code, message)


def _no_queue(refusal: AwsRefusal, queue: str) -> LongshoreError:
    missing = NotFound("no_such_queue", f"there is no queue for the job type {queue}", field=queue)
    return missing if refusal.code in NO_QUEUE else refusal
