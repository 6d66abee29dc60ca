"""SQS in memory, a standard queue per job type and lane: delays, visibility, receipts, receive counts, dead letters.

As AWS has it, https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/welcome.html : a message is
handed out at most `max_receives` times and then set aside; each receive gives a new receipt, and an older one counts
for nothing. Unlike AWS, which promises neither, a tenant's messages come in the order of sending, and none comes twice.
"""

import asyncio
from collections import Counter, deque
from collections.abc import Collection, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice

from shared.errors import NotFound
from shared.lanes import queues_of, routed, split
from shared.limits import BATCH_MAX, HIDE_S_MAX, check_number, check_outgoing
from shared.memory.clock import turn
from shared.memory.fairness import fairly
from shared.ports import DEAD_LETTERS, Clock, Depth, Message, Outgoing


@dataclass(slots=True)
class Held:
    """A message in its queue; whoever holds `receipt` received it last."""

    message_id: str
    body: str
    sent_at: int
    visible_at: int
    receives: int = 0
    returned: int = 0
    group: str = ""

    @property
    def receipt(self) -> str:
        return f"{self.message_id}/{self.receives}"


class MemoryQueues:
    """`held` and `dead_letters` by queue are there to be looked at. `job_types` None: every queue exists. `lanes`: the
    types that have them."""

    def __init__(
        self,
        now: Clock,
        *,
        visibility_s: int = 120,
        max_receives: int = 20,
        job_types: Collection[str] | None = None,
        lanes: Collection[str] = (),
    ) -> None:
        self.held: dict[str, list[Held]] = {}
        self.dead_letters: dict[str, list[Held]] = {}
        self._now = now
        self._visibility_ms = visibility_s * 1000
        self._max_receives = max_receives
        self._job_types = job_types
        self._lanes = lanes
        self._served: dict[str, dict[str, int]] = {}
        self._sent = 0
        self._stirred = asyncio.Event()

    async def queues_of(self, job_type: str) -> Sequence[str]:
        return queues_of(job_type) if job_type in self._lanes else (job_type,)

    async def send(self, messages: Sequence[Outgoing]) -> Sequence[int]:
        for message in messages:
            check_outgoing(message)
        await turn()
        queues = [
            self._queue(routed(message.job_type, message.lane, await self.queues_of(message.job_type)))
            for message in messages
        ]
        now = self._now()
        for queue, message in zip(queues, messages, strict=True):
            self._sent += 1
            queue.append(_held(f"message-{self._sent}", message, now))
        self._stir()
        return []

    async def receive(self, queue: str, *, max_messages: int, wait_s: int) -> Sequence[Message]:
        check_number("max_messages", max_messages, 1, BATCH_MAX)
        check_number("wait_s", wait_s, 0, 20)
        await turn()
        until = self._now() + wait_s * 1000
        while not (taken := self._take(queue, max_messages)) and self._now() < until:
            await self._something_visible(queue, until)
        return taken

    async def delete(self, queue: str, receipts: Sequence[str]) -> None:
        await turn()
        if receipts:
            held_here = self._queue(queue)
            held_here[:] = [held for held in held_here if held.receipt not in receipts]

    async def hide(self, queue: str, receipt: str, *, seconds: int) -> None:
        check_number("seconds", seconds, 0, HIDE_S_MAX)
        await turn()
        for held in self._queue(queue):
            if held.receipt == receipt and held.visible_at > self._now():
                held.visible_at = self._now() + seconds * 1000
        self._stir()

    async def depth(self, queue: str) -> Depth:
        await turn()
        if queue == DEAD_LETTERS:
            return Depth(sum(map(len, self.dead_letters.values())), 0, 0)
        hidden = [held for held in self._queue(queue) if held.visible_at > self._now()]
        in_flight = sum(held.receives > 0 for held in hidden)
        return Depth(len(self._queue(queue)) - len(hidden), in_flight, len(hidden) - in_flight)

    def _take(self, queue: str, max_messages: int) -> list[Message]:
        there, now = self._queue(queue), self._now()
        dead = [held for held in there if held.visible_at <= now and held.receives >= self._max_receives]
        self.dead_letters.setdefault(queue, []).extend(dead)
        there[:] = [held for held in there if held not in dead]
        waiting: dict[str, deque[Held]] = {}
        for held in there:
            if held.visible_at <= now:
                waiting.setdefault(held.group, deque()).append(held)
        in_flight = Counter(held.group for held in there if held.receives and held.visible_at > now)
        taken = [*islice(fairly(waiting, in_flight, self._served.setdefault(queue, {})), max_messages)]
        for held in taken:
            held.receives += 1
            held.visible_at = now + self._visibility_ms
        return [
            Message(held.message_id, held.receipt, held.body, held.receives, held.sent_at, held.returned)
            for held in taken
        ]

    async def _something_visible(self, queue: str, until: int) -> None:
        soonest = min((held.visible_at for held in self._queue(queue)), default=until)
        with suppress(TimeoutError):
            async with asyncio.timeout((min(soonest, until) - self._now()) / 1000):
                await self._stirred.wait()

    def _stir(self) -> None:
        self._stirred.set()
        self._stirred.clear()

    def _queue(self, queue: str) -> list[Held]:
        if self._job_types is not None and split(queue)[0] not in self._job_types:
            raise NotFound("no_such_queue", f"there is no queue for the job type {queue}", field=queue)
        return self.held.setdefault(queue, [])


def _held(message_id: str, message: Outgoing, now: int) -> Held:
    visible_at = now + message.delay_s * 1000
    return Held(message_id, message.body, now, visible_at, returned=message.returned, group=message.group or "")
