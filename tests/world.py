"""The test kit's world with one job type, `generic`, done by whatever handler a test brings."""

from collections.abc import Awaitable, Callable
from typing import TypeVar, cast

from infra.testing.world import INVOCATION_BEYOND_TIMEOUT_S, STACK
from infra.testing.world import World as AnyWorld
from shared.job import Job
from shared.lanes import Priority
from shared.memory.clock import run_virtual
from shared.memory.ports import memory_ports
from shared.memory.queues import MemoryQueues
from shared.payloads.base import Payload
from shared.payloads.generic import GenericPayload
from shared.ports import Clock, Outgoing, Ports
from shared.runtime.context import Context
from shared.runtime.definition import JobType
from shared.runtime.worker import Worker

__all__ = ["INVOCATION_MS", "STACK", "World", "in_world"]

T = TypeVar("T")

INVOCATION_MS = 1000 * (GenericPayload.policy.timeout_s + INVOCATION_BEYOND_TIMEOUT_S)


class World(AnyWorld):
    """`handler` is the body of the `generic` job type; `runs` collects its contexts."""

    def __init__(self, ports: Ports, handler: Callable[[GenericPayload, Context], Awaitable[object]]) -> None:
        super().__init__(ports)
        self.handler = handler
        self.runs: list[Context] = []

        async def recorded(payload: GenericPayload, context: Context) -> object:
            self.runs.append(context)
            return await self.handler(payload, context)

        self.type = self.use(JobType(GenericPayload, cast("object", recorded)))  # type: ignore[arg-type]  # may return nonsense

    @property
    def worker(self) -> Worker[Payload]:
        return Worker(self.handler_of("generic"), self.ports, stack=STACK)

    async def submit(self, operation: str = "x", *, priority: Priority = "normal", **options: object) -> Job:
        payload = GenericPayload(operation=operation, priority=priority)
        return await self.service.submit(payload, **options)  # type: ignore[arg-type]

    async def send(self, body: str) -> None:
        """A producer's own message."""
        assert not await self.ports.queues.send([Outgoing("generic", body)])

    async def invoke(self, queue: str = "generic", *, batch: int = 10, wait_s: int = 0) -> list[str] | None:
        return await super().invoke(queue, batch=batch, wait_s=wait_s)

    async def row(self, job: Job) -> Job:
        return await self.service.get(job.tenant_id, job.job_id)


def in_world(
    handler: Callable[[GenericPayload, Context], Awaitable[object]],
    story: Callable[[World], Awaitable[T]],
    *,
    visibility_s: int = 90,
    lanes: bool = False,
) -> T:
    """Run `story` in a fresh world whose `generic` jobs are done by `handler`."""

    async def main(now: Clock) -> T:
        queues = MemoryQueues(now, visibility_s=visibility_s, job_types={"generic"}, lanes={"generic"} if lanes else ())
        return await story(World(memory_ports(now, seed=7, queues=queues), handler))

    return run_virtual(main)
