"""One Lambda invocation: a batch of messages, worked at the same time, each answered for itself.

The answer names those that must come back (`batchItemFailures`); Lambda deletes the rest. To hide a message is to
change its visibility *and* to report it. An empty list means that all is done:
https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-errorhandling.html
"""

import asyncio
from collections.abc import Sequence
from typing import Final

from shared.errors import LongshoreError
from shared.lanes import split
from shared.payloads.base import Payload
from shared.ports import Message, Ports
from shared.runtime.beats import TaskBeats
from shared.runtime.floor import Floor
from shared.runtime.host import Host
from shared.runtime.logs import get_logger
from shared.runtime.worker import Acknowledge, Hide, Worker

LEASE_BEYOND_INVOCATION_MS: Final = 10_000
"""The lease ends this long after the invocation must have ended: nobody takes over from a run that still lives."""


async def run_batch(
    worker: Worker[Payload], messages: Sequence[Message], ports: Ports, *, queue: str, ends_at: int, who: str
) -> list[str]:
    """Work `messages` of `queue` before `ends_at` (milliseconds); → the ids of those that must come back."""
    done: list[str] = []

    async def delete_done() -> None:
        receipts = done.copy()
        done.clear()
        await ports.queues.delete(queue, receipts)

    host = Host(
        who=who,
        lease_until=lambda: ends_at + LEASE_BEYOND_INVOCATION_MS,
        time_left_s=lambda: (ends_at - ports.now()) / 1000,
        beats=TaskBeats(ports),
        floor=Floor(before_alone=delete_done),
        solitary=len(messages) == 1,
        lane=split(queue)[1],
    )

    async def one(message: Message) -> str | None:
        match await worker.handle(message, host):
            case Acknowledge(reason):
                get_logger().debug("acknowledged", message_id=message.message_id, reason=reason)
                done.append(message.receipt)
                return None
            case Hide() as hide:
                await _hide(ports, queue, message, hide)
                return message.message_id

    failures = await asyncio.gather(*(one(message) for message in messages))
    return [message_id for message_id in failures if message_id is not None]


async def _hide(ports: Ports, queue: str, message: Message, hide: Hide) -> None:
    get_logger().info("hidden", message_id=message.message_id, seconds=hide.seconds, reason=hide.reason)
    try:
        await ports.queues.hide(queue, message.receipt, seconds=hide.seconds)
    except LongshoreError as error:  # it comes back all the same, when its visibility runs out
        get_logger().warning("hide_failed", message_id=message.message_id, reason=str(error))
