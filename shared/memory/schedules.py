"""EventBridge Scheduler in memory: one-off schedules that fire by themselves, once."""

import asyncio

from shared.memory.clock import turn
from shared.ports import Clock, Outgoing, Queues


class MemorySchedules:
    """`made` by name is there to be looked at; a name is never used again."""

    def __init__(self, queues: Queues, now: Clock) -> None:
        self.made: dict[str, tuple[int, Outgoing]] = {}
        self._queues = queues
        self._now = now
        self._waiting: set[asyncio.Task[None]] = set()

    async def wake_at(self, name: str, at: int, message: Outgoing) -> None:
        await turn()
        if name in self.made:
            return
        self.made[name] = at, message
        waiting = asyncio.create_task(self._fire(at, message))
        self._waiting.add(waiting)
        waiting.add_done_callback(self._waiting.discard)

    async def _fire(self, at: int, message: Outgoing) -> None:
        await asyncio.sleep((at - self._now()) / 1000)
        await self._queues.send([message])
