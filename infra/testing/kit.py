"""What a job's author tests with: the fixture `longshore`, a whole Longshore in memory and virtual time.

Everything is called from plain `def` tests. Time passes only in `clock.advance`, in handlers that wait, and where
`drain(with_scheduled=True)` goes on to what is due later; none of it takes any real time.
"""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass
from typing import Final, TypeVar, cast

from infra.testing.crash import Scenario, try_crash_points
from infra.testing.enqueued import Type, described, enqueued, matching, name_of
from infra.testing.faults import Plan
from infra.testing.perform import performed
from infra.testing.world import D, Declared, World, new_world
from shared.errors import InvalidInput
from shared.job import Job, read_history_entry
from shared.memory.clock import VirtualTimeLoop
from shared.memory.secrets import MemorySecrets
from shared.outcomes import Outcome
from shared.payloads import TYPES
from shared.payloads.base import Payload
from shared.payloads.results import Response
from shared.ports import Outgoing, Ports
from shared.runtime.service import Service
from shared.status import Event
from shared.view import JobView, view_of

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Drained:
    """How often each thing happened to a job while the queues were drained. `died`: invocations, not jobs."""

    succeeded: int = 0
    partly_succeeded: int = 0
    failed: int = 0
    retried: int = 0
    snoozed: int = 0
    proceeded: int = 0
    cancelled: int = 0
    died: int = 0


COUNTED: Final = {
    Event.SUCCEED: "succeeded",
    Event.SUCCEED_PARTLY: "partly_succeeded",
    Event.FAIL: "failed",
    Event.BURY: "failed",
    Event.RETRY: "retried",
    Event.SNOOZE: "snoozed",
    Event.PROCEED: "proceeded",
    Event.CANCELLED: "cancelled",
}


class VirtualClock:
    """It begins at 2026-01-01T00:00:00Z."""

    def __init__(self, loop: VirtualTimeLoop, run: Callable[[Coroutine[object, object, None]], None]) -> None:
        self.now: Callable[[], int] = loop.now
        """→ milliseconds since the Unix epoch"""
        self._run = run

    def advance(self, seconds: float) -> None:
        """Let time pass. What becomes due meanwhile is run by the next `drain`."""
        self._run(asyncio.sleep(seconds))


class Longshore:
    """`ports` and `service` are for your own code that submits jobs: `longshore.run(order(longshore.service))`."""

    def __init__(self, *, plan: Plan | None = None, tell_points: Callable[[int], None] = lambda _: None) -> None:
        self._runner = asyncio.Runner(loop_factory=VirtualTimeLoop)
        loop = cast("VirtualTimeLoop", self._runner.get_loop())
        self._tell_points = tell_points
        self.world: World = new_world(loop.now, plan=plan)
        self.clock = VirtualClock(loop, self.run)

    @property
    def ports(self) -> Ports:
        return self.world.ports

    @property
    def service(self) -> Service:
        return self.world.service

    def close(self) -> None:
        self._runner.close()
        self.world.close()

    def run(self, story: Awaitable[T]) -> T:
        """Await it in virtual time."""

        async def awaited() -> T:
            return await story

        return self._runner.run(awaited())

    def use(self, job_type: D) -> D:
        """Run this type's jobs by this handler: one that is not in `handlers/jobs/`, or instead of the one there.

        A decorator, too. → the job type.
        """
        return self.world.use(job_type)

    # --- what producers and operators do ------------------------------------------------------------------------------

    def submit(self, payload: Payload, *, delay_s: float = 0.0, idempotency_key: str | None = None) -> JobView:
        """Accept a job; nothing runs before `drain`. Raises as `Service.submit`; InvalidInput for an unknown type."""
        if not isinstance(payload, TYPES.get(payload.type, ())):
            raise InvalidInput("no_such_type", f"no handler for {payload.type!r}: give it to use() first", field="type")
        return self._view(self.run(self.service.submit(payload, delay_s=delay_s, idempotency_key=idempotency_key)))

    def send(self, job_type: Type, body: str) -> None:
        """A bare message, as a producer in any language sends it."""
        self.run(self.ports.queues.send([Outgoing(name_of(job_type), body)]))

    def cancel(self, job: str | JobView) -> JobView:
        return self._view(self.run(self.service.cancel(*_place(job), who="test")))

    def redrive(self, job: str | JobView) -> JobView:
        return self._view(self.run(self.service.redrive(*_place(job), who="test")))

    def put_secret(self, name: str, value: str, *, tenant_id: str = "default") -> None:
        """What `context.secret(name)` gives, and a payload's `secret://NAME` stands for."""
        self.run(self.ports.secrets.put(f"{tenant_id}/{name}", value))

    def upload(self, name: str, body: bytes, *, tenant_id: str = "default") -> str:
        """A file that a payload names, as `POST /uploads` keeps it; → its `s3://` URL, which `name` ends."""
        key = f"artifacts/{tenant_id}/uploads/{len(self.world.objects.bodies)}/{name}"
        self.world.objects.bodies[key] = body
        return f"s3://{self.ports.objects.bucket}/{key}"

    # --- running jobs -------------------------------------------------------------------------------------------------

    def drain(self, *, with_scheduled: bool = False) -> Drained:
        """Run all that is due now, and what follows at once. `with_scheduled`: go on through retries, delays and
        schedules, however long, until no job has anything left to do."""
        begun, deaths = len(self.world.jobs.stream), self.world.deaths
        self.run(self.world.drain(with_scheduled=with_scheduled))
        counts = dict.fromkeys(COUNTED.values(), 0)
        for record in self.world.jobs.stream[begun:]:
            event = _event(record.old, record.new)
            if event in COUNTED:
                counts[COUNTED[event]] += 1
        return Drained(**counts, died=self.world.deaths - deaths)

    def perform(
        self, job_type: Declared, payload: Payload, *, attempt: int = 1, checkpoint: str | None = None
    ) -> Outcome:
        """One run of a job, apart from all others; → how it ended. Files, secrets and `once` are this world's."""
        self.use(job_type)
        return self.run(performed(self.world, payload, attempt=attempt, checkpoint=checkpoint))

    def crash_points(self, scenario: Scenario, check: Callable[["Longshore"], None] = lambda _: None) -> int:
        """Play `scenario` (a payload, or an `async def` story with a `Producer`) in fresh worlds with this one's job
        types, secrets and files, dying, throttled, unanswered and repeated at each call; → how many points.

        `check(longshore)` looks at each when all is quiet. Raises AssertionError if a job ends otherwise at any.
        """
        points = try_crash_points(self._another, scenario, cast("Callable[[object], None]", check))
        self._tell_points(points)
        return points

    # --- looking ------------------------------------------------------------------------------------------------------

    def job(self, job: str | JobView) -> JobView:
        """As it is now. Raises NotFound."""
        return self._view(self.run(self.service.get(*_place(job))))

    def result(self, job: str | JobView) -> Response:
        """The standard response of a job that is over: `data.result` is what its handler returned. Raises NotFound."""
        return self.run(self._result(*_place(job)))

    def artifact(self, url: str) -> bytes:
        """A file that a job has stored, by its `s3://` URL. Raises KeyError."""
        return self.world.objects.bodies[url.removeprefix(f"s3://{self.ports.objects.bucket}/")]

    def all_enqueued(self, job_type: Type | None = None) -> list[JobView]:
        """The jobs that wait for their turn, retries and delayed ones too, in the order of submission."""
        jobs = self.run(enqueued(self.world))
        return [self._view(one.job) for one in (jobs if job_type is None else matching(jobs, job_type, {}))]

    def assert_enqueued(self, job_type: Type, **payload_fields: object) -> JobView:
        """A job of this type waits for its turn whose payload has these values; → the first.

        A field's value may be given as the model has it, or as JSON has it. Raises InvalidInput for an unknown field.
        """
        __tracebackhide__ = True
        jobs = self.run(enqueued(self.world))
        for one in matching(jobs, job_type, payload_fields):
            return self._view(one.job)
        raise AssertionError(f"not enqueued: {described(job_type, payload_fields, jobs, self.world)}")

    def refute_enqueued(self, job_type: Type, **payload_fields: object) -> None:
        """No job of this type with these values waits for its turn."""
        __tracebackhide__ = True
        jobs = self.run(enqueued(self.world))
        if matching(jobs, job_type, payload_fields):
            raise AssertionError(f"enqueued: {described(job_type, payload_fields, jobs, self.world)}")

    # --- inside -------------------------------------------------------------------------------------------------------

    def _another(self, plan: Plan) -> "Longshore":
        other = Longshore(plan=plan)
        for job_type in self.world.used.values():
            other.use(job_type)
        other.world.objects.bodies.update(self.world.objects.bodies)
        mine, its = cast("MemorySecrets", self.ports.secrets), cast("MemorySecrets", other.ports.secrets)
        its.values.update(mine.values)
        return other

    async def _result(self, tenant_id: str, job_id: str) -> Response:
        return await self.service.result(await self.service.get(tenant_id, job_id))

    def _view(self, job: Job) -> JobView:
        return view_of(job, bucket=self.ports.objects.bucket)


def _place(job: str | JobView) -> tuple[str, str]:
    return ("default", job) if isinstance(job, str) else (job.tenant_id, job.job_id)


def _event(old: Job | None, new: Job | None) -> Event | None:
    """Of a write that ended a run, or took a job out of the queue for good."""
    if new is None or old is None or old.status is new.status:
        return None
    return read_history_entry(new.history[-1]).event
