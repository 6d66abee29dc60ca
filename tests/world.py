"""A whole Longshore in memory, in virtual time: producer, reactor, queue and Lambda batches of one job type."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import TypeVar, cast

from shared.job import Job
from shared.memory.clock import run_virtual
from shared.memory.jobs import MemoryJobs
from shared.memory.ports import memory_ports
from shared.memory.queues import MemoryQueues
from shared.memory.schedules import MemorySchedules
from shared.payloads.base import Payload
from shared.payloads.generic import GenericPayload
from shared.ports import Clock, Outgoing, Ports
from shared.runtime.batch import run_batch
from shared.runtime.context import Context
from shared.runtime.definition import JobType
from shared.runtime.reactor import react
from shared.runtime.service import Service
from shared.runtime.worker import Worker

T = TypeVar("T")

STACK = "test"
INVOCATION_MS = 75_000


@dataclass
class World:
    """`handler` is the body of the `generic` job type; `runs` collects its contexts."""

    ports: Ports
    handler: Callable[[GenericPayload, Context], Awaitable[object]]
    runs: list[Context] = field(default_factory=list)
    seen: int = 0

    def __post_init__(self) -> None:
        async def recorded(payload: GenericPayload, context: Context) -> object:
            self.runs.append(context)
            return await self.handler(payload, context)

        self.type = JobType(GenericPayload, cast("object", recorded))  # type: ignore[arg-type]
        self.service = Service(self.ports)
        self.worker = cast("Worker[Payload]", Worker(self.type, self.ports, stack=STACK))

    @property
    def jobs(self) -> MemoryJobs:
        return cast("MemoryJobs", self.ports.jobs)

    @property
    def queues(self) -> MemoryQueues:
        return cast("MemoryQueues", self.ports.queues)

    @property
    def schedules(self) -> MemorySchedules:
        return cast("MemorySchedules", self.ports.schedules)

    async def submit(self, operation: str = "x", **options: object) -> Job:
        return await self.service.submit(GenericPayload(operation=operation), **options)  # type: ignore[arg-type]

    async def send(self, body: str) -> None:
        """A producer's own message."""
        assert not await self.ports.queues.send([Outgoing("generic", body)])

    async def react(self) -> None:
        fresh = self.jobs.stream[self.seen :]
        self.seen += len(fresh)
        assert await react(fresh, self.ports, stack=STACK) is None

    async def invoke(self, *, batch: int = 10, wait_s: int = 0) -> list[str] | None:
        """One Lambda invocation, if there is a message; → the failed message ids."""
        messages = await self.ports.queues.receive("generic", max_messages=batch, wait_s=wait_s)
        if not messages:
            return None
        ends_at = self.ports.now() + INVOCATION_MS
        failed = await run_batch(self.worker, messages, self.ports, job_type="generic", ends_at=ends_at, who="test")
        done = [message.receipt for message in messages if message.message_id not in failed]
        await self.ports.queues.delete("generic", done)
        return failed

    async def drain(self, *, rounds: int = 500, batch: int = 10) -> None:
        """React and invoke until nothing is left to react to or to receive."""
        for _ in range(rounds):
            await self.react()
            if not self.queues.held.get("generic"):
                return
            await self.invoke(batch=batch, wait_s=20)
        raise AssertionError(f"still not drained after {rounds} rounds: {self.queues.held}")

    async def row(self, job: Job) -> Job:
        return await self.service.get(job.tenant_id, job.job_id)


def in_world(
    handler: Callable[[GenericPayload, Context], Awaitable[object]],
    story: Callable[[World], Awaitable[T]],
    *,
    visibility_s: int = 90,
) -> T:
    """Run `story` in a fresh world whose `generic` jobs are done by `handler`."""

    async def main(now: Clock) -> T:
        queues = MemoryQueues(now, visibility_s=visibility_s, job_types={"generic"})
        return await story(World(memory_ports(now, seed=7, queues=queues), handler))

    return run_virtual(main)
