"""`longshore worker`: the same worker in a long-running process. Long polls, leases that beats extend, a graceful stop.

A stop strands nothing: no more messages are taken, those just received are handed back at once, runs have `grace_s` to
end; what still runs then is stopped, cleans up, and is queued again without losing an attempt.

A type's lanes are looked at in turn, the most urgent first, and only what they leave is taken from the next; but every
tenth look is first at the low one, for one job, so that it always moves.
"""

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Final, TypeVar

from shared.errors import LongshoreError, WorldFault
from shared.lanes import split
from shared.payloads.base import Payload
from shared.ports import Message, Ports
from shared.runtime.beats import LEASE_MS, Beats
from shared.runtime.definition import JobType
from shared.runtime.floor import Floor
from shared.runtime.host import Host
from shared.runtime.logs import get_logger
from shared.runtime.run import Run, Stop
from shared.runtime.worker import Acknowledge, Hide, Worker

LONG_POLL_S: Final = 10
"""Half of what SQS allows: a stopping process waits for its open polls, since a poll cut off may hide messages."""

LANES_POLL_S: Final = 1
"""Of a type with lanes, while nothing is in any: so long may an urgent job wait for an idle worker's look."""

LOW_EVERY: Final = 10
HIDDEN_BEYOND_LEASE_S: Final = 30
RECEIVE_PAUSE_S: Final = 5.0
RECEIVE_BATCH: Final = 10
ROOM_WITHIN_S: Final = 0.02
DELETE_WITHIN_S: Final = 0.05
DELETE_BATCH: Final = 10


@dataclass(frozen=True, slots=True)
class Assignment:
    """Serve this type with up to `concurrency` jobs at a time."""

    job_type: JobType[Payload]
    concurrency: int


async def serve(
    assignments: Sequence[Assignment],
    ports: Ports,
    beats: Beats,
    *,
    stack: str,
    who: str,
    stop: asyncio.Event,
    grace_s: float = 25.0,
) -> None:
    """Work until `stop` is set, then end gracefully. Returns when nothing runs any more."""
    house = _House(grace_s=grace_s, stop=stop)
    floor = Floor(before_alone=house.delete_done)
    solitary = sum(assignment.concurrency for assignment in assignments) == 1
    for assignment in assignments:
        host = Host(
            who=who,
            lease_until=lambda: ports.now() + LEASE_MS,
            time_left_s=lambda: float("inf"),
            beats=beats,
            floor=floor,
            solitary=solitary,
            started=house.began,
        )
        house.posts.append(_Post(Worker(assignment.job_type, ports, stack=stack), ports, assignment, host))
    get_logger().info("worker_ready", who=who, types={post.name: post.concurrency for post in house.posts})
    await house.work()
    get_logger().info("worker_stopped", who=who)


@dataclass(slots=True)
class _House:
    """All posts of the process, and how it stops."""

    grace_s: float
    stop: asyncio.Event
    posts: list["_Post"] = field(default_factory=list)
    runs: list[Run] = field(default_factory=list)
    closed: bool = False

    async def work(self) -> None:
        """Raises what a post raised, but only after a stop as graceful as any."""
        try:
            async with asyncio.TaskGroup() as group:
                for post in self.posts:
                    group.create_task(post.receive_until(self.stop))
                group.create_task(self._sweep())
                group.create_task(self._close_when_stopped())
        finally:
            await self._close()
            await self.delete_done()

    def began(self, run: Run) -> None:
        """Told of every run, also of one that had to wait until the others were stopped."""
        self.runs.append(run)
        if self.closed:
            run.halt(Stop.SHUTDOWN)

    async def delete_done(self) -> None:
        await asyncio.gather(*(lane.done.flush() for post in self.posts for lane in post.lanes))

    async def _close_when_stopped(self) -> None:
        """The grace begins with the stop, not after the open polls."""
        await self.stop.wait()
        await self._close()

    async def _close(self) -> None:
        if tasks := [task for post in self.posts for task in post.running]:
            await asyncio.wait(tasks, timeout=self.grace_s)
        self.closed = True
        for run in self.runs:
            run.halt(Stop.SHUTDOWN)
        if late := [task for task in tasks if not task.done()]:
            await asyncio.wait(late)

    async def _sweep(self) -> None:
        """Forget runs that have ended, until the stop."""
        while not self.stop.is_set():
            self.runs[:] = [run for run in self.runs if not run.finished]
            await _either(self.stop, LONG_POLL_S)


@dataclass(frozen=True, slots=True)
class _Lane:
    """One queue of a type."""

    name: str
    host: Host
    done: "_Deletions"


class _Post:
    """Where one type is served in this process."""

    def __init__(self, worker: Worker[Payload], ports: Ports, assignment: Assignment, host: Host) -> None:
        self.name = assignment.job_type.type
        self.concurrency = assignment.concurrency
        self.running: set[asyncio.Task[None]] = set()
        self.lanes: Sequence[_Lane] = ()
        self._worker = worker
        self._ports = ports
        self._host = host
        self._looks = 0

    async def receive_until(self, stop: asyncio.Event) -> None:
        stopping = asyncio.create_task(stop.wait())
        while not stop.is_set():
            await self._room(stopping)
            if stop.is_set():
                return
            free = self.concurrency - len(self.running)
            for lane, message in await self._receive(min(free, RECEIVE_BATCH), stop):
                if stop.is_set():
                    await self._hide(lane, message, Hide(0, "stopping"))
                    continue
                task = asyncio.create_task(self._one(lane, message))
                self.running.add(task)
                task.add_done_callback(self.running.discard)

    async def _room(self, stopping: "asyncio.Task[bool]") -> None:
        """Until a job may begin, and for a moment more: others are likely to end with it, and one poll serves all."""
        if len(self.running) == self.concurrency:
            await asyncio.wait({*self.running, stopping}, return_when=asyncio.FIRST_COMPLETED)
        if self.running and self.concurrency - len(self.running) < RECEIVE_BATCH:
            await asyncio.wait(self.running, timeout=ROOM_WITHIN_S)

    async def _receive(self, most: int, stop: asyncio.Event) -> Sequence[tuple[_Lane, Message]]:
        try:
            self.lanes = self.lanes or [self._lane(queue) for queue in await self._ports.queues.queues_of(self.name)]
            self._looks += 1
            for lane, count, wait_s in looks(self.lanes, most, self._looks):
                if found := await self._ports.queues.receive(lane.name, max_messages=count, wait_s=wait_s):
                    return [(lane, message) for message in found]
        except WorldFault as fault:
            get_logger().warning("receive_failed", type=self.name, reason=str(fault))
            await _either(stop, RECEIVE_PAUSE_S)
        return ()

    def _lane(self, queue: str) -> _Lane:
        host = replace(self._host, lane=split(queue)[1], hide=_hidden(queue))
        return _Lane(queue, host, _Deletions(self._ports, queue))

    async def _one(self, lane: _Lane, message: Message) -> None:
        match await self._worker.handle(message, lane.host):
            case Acknowledge(reason):
                get_logger().debug("acknowledged", message_id=message.message_id, reason=reason)
                await lane.done.add(message.receipt)
            case Hide() as hide:
                get_logger().info("hidden", message_id=message.message_id, seconds=hide.seconds, reason=hide.reason)
                await self._hide(lane, message, hide)

    async def _hide(self, lane: _Lane, message: Message, hide: Hide) -> None:
        try:
            await self._ports.queues.hide(lane.name, message.receipt, seconds=hide.seconds)
        except LongshoreError as error:  # it comes back all the same, when its visibility runs out
            get_logger().warning("hide_failed", message_id=message.message_id, reason=str(error))


L = TypeVar("L")


def looks(lanes: Sequence[L], most: int, number: int) -> Iterator[tuple[L, int, int]]:
    """The `number`-th round of looks at a type's lanes, the most urgent first: where, for how many messages, and for
    how many seconds. It ends with the first that finds any."""
    if len(lanes) == 1:
        yield lanes[0], most, LONG_POLL_S
        return
    if number % LOW_EVERY == 0:
        yield lanes[-1], 1, 0
    yield from ((lane, most, 0) for lane in lanes)
    yield lanes[-2], most, LANES_POLL_S


class _Deletions:
    """Receipts of settled messages, deleted by the ten or after a moment. One that is not deleted is refused later."""

    def __init__(self, ports: Ports, name: str) -> None:
        self._ports = ports
        self._name = name
        self._receipts: list[str] = []
        self._soon: asyncio.Task[None] | None = None

    async def add(self, receipt: str) -> None:
        self._receipts.append(receipt)
        if len(self._receipts) >= DELETE_BATCH:
            await self.flush()
        elif self._soon is None or self._soon.done():
            self._soon = asyncio.create_task(self._flush_soon())

    async def flush(self) -> None:
        receipts, self._receipts = self._receipts, []
        if not receipts:
            return
        try:
            await self._ports.queues.delete(self._name, receipts)
        except LongshoreError as error:
            get_logger().warning("delete_failed", type=self._name, messages=len(receipts), reason=str(error))

    async def _flush_soon(self) -> None:
        await asyncio.sleep(DELETE_WITHIN_S)
        await self.flush()


class _hidden:  # noqa: N801  # reads as a function where it is used; bound to its queue's name, not to a loop variable
    """Keep a message invisible somewhat longer than the lease."""

    def __init__(self, name: str) -> None:
        self._name = name

    async def __call__(self, ports: Ports, message: Message) -> None:
        await ports.queues.hide(self._name, message.receipt, seconds=LEASE_MS // 1000 + HIDDEN_BEYOND_LEASE_S)


async def _either(stop: asyncio.Event, seconds: float) -> None:
    """Wait for the stop, but not longer than `seconds`."""
    try:
        await asyncio.wait_for(stop.wait(), seconds)
    except TimeoutError:
        return
