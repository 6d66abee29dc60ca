"""A whole Longshore in memory, in virtual time: reactor, queues, schedules and Lambda batches of any job types.

- It runs what runs in the cloud (`run_batch`, `react`, `Service`) on the ports in memory; only what is AWS's own is
  played here: taking messages from a queue, deleting those that are done, bringing the stream.
- The reactor and each invocation are processes of their own, and may die (`faults`); what they held comes back.
"""

import asyncio
import importlib
from collections.abc import Sequence
from typing import Final, Protocol, TypeVar, cast

from infra.testing.faults import Plan, Process, faulty
from shared.errors import InvalidInput
from shared.lanes import split
from shared.memory.jobs import MemoryJobs
from shared.memory.objects import MemoryObjects
from shared.memory.ports import memory_ports
from shared.memory.queues import MemoryQueues
from shared.memory.schedules import MemorySchedules
from shared.payloads import TYPES
from shared.payloads.base import Payload
from shared.ports import Clock, Message, Ports
from shared.runtime.batch import run_batch
from shared.runtime.definition import JobType
from shared.runtime.reactor import react
from shared.runtime.service import Service
from shared.runtime.worker import Worker

STACK: Final = "test"
INVOCATION_BEYOND_TIMEOUT_S: Final = 15
VISIBLE_AFTER_INVOCATION_S: Final = 30
ROUNDS_MAX: Final = 20_000


class Declared(Protocol):
    """A `JobType` of whichever payload."""

    @property
    def payload_model(self) -> type[Payload]: ...
    @property
    def type(self) -> str: ...


D = TypeVar("D", bound=Declared)


class World:
    """`jobs`, `queues`, `schedules` and `objects` are there to be looked at; `close` when done.

    Job types that are not given to `use` are those of `handlers/jobs/`, imported when their first job runs.
    """

    def __init__(self, ports: Ports, *, plan: Plan | None = None) -> None:
        self.ports = ports
        self.plan = plan or Plan()
        self.used: dict[str, Declared] = {}
        self.seen = 0
        """Records of the stream that the reactor is done with."""
        self.deaths = 0
        self._models_before: dict[str, type[Payload] | None] = {}

    @property
    def jobs(self) -> MemoryJobs:
        return cast("MemoryJobs", self.ports.jobs)

    @property
    def queues(self) -> MemoryQueues:
        return cast("MemoryQueues", self.ports.queues)

    @property
    def schedules(self) -> MemorySchedules:
        return cast("MemorySchedules", self.ports.schedules)

    @property
    def objects(self) -> MemoryObjects:
        return cast("MemoryObjects", self.ports.objects)

    @property
    def service(self) -> Service:
        return Service(self.ports)

    def use(self, job_type: D) -> D:
        """Run jobs of this type by this handler, one of `handlers/jobs/` or not."""
        name = job_type.type
        self._models_before.setdefault(name, TYPES.get(name))
        TYPES[name] = job_type.payload_model
        self.used[name] = job_type
        return job_type

    def close(self) -> None:
        """Forget the types that were given to `use`."""
        for name, model in self._models_before.items():
            del TYPES[name]
            TYPES.update({} if model is None else {name: model})
        self._models_before.clear()

    def handler_of(self, name: str) -> JobType[Payload]:
        """Raises InvalidInput if there is none."""
        if name not in self.used:
            if name not in TYPES:
                raise InvalidInput("no_such_type", f"no handler for {name!r}: give it to use() first", field="type")
            self.used[name] = getattr(importlib.import_module(f"handlers.jobs.{name}"), name)
        return cast("JobType[Payload]", self.used[name])

    # --- what AWS does ------------------------------------------------------------------------------------------------

    async def react(self) -> None:
        """Bring the stream's new records to the reactor, once."""
        fresh = self.jobs.stream[self.seen :]

        async def work() -> None:
            failed = await react(fresh, faulty(self.ports, process), stack=STACK)
            self.seen = self.seen + len(fresh) if failed is None else int(failed) - 1

        process = Process(self.plan)
        if fresh:
            await process.lives_through(work())

    async def invoke(self, queue: str, *, batch: int = 10, wait_s: int = 0) -> list[str] | None:
        """One Lambda invocation, if there is a message; → the ids of those that must come back (all, if it died)."""
        messages = await self.ports.queues.receive(queue, max_messages=batch, wait_s=wait_s)
        if not messages:
            return None
        failed = await self._invoked(queue, messages)
        done = [message.receipt for message in messages if message.message_id not in failed]
        await self.ports.queues.delete(queue, done)
        return failed

    async def _invoked(self, queue: str, messages: Sequence[Message]) -> list[str]:
        failed = [message.message_id for message in messages]
        process = Process(self.plan)
        ports = faulty(self.ports, process)
        job_type = self.handler_of(split(queue)[0])
        ends_at = ports.now() + 1000 * (job_type.payload_model.policy.timeout_s + INVOCATION_BEYOND_TIMEOUT_S)

        async def work() -> None:
            worker = Worker(job_type, ports, stack=STACK)
            failed[:] = await run_batch(worker, messages, ports, queue=queue, ends_at=ends_at, who="test")

        self.deaths += not await process.lives_through(work())
        return failed

    # --- until nothing is left to do ----------------------------------------------------------------------------------

    async def drain(self, *, with_scheduled: bool = True, batch: int = 10) -> None:
        """React and invoke until nothing is due any more; `with_scheduled`: until nothing ever will be."""
        for _ in range(ROUNDS_MAX):
            await self.react()
            names = list(self.queues.held)
            if any([await self.invoke(name, batch=batch) is not None for name in names]) or not self.is_reacted:
                continue
            due_at = self._next_at()
            if due_at is None or not with_scheduled:
                return
            await asyncio.sleep((due_at - self.ports.now()) / 1000 + 0.001)  # let others who are due then go first
        raise AssertionError(f"not drained after {ROUNDS_MAX} rounds; in the queues: {self.queues.held}")

    @property
    def is_reacted(self) -> bool:
        return self.seen == len(self.jobs.stream)

    def _next_at(self) -> int | None:
        """When a message or schedule that is there now will be due."""
        now = self.ports.now()
        held = [held.visible_at for queue in self.queues.held.values() for held in queue]
        return min(held + [at for at, _ in self.schedules.made.values() if at > now], default=None)


def new_world(now: Clock, *, plan: Plan | None = None) -> World:
    """Fresh and empty, the same every time."""
    timeout_s = max(model.policy.timeout_s for model in TYPES.values())
    visibility_s = timeout_s + INVOCATION_BEYOND_TIMEOUT_S + VISIBLE_AFTER_INVOCATION_S
    return World(memory_ports(now, seed=7, queues=MemoryQueues(now, visibility_s=visibility_s)), plan=plan)
