"""A job now, in the caller's own process, or through its queue: one handler, one validation, one row, one result.

    async with executor(resize) as jobs:
        job = await jobs.execute(ResizePayload(key="cat.png"))

    now=True    here: the row is created RUNNING, this process's beats extend its lease
    now=False   in its queue
    now=None    by load: here while fewer than `at_once_max` runs of this executor are under way, else in its queue;
                one of low priority can wait, and goes to its queue

- A process that dies is taken over from the queue when its lease is over. It did not run alone: no attempt is spent.
- What is throttled or paused goes to its queue, whoever says now: there it is let in when its turn comes.
- What is to be tried again, put off or gone on with does so through the queue.
- A caller who no longer waits (cancelled, `asyncio.timeout`) hands the job to the queue; so does `close`.
"""

import asyncio
import os
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final, Protocol, cast

from shared.admission import job_id_for, new_job
from shared.delivery import Delivery, Do, decide
from shared.envelope import Envelope, seal
from shared.errors import Conflict, InvalidInput
from shared.job import Job
from shared.moves import Lease, claim, start
from shared.payloads.base import Payload
from shared.ports import Applied, Ports, Refused
from shared.runtime.attempt import Attempt
from shared.runtime.beats import LEASE_MS, Beats, HeartThread
from shared.runtime.definition import JobType
from shared.runtime.documents import keep_payload
from shared.runtime.floor import Floor
from shared.runtime.host import Host
from shared.runtime.patience import patiently
from shared.runtime.pause import Pauses
from shared.runtime.run import Run, Stop
from shared.runtime.service import Service
from shared.runtime.settings import Settings, read_settings
from shared.runtime.wiring import ports_of

AT_ONCE_MAX: Final = 4

START_MS: Final = 30_000
"""Left of the first lease when a start is given up whose answer does not come."""


class Declared(Protocol):
    """A `JobType` of whichever payload."""

    @property
    def type(self) -> str: ...


@asynccontextmanager
async def executor(
    *job_types: Declared, settings: Settings | None = None, at_once_max: int = AT_ONCE_MAX
) -> AsyncIterator["Executor"]:
    """An `Executor` on AWS as the environment says (`LONGSHORE_STACK` …), for as long as the block lasts."""
    known = settings or read_settings()
    who = f"{socket.gethostname()}-{os.getpid()}"
    async with ports_of(known) as ports, HeartThread(lambda: ports_of(known)) as beats:
        made = Executor(job_types, ports, beats, who=who, at_once_max=at_once_max)
        try:
            yield made
        finally:
            await made.close()


class Executor:
    """Runs jobs of `job_types` in this process. `service` looks at jobs, cancels them and fetches their results.

    For one event loop. `who` goes into the jobs' history.
    """

    def __init__(
        self,
        job_types: tuple[Declared, ...],
        ports: Ports,
        beats: Beats,
        *,
        who: str,
        at_once_max: int = AT_ONCE_MAX,
    ) -> None:
        self.service = Service(ports)
        self._ports = ports
        self._beats = beats
        self._who = who
        self._at_once_max = at_once_max
        self._attempts = {one.type: Attempt(cast("JobType[Payload]", one), ports) for one in job_types}
        self._pauses = Pauses(ports)
        self._closed = False
        self._under_way: dict[asyncio.Task[Job], _Watch] = {}

    async def execute(self, payload: Payload, *, now: bool | None = None, idempotency_key: str | None = None) -> Job:
        """→ the row afterwards: over if it ran here to its end, else QUEUED, or as it is where it was there already.

        Raises InvalidInput("no_handler") for `now=True` and a type that this executor was not given; Conflict if the id
        or key stands for another payload; WorldFault. A job that fails is no error here: see the row's `status`.
        """
        attempt = self._attempts.get(payload.type)
        if now and attempt is None:
            raise InvalidInput("no_handler", f"one of {', '.join(self._attempts)}, to be run here", field="type")
        must_queue = await self._must_queue(payload) or self._closed
        if attempt is None or must_queue or not (self._is_free_for(payload) if now is None else now):
            return await self.service.submit(payload, idempotency_key=idempotency_key)
        watch = _Watch()
        making = asyncio.ensure_future(self._made(attempt, payload, idempotency_key, watch))
        self._under_way[making] = watch
        making.add_done_callback(self._under_way.pop)
        try:
            return await asyncio.shield(making)
        except asyncio.CancelledError:
            watch.stop()
            await asyncio.wait({making})
            raise

    async def close(self) -> None:
        """Hand what still runs to its queue, and whatever comes: as of a stopped worker, no attempt is spent."""
        self._closed = True
        for watch in self._under_way.values():
            watch.stop()
        if self._under_way:
            await asyncio.wait({*self._under_way})

    async def _must_queue(self, payload: Payload) -> bool:
        """What is throttled or paused has to be let in, and that is the queue's to do."""
        if payload.effective_policy().throttles:
            return True
        return await self._pauses.of(payload.tenant_id, payload.type) is not None

    def _is_free_for(self, payload: Payload) -> bool:
        return payload.priority != "low" and len(self._under_way) < self._at_once_max

    async def _made(self, attempt: Attempt[Payload], payload: Payload, key: str | None, watch: "_Watch") -> Job:
        ports, now = self._ports, self._ports.now()
        dice = bytes.fromhex(ports.token() + ports.token())
        envelope = seal(payload, job_id_for(payload, key, now, dice))
        lease = Lease(token=ports.token(), until=now + LEASE_MS, alone=False, who=self._who)
        begun = await begin(ports, envelope, lease, now=now)
        if isinstance(begun, Applied):
            begun = await attempt.make(begun.job, envelope, None, self._host(watch))
        if begun.job is None:
            raise Conflict("vanished", "the job was there and is gone: submit again", field="job_id")
        if (begun.job.type, begun.job.payload_hash) != (envelope.type, envelope.payload_hash):
            raise Conflict("conflict", f"{begun.job.job_id} is of another type or payload", field="job_id")
        return begun.job

    def _host(self, watch: "_Watch") -> Host:
        return Host(
            who=self._who,
            lease_until=lambda: self._ports.now() + LEASE_MS,
            time_left_s=lambda: float("inf"),
            beats=self._beats,
            floor=Floor(),
            solitary=False,
            started=watch.began,
        )


async def begin(ports: Ports, envelope: Envelope[Payload], lease: Lease, *, now: int) -> Applied | Refused:
    """Start the job if it is new, claim it if it is queued and due. Refused: it is not to be run here; with its row."""
    job = new_job(envelope, now=now, token=lease.token)
    await keep_payload(ports, job, envelope.body)
    starting = start(job, lease)
    answer = await patiently(lambda: ports.jobs.apply(starting), ports, until=lease.until - START_MS)
    row = answer.job
    if row is None or isinstance(answer, Applied):
        return answer
    if decide(row, Delivery(job.type, row.seq, 1, job.payload_hash), now).do is not Do.CLAIM:
        return answer
    claiming = claim(row.tenant_id, row.job_id, job_type=row.type, seq=row.seq, lease=lease, now=now)
    return await patiently(lambda: ports.jobs.apply(claiming), ports, until=lease.until - START_MS)


@dataclass(slots=True)
class _Watch:
    """One run, which may be stopped before it has begun."""

    run: Run | None = None
    stopped: bool = False

    def began(self, run: Run) -> None:
        self.run = run
        if self.stopped:
            run.halt(Stop.SHUTDOWN)

    def stop(self) -> None:
        self.stopped = True
        if self.run is not None:
            self.run.halt(Stop.SHUTDOWN)
