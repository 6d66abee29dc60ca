"""One attempt at a claimed job: run the handler, judge its end, publish, settle.

The result is written first, under a key of this run's own; the settlement publishes its key. A settlement that the
world refuses is tried again until the lease is over: what was done is worth the patience.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from functools import partial
from typing import Final, Generic, TypeVar

from pydantic import BaseModel, JsonValue
from pydantic_core import from_json
from structlog.stdlib import BoundLogger

from shared.envelope import Envelope, stored_payload
from shared.errors import MESSAGE_BYTES_MAX, LongshoreError, WorldFault
from shared.job import RESULT_NAME, Job
from shared.lanes import priority_of
from shared.moves import Move, forgotten
from shared.moves import settle as settlement
from shared.outcomes import Done, Failed, Outcome, Partial, Snooze, Stopped, WaitFor
from shared.payloads.base import Payload
from shared.payloads.results import ProcessResult
from shared.ports import Applied, Message, Ports, Refused
from shared.retry import Policy
from shared.runtime.breaker import Circuits, of_type
from shared.runtime.calling import called
from shared.runtime.children import begin_wait
from shared.runtime.context import Context
from shared.runtime.definition import JobType
from shared.runtime.documents import keep_failure, keep_history, payload_of, response_json
from shared.runtime.ending import failed, outcome_of, snoozed
from shared.runtime.host import Host
from shared.runtime.logs import get_logger, metrics
from shared.runtime.patience import patiently
from shared.runtime.run import Run, Stop
from shared.status import Event
from shared.verdict import Verdict, settle, shortened

P = TypeVar("P", bound=Payload)

CLEANUP_S: Final = 5.0
"""A handler that was stopped has this long to clean up."""

INLINE_BYTES_MAX: Final = 256
SUCCESSES: Final = frozenset({Event.SUCCEED, Event.SUCCEED_PARTLY})
UNITS: Final = dict.fromkeys(("duration_ms", "wait_ms", "settle_ms"), "Milliseconds")
ROW_ERRORS_MAX: Final = 100

ANSWER_MARGIN_MS: Final = 1_000
"""Left of an invocation when a settlement is given up, so that what is done is still acknowledged."""


class Attempt(Generic[P]):
    """Runs jobs of one type that somebody has claimed. `circuits`: what this process knows of broken worlds."""

    def __init__(self, job_type: JobType[P], ports: Ports) -> None:
        self._type = job_type
        self._ports = ports
        self.circuits = Circuits(ports)

    async def make(
        self, job: Job, envelope: Envelope[Payload] | None, message: Message | None, host: Host
    ) -> Applied | Refused:
        """Run and settle `job`, whose lease is ours; `envelope` spares reading a bare message's payload again.

        Refused: the lease was lost; with the row as it is now.
        """
        ports = self._ports
        log = _logger(job)
        log.info("run_began", attempt=job.attempts + 1, seq=job.seq)
        try:
            payload = await self._payload(job, envelope)
        except WorldFault as fault:  # nobody's fault: no attempt is spent
            return await self._settle(_new_run(job, ports.now(), 0.0), snoozed(fault), Policy(), host)
        except LongshoreError as error:
            return await self._settle(_new_run(job, ports.now(), 0.0), failed(error, Policy()), Policy(), host)
        policy = payload.effective_policy()
        if host.time_left_s() < min(policy.timeout_s, self._type.payload_model.policy.timeout_s):
            late = Snooze(0.0, "no_time")  # the claim's answer was long in coming: it is nobody's time-out
            return await self._settle(_new_run(job, ports.now(), 0.0), late, policy, host)
        run = _new_run(job, ports.now(), min(policy.timeout_s, host.time_left_s()))
        outcome = await self._execute(run, payload, policy, message, host)
        if run.stop is Stop.LOST:
            log.warning("lease_lost")
            return Refused(await ports.jobs.get(job.tenant_id, job.job_id))
        return await self._settle(run, outcome, policy, host)

    async def _payload(self, job: Job, envelope: Envelope[Payload] | None) -> P:
        if envelope is not None and envelope.problem is not None:
            raise envelope.problem
        if envelope is not None and envelope.payload is not None:
            return self._type.checked(envelope.payload)
        return self._type.checked(stored_payload(job.type, await payload_of(self._ports, job), _base_fields(job)))

    # --- run ----------------------------------------------------------------------------------------------------------

    async def _execute(self, run: Run, payload: P, policy: Policy, message: Message | None, host: Host) -> Outcome:
        """Until the handler ends, or its time is over, or somebody stops it."""
        handler = asyncio.ensure_future(self._called(run, payload, policy))
        loop = asyncio.get_running_loop()
        halted = loop.create_future()
        run.on_halt = partial(loop.call_soon_threadsafe, _tell_once, halted)
        host.started(run)
        hide = None if message is None or host.hide is None else _bound(host.hide, message)
        try:
            async with host.beats.during(run, hide):
                left_s = (run.ends_at - self._ports.now()) / 1000
                await asyncio.wait({handler, halted}, timeout=left_s, return_when=asyncio.FIRST_COMPLETED)
                await _ended(handler, run)
        finally:
            run.finished = True
            handler.cancel()
        if not handler.done():
            _logger(run.job).error("handler_ignores_cancel", cleanup_s=CLEANUP_S)
            handler.add_done_callback(_retrieved)
        return outcome_of(handler, run, policy)

    async def _called(self, run: Run, payload: P, policy: Policy) -> object:
        job, ports = run.job, self._ports
        context = Context(run, ports, _logger(job), self.circuits)
        call = partial(called, self._type, payload, context)
        if self._type.circuit is None:
            value = await call()
        else:
            guard = replace(policy, circuit=self._type.circuit)
            value = await self.circuits.guarded(of_type(job.tenant_id, job.type), call, guard)
        if isinstance(value, WaitFor):
            return await begin_wait(context.children, value, (job.wait_number or 0) + 1)
        return value

    # --- settle -------------------------------------------------------------------------------------------------------

    async def _settle(self, run: Run, outcome: Outcome, policy: Policy, host: Host) -> Applied | Refused:
        job, ports = run.job, self._ports
        now = ports.now()
        until = min(run.lease_until, now + 1000 * host.time_left_s() - ANSWER_MARGIN_MS)
        try:
            verdict = settle(outcome, job, policy, dice=ports.dice(), now=now)
            kept = await patiently(lambda: self._publish(run, outcome, verdict, policy, now), ports, until=until)
        except (AttributeError, TypeError, ValueError) as error:  # of another type than it says, or not to be written
            if isinstance(outcome, Failed | Stopped):
                raise
            unwritable = replace(failed(error, policy), code="invalid_result", permanent=True)
            return await self._settle(run, unwritable, policy, host)
        changes = dict(verdict.changes) | ({"progress": run.progress} if run.progress else {}) | kept
        token = ports.token()
        move = settlement(job, verdict.event, changes, now=now, token=token, who=host.who, note=verdict.note)
        answer = await patiently(lambda: ports.jobs.apply(move), ports, until=until)
        if isinstance(answer, Refused) and (flagged := _asked_to_stop(answer, job)):
            stopped = _stopped(flagged, now, token, host.who)
            answer = await patiently(lambda: ports.jobs.apply(stopped), ports, until=until)
        _tell(verdict, answer, run, now, settled_at=ports.now())
        return answer

    async def _publish(
        self, run: Run, outcome: Outcome, verdict: Verdict, policy: Policy, now: int
    ) -> dict[str, object]:
        """Write what the row has no room for; → the attributes that point there."""
        job, ports = run.job, self._ports
        await keep_history(ports, job, forgotten(job), now)
        if verdict.failure is not None and _worth_keeping(verdict.failure):
            await keep_failure(ports, job, verdict.failure, now)
        if not isinstance(outcome, Done | Partial):
            return {}
        result = _timed(outcome.result, (now - run.began_at) / 1000)
        if isinstance(outcome, Done) and policy.inline_result:
            text = "null" if result is None else result.model_dump_json(exclude_defaults=True)
            if len(text.encode()) <= INLINE_BYTES_MAX:
                return {"inline_result": text, "result": None}
        key = job.prefix + RESULT_NAME
        body = response_json(job, result, _details(outcome), from_json(await payload_of(ports, job)))
        await ports.objects.put(key, body.encode())
        return {"result": key, "inline_result": None}


# --- the handler ------------------------------------------------------------------------------------------------------


def _tell_once(halted: "asyncio.Future[None]") -> None:
    if not halted.done():
        halted.set_result(None)


async def _ended(handler: "asyncio.Future[object]", run: Run) -> None:
    """Cancel the handler if it still runs, for whichever reason, and give it a moment to clean up."""
    if not handler.done():
        run.halt(Stop.TIMEOUT)
        handler.cancel()
        await asyncio.wait({handler}, timeout=CLEANUP_S)


def _retrieved(handler: "asyncio.Future[object]") -> None:
    """Of a run that is settled: asyncio would log the error, whatever it holds."""
    if not handler.cancelled():
        handler.exception()


# --- small things -----------------------------------------------------------------------------------------------------


def _logger(job: Job) -> BoundLogger:
    return get_logger(job_id=job.job_id, tenant_id=job.tenant_id, type=job.type, epoch=job.epoch)


def _new_run(job: Job, now: int, seconds: float) -> Run:
    return Run(
        job=job,
        began_at=now,
        ends_at=now + round(seconds * 1000),
        lease_until=job.lease_until or now,
        progress=job.progress,
        carried=job.progress,
    )


def _base_fields(job: Job) -> dict[str, object]:
    named = {name: getattr(job, name) for name in ("tenant_id", "job_id", "user_id", "worker_id")}
    metadata = {} if job.metadata is None else from_json(job.metadata)
    said = {name: value for name, value in named.items() if value is not None}
    return said | {"metadata": metadata, "priority": priority_of(job.priority)}


def _bound(hide: Callable[[Ports, Message], Awaitable[None]], message: Message) -> Callable[[Ports], Awaitable[None]]:
    return lambda ports: hide(ports, message)


def _worth_keeping(failure: Failed) -> bool:
    """Does the row have no room for all of it?"""
    return failure.trace is not None or failure.message != shortened(failure.message, MESSAGE_BYTES_MAX)


def _timed(result: BaseModel | None, duration_s: float) -> BaseModel | None:
    """A ProcessResult that does not tell its duration is told it."""
    if isinstance(result, ProcessResult) and result.duration == 0.0:
        return result.model_copy(update={"duration": duration_s})
    return result


def _details(outcome: Done | Partial) -> dict[str, JsonValue]:
    if isinstance(outcome, Done):
        return {}
    errors: list[JsonValue] = [
        error.model_dump(mode="json", exclude_none=True) for error in outcome.errors[:ROW_ERRORS_MAX]
    ]
    return {"errors": errors, "errors_total": outcome.count}


def _asked_to_stop(refused: Refused, job: Job) -> Job | None:
    """The row as it is, if it is still ours and somebody has asked for its end."""
    image = refused.job
    ours = image is not None and (image.epoch, image.token) == (job.epoch, job.token)
    return image if ours and image is not None and image.cancel_requested else None


def _stopped(job: Job, now: int, token: str, who: str) -> Move:
    return settlement(job, Event.CANCELLED, {}, now=now, token=token, who=who, note="")


def _tell(verdict: Verdict, answer: Applied | Refused, run: Run, ended_at: int, *, settled_at: int) -> None:
    job, event = run.job, verdict.event
    if isinstance(answer, Refused):
        _logger(job).warning("lease_lost", event_refused=event)
        return
    numbers = {
        "duration_ms": ended_at - run.began_at,
        "wait_ms": max(0, (job.started_at or job.due_at) - job.due_at),
        "settle_ms": settled_at - ended_at,
        "retried": int(event is Event.RETRY),
        "failed": int(event is Event.FAIL),
        "recovered": int(job.attempts > 0 and event in SUCCESSES),
    }
    code = verdict.failure.code if verdict.failure else None
    told = metrics({name: UNITS.get(name, "Count") for name in numbers}, type=job.type)
    _logger(job).info("run_settled", move=event, note=verdict.note, code=code, **numbers | told)
