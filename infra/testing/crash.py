"""Every crash point of a scenario: once undisturbed, its calls to the world counted, then once for each fault at each.

Whatever happens, when all is quiet each job must have ended as it did undisturbed: once, what it published readable,
no message left over, none dead, none in quarantine. What is no death must not have cost an attempt.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final, Protocol

from structlog.testing import capture_logs

from infra.testing.faults import KILLS, Fault, Plan, Process, faulty
from infra.testing.world import World
from shared.errors import LongshoreError
from shared.job import Job
from shared.payloads.base import Payload
from shared.payloads.results import ErrorBody
from shared.ports import Outgoing
from shared.runtime.service import Service
from shared.status import Status

STARTS_MAX: Final = 10
PATIENCE_S: Final = 24 * 3600
LEFT_MAX: Final = 100


class Producer:
    """Who plays a scenario: a process that is started again, from the scenario's beginning, until it comes to its end.

    All its methods may be repeated: a job without an id gets one from its place in the scenario.
    """

    def __init__(self, world: World, process: Process) -> None:
        self.ports = faulty(world.ports, process)
        self.service = Service(self.ports)
        self._world = world
        self._submitted = 0

    async def submit(self, payload: Payload, *, delay_s: float = 0.0) -> Job:
        """→ the job's row, as it is if it was accepted before."""
        self._submitted += 1
        key = None if payload.job_id else f"crash-point-{self._submitted}"
        return await self.service.submit(payload, idempotency_key=key, delay_s=delay_s)

    async def send(self, job_type: str, body: str) -> None:
        """A bare message. Let it name its `job_id`: it may be sent twice."""
        await self.ports.queues.send([Outgoing(job_type, body)])

    async def cancel(self, job: Job) -> Job:
        return await self.service.cancel(job.tenant_id, job.job_id, who="test")

    async def redrive(self, job: Job) -> Job:
        return await self.service.redrive(job.tenant_id, job.job_id, who="test")

    async def until(self, job: Job, *statuses: Status) -> Job:
        """Wait until the job is in one of `statuses`, or over. → its row. Its looking is no crash point."""
        waited_s = 0
        while waited_s < PATIENCE_S:
            row = self._world.jobs.rows[job.key]
            if row.status in statuses or row.status.is_terminal:
                return row
            pause_s = 1 + waited_s // 60
            await asyncio.sleep(pause_s)
            waited_s += pause_s
        raise AssertionError(f"{job.job_id} is still {row.status} after a day, not {' or '.join(statuses)}")


Scenario = Payload | Callable[[Producer], Awaitable[None]]
"""A payload to submit, or a story; it is told from its beginning again when its producer dies."""


class Kit(Protocol):
    """What the crash points need of a `Longshore`."""

    @property
    def world(self) -> World: ...
    def run(self, story: Awaitable[None]) -> None: ...
    def close(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Ending:
    """How a job ended."""

    status: Status
    error: str | None
    """The code, where it has failed: what is left of an earlier attempt's says nothing."""
    attempts: int


def try_crash_points(make: Callable[[Plan], Kit], scenario: Scenario, check: Callable[[Kit], None]) -> int:
    """Play `scenario` in a world of `make`, once undisturbed, then for each fault at each call; → how many points.

    `check(kit)` looks at each when all is quiet. Raises AssertionError, or what `check` raised, with the point's story.
    """
    calm = Plan()
    expected = _played(make(calm), calm, scenario, check, None)
    points = [Plan(fault, at) for at in range(1, len(calm.calls) + 1) for fault in Fault]
    for plan in points:
        _played(make(plan), plan, scenario, check, expected)
    return len(points)


def _played(
    kit: Kit, plan: Plan, scenario: Scenario, check: Callable[[Kit], None], expected: Mapping[str, Ending] | None
) -> Mapping[str, Ending]:
    with _told(plan):
        try:
            kit.run(_play(kit.world, scenario))
            endings: dict[str, Ending] = {}
            kit.run(_judge(kit.world, endings))
            if expected is not None:
                _compare(endings, expected, plan)
            check(kit)
        finally:
            kit.close()
    return endings


async def _play(world: World, scenario: Scenario) -> None:
    producing = asyncio.ensure_future(_produce(world, scenario))
    while not producing.done():
        await world.drain()
        await asyncio.wait({producing}, timeout=1)
    producing.result()
    await world.drain()


async def _produce(world: World, scenario: Scenario) -> None:
    async def told(producer: Producer) -> None:
        if isinstance(scenario, Payload):
            await producer.submit(scenario)
        else:
            await scenario(producer)

    for _ in range(STARTS_MAX):
        process = Process(world.plan)
        if await process.lives_through(told(Producer(world, process))):
            return
    raise AssertionError(f"the scenario did not come to its end in {STARTS_MAX} starts")


# --- judgement --------------------------------------------------------------------------------------------------------


async def _judge(world: World, endings: dict[str, Ending]) -> None:
    """Note how every job has ended. Raises AssertionError for what is wrong however they should have."""
    for job in world.jobs.rows.values():
        if not job.status.is_terminal:
            raise AssertionError(f"{job.job_id} has not ended: it is {job.status}")
        await _check_result(world, job)
        failed = job.status is Status.FAILED and job.error is not None
        error = ErrorBody.model_validate_json(job.error or "").code if failed else None
        endings[job.key] = Ending(job.status, error, job.attempts)
    left = {
        "held": {name: held for name, held in world.queues.held.items() if held},
        "dead letters": {name: dead for name, dead in world.queues.dead_letters.items() if dead},
        "in quarantine": await world.ports.side.query("quarantine", limit=LEFT_MAX),
    }
    for where, found in left.items():
        if found:
            raise AssertionError(f"messages are left, {where}: {found}")


async def _check_result(world: World, job: Job) -> None:
    """What is published can be read, and was written by the run that settled the job."""
    if job.result is not None and not job.result.split("/")[3].startswith(f"{job.epoch}-"):
        raise AssertionError(f"{job.job_id}: run {job.epoch} published the result of another: {job.result}")
    try:
        await world.service.result(job)
    except LongshoreError as error:
        raise AssertionError(f"{job.job_id}: its result cannot be read") from error


def _compare(endings: Mapping[str, Ending], expected: Mapping[str, Ending], plan: Plan) -> None:
    """A death may cost an attempt, even the last; nothing else that the world does."""
    for key in endings.keys() | expected.keys():
        was, now = expected.get(key), endings.get(key)
        errors = {was and was.error} | ({"worker_died"} if plan.fault in KILLS else set())
        if was is None or now is None or was.status is not now.status or now.error not in errors:
            raise AssertionError(f"{key} ended otherwise: {now}; undisturbed: {was}")
        if now.attempts > was.attempts and plan.fault not in KILLS:
            raise AssertionError(f"{key}: an attempt was spent on what is no death: {now}; undisturbed: {was}")


@contextmanager
def _told(plan: Plan) -> Iterator[None]:
    """Logs are kept, and shown with the calls if anything goes wrong."""
    with capture_logs() as logs:
        try:
            yield
            if any(entry["event"] == "worker_bug" for entry in logs):
                raise AssertionError("the worker itself stumbled")
        except BaseException as error:
            point = f"{plan.fault} call {plan.at}" if plan.at else "undisturbed"
            calls = "\n".join(
                f"  {number:3} {name}{'  <--' if number == plan.at else ''}"
                for number, name in enumerate(plan.calls, 1)
            )
            error.add_note(f"{point}:\n{calls}\nlogs:\n" + "\n".join(f"  {entry}" for entry in logs))
            raise
