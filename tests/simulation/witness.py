"""The ports of the one world in memory, as a process meets them behind its weather: each tells the ledger what happens.

They see what is really done, when it is done, and by whom. And they are as unreliable as AWS says it may be: messages
come in any order, some come twice, a batch is taken in part.
"""

import asyncio
from collections.abc import Sequence
from contextvars import copy_context
from dataclasses import dataclass, replace
from typing import Final

from shared.memory.jobs import MemoryJobs
from shared.memory.objects import MemoryObjects
from shared.memory.queues import MemoryQueues
from shared.memory.schedules import MemorySchedules
from shared.memory.side import MemorySide
from shared.moves import Move
from shared.payloads.base import Encryption
from shared.ports import Applied, Message, Outgoing, Ports, Refused, Upload
from tests.simulation.faults import faulty
from tests.simulation.ledger import Ledger
from tests.simulation.weather import PROCESS, Process, Weather

TWICE: Final = 0.1
"""Of the messages received, so many are handed out again while they are being worked on."""

REFUSED: Final = 0.05
"""Of the messages of a batch."""


@dataclass(slots=True)
class Cloud:
    """What all processes share."""

    weather: Weather
    ledger: Ledger
    jobs: "WitnessedJobs"
    side: MemorySide
    queues: MemoryQueues
    schedules: MemorySchedules
    others: Ports
    """Whatever nobody looks at here."""
    objects: "WitnessedObjects"

    @property
    def witnessed(self) -> "WitnessedQueues":
        """As Lambda's pollers meet the queues: they are none of ours."""
        return WitnessedQueues(self.queues, self.ledger, self.weather)

    def ports(self, process: Process) -> Ports:
        """The world as `process` meets it."""
        random = self.weather.random
        ports = replace(
            self.others,
            jobs=self.jobs,
            side=self.side,
            queues=self.witnessed,
            schedules=WitnessedSchedules(self.schedules),
            objects=self.objects,
            now=process.now,
            dice=random.random,
            token=lambda: f"{random.getrandbits(64):016x}",
        )
        return faulty(ports, process)


def alive(process: Process | None) -> Process | None:
    """What the dead have sent is nobody's."""
    return process if process is not None and process.alive else None


class WitnessedJobs(MemoryJobs):
    ledger: Ledger

    async def apply(self, move: Move) -> Applied | Refused:
        answer = await super().apply(move)
        if len(self.stream) > self.ledger.judged:  # no other task has had its turn since: it is this write's
            self.ledger.judged += 1
            self.ledger.moved(self.stream[-1], move, alive(PROCESS.get()))
        return answer


class WitnessedQueues:
    def __init__(self, queues: MemoryQueues, ledger: Ledger, weather: Weather) -> None:
        self._queues = queues
        self._ledger = ledger
        self._weather = weather

    async def queues_of(self, job_type: str) -> Sequence[str]:
        return await self._queues.queues_of(job_type)

    async def send(self, messages: Sequence[Outgoing]) -> Sequence[int]:
        missed = [index for index in range(len(messages)) if self._weather.chance(REFUSED)]
        await self._queues.send([message for index, message in enumerate(messages) if index not in missed])
        return missed

    async def receive(self, queue: str, *, max_messages: int, wait_s: int) -> Sequence[Message]:
        held = self._queues.held.setdefault(queue, [])
        if not self._weather.is_calm:
            self._weather.random.shuffle(held)
        messages = await self._queues.receive(queue, max_messages=max_messages, wait_s=wait_s)
        for message in messages:
            self._ledger.received[message.receipt] = message
            if self._weather.chance(TWICE):
                again = next(one for one in held if one.message_id == message.message_id)
                again.visible_at = self._weather.now() + self._weather.random.randrange(20_000)
        return messages

    async def delete(self, queue: str, receipts: Sequence[str]) -> None:
        before = {held.message_id for held in self._queues.held.get(queue, ())}
        await self._queues.delete(queue, receipts)
        after = {held.message_id for held in self._queues.held.get(queue, ())}
        for receipt in receipts:
            message = self._ledger.received[receipt]
            if message.message_id in before - after:
                self._ledger.acknowledged(queue, message)

    async def hide(self, queue: str, receipt: str, *, seconds: int) -> None:
        await self._queues.hide(queue, receipt, seconds=seconds)


class WitnessedSchedules:
    def __init__(self, schedules: MemorySchedules) -> None:
        self._schedules = schedules

    async def wake_at(self, name: str, at: int, message: Outgoing) -> None:
        """What has been scheduled outlives its maker."""
        nobody = copy_context()
        nobody.run(PROCESS.set, None)
        await asyncio.create_task(self._schedules.wake_at(name, at, message), context=nobody)


class WitnessedObjects(MemoryObjects):
    def __init__(self, ledger: Ledger) -> None:
        super().__init__()
        self._ledger = ledger

    async def put(self, key: str, body: bytes, *, content_type: str = "application/json") -> None:
        await super().put(key, body, content_type=content_type)
        if key.startswith("artifacts/"):
            self._ledger.wrote(key)

    async def upload(self, key: str, *, encryption: Encryption | None = None) -> Upload:
        upload = await super().upload(key, encryption=encryption)
        self._ledger.wrote(key)
        return upload
