"""Who does the work of a simulated world: reactor, pollers of Lambda, long-running workers, audit and dead letters.

Each is a process that the weather may kill at any call; another takes its place.
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Final, TypeVar

from shared.audit import Books
from shared.dead_letters import DeadLetter
from shared.errors import WorldFault
from shared.payloads.base import Payload
from shared.ports import Message, Ports
from shared.runtime.audit import audited
from shared.runtime.batch import run_batch
from shared.runtime.beats import LEASE_MS, TaskBeats
from shared.runtime.dead_letters import heal
from shared.runtime.definition import JobType
from shared.runtime.logs import get_logger
from shared.runtime.process import Assignment, serve
from shared.runtime.reactor import react
from shared.runtime.worker import Worker
from tests.simulation.ledger import JOB_TYPE
from tests.simulation.weather import Process
from tests.simulation.witness import Cloud

T = TypeVar("T")

STACK: Final = "simulation"

BEYOND_TIMEOUT_S: Final = 15
"""A function's time-out is longer than its job type's."""

RETURNS_MAX: Final = 7
"""Dead letters that come back more often than this will never end."""


@dataclass(slots=True)
class Hosts:
    """Each works until `stop` is set. `read`: records of the stream that the reactor is done with."""

    random: Random
    cloud: Cloud
    types: Mapping[str, JobType[Payload]]
    stop: asyncio.Event = field(default_factory=asyncio.Event)
    read: int = 0

    async def react(self) -> None:
        """Records come late, and some come again."""
        while not self.stop.is_set():
            stream = self.cloud.jobs.stream
            records = stream[self.read : self.read + self.random.choice((1, 5, 50))]
            if not records:
                self.cloud.ledger.written.clear()
                await self.cloud.ledger.written.wait()
                continue
            process = self._process("reactor")
            main = process.start(react(records, self.cloud.ports(process), stack=STACK))
            if await process.lived(main, timeout_s=60):
                failed = self._answer(process, main, None)
                self.read = self.read + len(records) if failed is None else int(failed) - 1
            if self.cloud.weather.chance(0.1):
                self.read = max(0, self.read - self.random.randrange(10))
                await asyncio.sleep(self.cloud.weather.delay_s())

    async def audit(self) -> None:
        """It alone brings back the wake-ups that are lost with their queue."""
        while not self.stop.is_set():
            await asyncio.sleep(1_200)
            process = self._process("audit")
            main = process.start(_audit(self.cloud.ports(process)))
            if await process.lived(main, timeout_s=900):
                self._answer(process, main, None)

    async def heal(self) -> None:
        while not self.stop.is_set():
            await asyncio.sleep(60)
            for source, dead in [*self.cloud.queues.dead_letters.items()]:
                if not dead:
                    continue
                batch, process = dead[:10], self._process("dead letters")
                letters = [DeadLetter(one.message_id, one.body, source, one.returned) for one in batch]
                main = process.start(heal(letters, self.cloud.ports(process), stack=STACK))
                if await process.lived(main, timeout_s=60):
                    again = self._answer(process, main, [one.message_id for one in batch])
                    dead[:] = [one for one in dead if one not in batch or one.message_id in again]
                worst = max(one.returned for one in batch)
                self.cloud.ledger.check(worst < RETURNS_MAX, "I4", "no message dies for ever", batch)

    async def poll(self, name: str, job_type: str, *, batch: int) -> None:
        """An event source mapping: at most three invocations at a time."""
        room = asyncio.Semaphore(3)
        async with asyncio.TaskGroup() as group:
            invocation = 0
            while not self.stop.is_set():
                await room.acquire()
                messages = await self.cloud.witnessed.receive(job_type, max_messages=batch, wait_s=20)
                invocation += 1
                task = group.create_task(self._invoke(f"lambda {name}.{invocation}", job_type, messages))
                task.add_done_callback(lambda _: room.release())

    async def _invoke(self, name: str, job_type: str, messages: Sequence[Message]) -> None:
        """Deleting is Lambda's own, and may fail."""
        if not messages:
            return
        process = self._process(name)
        ports = self.cloud.ports(process)
        kind = self.types[job_type]
        worker, lasts_s = Worker(kind, ports, stack=STACK), kind.payload_model.policy.timeout_s + BEYOND_TIMEOUT_S
        ends_at = process.now() + 1000 * lasts_s
        main = process.start(run_batch(worker, messages, ports, queue=job_type, ends_at=ends_at, who=name))
        if await process.lived(main, timeout_s=lasts_s) and not self.cloud.weather.chance(0.05):
            failed = self._answer(process, main, [message.message_id for message in messages])
            done = [message.receipt for message in messages if message.message_id not in failed]
            await self.cloud.witnessed.delete(job_type, done)

    async def serve(self, number: int, *, concurrency: int) -> None:
        """One after the other, each until it dies or is stopped."""
        served = 0
        while not self.stop.is_set():
            served += 1
            process, stop = self._process(f"worker {number}.{served}"), asyncio.Event()
            ports = self.cloud.ports(process)
            beats = TaskBeats(ports, lease_ms=LEASE_MS)
            assignment = Assignment(self.types[JOB_TYPE], concurrency)
            main = process.start(serve([assignment], ports, beats, stack=STACK, who=process.name, stop=stop))
            fate = asyncio.create_task(self._fate(process, stop))
            if await process.lived(main):
                self._answer(process, main, None)
                left = self.cloud.ledger.active_in(process)
                self.cloud.ledger.check(not left, "I4", "a stop strands nothing", process.name)
            fate.cancel()
            await asyncio.sleep(self.random.random() * 10)

    async def _fate(self, process: Process, stop: asyncio.Event) -> None:
        """It may freeze, it may be stopped early; in the end it is stopped."""
        if self.cloud.weather.chance(0.5):
            await asyncio.sleep(self.random.random() * 60)
            process.freeze()
        if self.cloud.weather.chance(0.3):
            await asyncio.sleep(self.random.random() * 200)
        else:
            await self.stop.wait()
        stop.set()

    def _process(self, name: str) -> Process:
        return Process(name, self.cloud.weather, self.cloud.ledger.story)

    def _answer(self, process: Process, main: "asyncio.Task[T]", otherwise: T) -> T:
        """Of a process that came to its end; `otherwise` if it raised, which it must not."""
        error = main.exception()
        self.cloud.ledger.check(error is None, "I8", f"{process.name} comes to a good end", repr(error))
        return otherwise if error is not None else main.result()


async def _audit(ports: Ports) -> None:
    try:
        async for _ in audited(ports, Books(started_at=ports.now()), repair=True):
            pass
    except WorldFault as fault:
        get_logger().warning("audit_failed", reason=str(fault))
