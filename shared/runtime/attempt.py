"""One attempt at a claimed job: run the handler, judge its end, publish, settle.

The result is written first, under a key of this run's own; the settlement publishes its key. A settlement that the
world refuses is tried again until the lease is over: what was done is worth the patience.
"""

import asyncio
import inspect
import traceback
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Final, Generic, TypeVar

from pydantic import BaseModel, JsonValue
from pydantic_core import from_json
from structlog.stdlib import BoundLogger

from shared.envelope import Envelope, stored_payload
from shared.errors import LongshoreError, Permanent, Transient, WorldFault
from shared.job import Job, compact_json
from shared.moves import Move, forgotten
from shared.moves import settle as settlement
from shared.outcomes import Done, Failed, Outcome, Partial, Proceed, Snooze, Stopped
from shared.payloads.base import Payload
from shared.payloads.results import ProcessResult
from shared.ports import Applied, Message, Ports, Refused
from shared.retry import Policy, is_permanent
from shared.runtime.context import Context
from shared.runtime.definition import JobType
from shared.runtime.documents import keep_failure, keep_history, payload_of, response_json
from shared.runtime.host import Host
from shared.runtime.logs import get_logger, redacted
from shared.runtime.patience import patiently
from shared.runtime.run import Run, Stop
from shared.status import Event
from shared.verdict import Verdict, settle, shortened

P = TypeVar("P", bound=Payload)

CLEANUP_S: Final = 5.0
"""A handler that was stopped has this long to clean up."""

WORLD_FAULT_DELAY_S: Final = 30.0

INLINE_BYTES_MAX: Final = 256
ROW_ERRORS_MAX: Final = 100
TRACE_BYTES_MAX: Final = 8_192


class Attempt(Generic[P]):
    """Runs jobs of one type that somebody has claimed."""

    def __init__(self, job_type: JobType[P], ports: Ports) -> None:
        self._type = job_type
        self._ports = ports

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
            return await self._settle(_new_run(job, ports.now(), 0.0), _snoozed(fault), Policy(), host)
        except LongshoreError as error:
            problem = Failed(error.code, error.message, permanent=True, field=error.field)
            return await self._settle(_new_run(job, ports.now(), 0.0), problem, Policy(), host)
        policy = payload.effective_policy()
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
        handler = asyncio.ensure_future(_called(self._type, payload, Context(run, self._ports, _logger(run.job))))
        run.cancel_handler = partial(_cancel, asyncio.get_running_loop(), handler)
        host.started(run)
        hide = None if message is None or host.hide is None else _bound(host.hide, message)
        try:
            async with host.beats.during(run, hide):
                await asyncio.wait({handler}, timeout=(run.ends_at - self._ports.now()) / 1000)
                timed_out = not handler.done()
                await _ended(handler)
        finally:
            run.finished = True
            handler.cancel()
        if not handler.done():
            _logger(run.job).error("handler_ignores_cancel", cleanup_s=CLEANUP_S)
        return _outcome(handler, run, policy, timed_out=timed_out)

    # --- settle -------------------------------------------------------------------------------------------------------

    async def _settle(self, run: Run, outcome: Outcome, policy: Policy, host: Host) -> Applied | Refused:
        job, ports = run.job, self._ports
        now = ports.now()
        verdict = settle(outcome, job, policy, dice=ports.dice(), now=now)
        changes = dict(verdict.changes) | ({"progress": run.progress} if run.progress else {})
        until = job.lease_until or now
        changes |= await patiently(lambda: self._publish(run, outcome, verdict, policy, now), ports, until=until)
        token = ports.token()
        move = settlement(job, verdict.event, changes, now=now, token=token, who=host.who, note=verdict.note)
        answer = await patiently(lambda: ports.jobs.apply(move), ports, until=until)
        if isinstance(answer, Refused) and _asked_to_stop(answer, job):
            stopped = _stopped(job, now, token, host.who)
            answer = await patiently(lambda: ports.jobs.apply(stopped), ports, until=until)
        _tell(job, verdict, answer, run, now)
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
            text = compact_json(None if result is None else result.model_dump(mode="json", exclude_defaults=True))
            if len(text.encode()) <= INLINE_BYTES_MAX:
                return {"inline_result": text, "result": None}
        key = job.prefix + "result.json"
        body = response_json(job, result, _details(outcome), from_json(await payload_of(ports, job)))
        await ports.objects.put(key, body.encode())
        return {"result": key, "inline_result": None}


# --- the handler and how it ended -------------------------------------------------------------------------------------


async def _called(job_type: JobType[P], payload: P, context: Context) -> object:
    try:
        if inspect.iscoroutinefunction(job_type.function):
            return await job_type.function(payload, context)
        return await asyncio.to_thread(job_type.function, payload, context)
    except SystemExit as error:  # it would end the worker's loop, and its neighbours with it
        raise Permanent("handler_exited", f"the handler called exit({error.code!r})") from error


def _cancel(loop: asyncio.AbstractEventLoop, handler: "asyncio.Future[object]") -> None:
    """From whichever thread."""
    loop.call_soon_threadsafe(handler.cancel)


async def _ended(handler: "asyncio.Future[object]") -> None:
    """Cancel the handler if it still runs, and give it a moment to clean up."""
    if not handler.done():
        handler.cancel()
        await asyncio.wait({handler}, timeout=CLEANUP_S)


def _outcome(handler: "asyncio.Future[object]", run: Run, policy: Policy, *, timed_out: bool) -> Outcome:
    """What the handler's end means. A stop that came too late to stop anything is none."""
    cut_short = not handler.done() or handler.cancelled()
    if cut_short and run.stop is Stop.CANCELLED:
        return Stopped()
    if cut_short and run.stop is Stop.SHUTDOWN:
        return Snooze(0.0)
    if timed_out:
        seconds = (run.ends_at - run.began_at) / 1000
        return Failed("timeout", f"still running after {seconds:g} s", permanent=False)
    if cut_short:
        return Failed("interrupted", "the handler cancelled itself", permanent=False)
    error = handler.exception()
    if isinstance(error, WorldFault):
        return _snoozed(error)
    return _failed(error, policy) if error is not None else _returned(handler.result())


def _returned(value: object) -> Outcome:
    match value:
        case None | BaseModel():
            return Done(value)
        case Partial() | Snooze() | Proceed():
            return value
    kind = type(value).__name__
    return Failed("invalid_result", f"the handler returned {kind}; a pydantic model was expected", permanent=True)


def _snoozed(fault: WorldFault) -> Snooze:
    return Snooze(WORLD_FAULT_DELAY_S, fault.code)


def _failed(error: BaseException, policy: Policy) -> Failed:
    known = isinstance(error, LongshoreError)
    trace = "".join(traceback.format_exception(error))
    return Failed(
        code=error.code if isinstance(error, LongshoreError) else type(error).__name__,
        message=redacted(error.message if isinstance(error, LongshoreError) else str(error) or type(error).__name__),
        permanent=is_permanent(error, policy),
        field=error.field if isinstance(error, LongshoreError) else None,
        retry_after_s=error.retry_after_s if isinstance(error, Transient) else None,
        trace=None if known else shortened(redacted(trace[-TRACE_BYTES_MAX:]), TRACE_BYTES_MAX),
    )


# --- small things -----------------------------------------------------------------------------------------------------


def _logger(job: Job) -> BoundLogger:
    return get_logger(job_id=job.job_id, tenant_id=job.tenant_id, type=job.type, epoch=job.epoch)


def _new_run(job: Job, now: int, seconds: float) -> Run:
    return Run(job=job, began_at=now, ends_at=now + round(seconds * 1000), progress=job.progress, carried=job.progress)


def _base_fields(job: Job) -> dict[str, object]:
    metadata = {} if job.metadata is None else from_json(job.metadata)
    base = {"tenant_id": job.tenant_id, "job_id": job.job_id, "user_id": job.user_id, "worker_id": job.worker_id}
    return {name: value for name, value in base.items() if value is not None} | {"metadata": metadata}


def _bound(hide: Callable[[Ports, Message], Awaitable[None]], message: Message) -> Callable[[Ports], Awaitable[None]]:
    return lambda ports: hide(ports, message)


def _worth_keeping(failure: Failed) -> bool:
    """Does the row have no room for all of it?"""
    return failure.trace is not None or failure.message != shortened(failure.message, 200)


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
    return {"errors": errors, "errors_total": len(outcome.errors)}


def _asked_to_stop(refused: Refused, job: Job) -> bool:
    image = refused.job
    return image is not None and (image.epoch, image.token) == (job.epoch, job.token) and bool(image.cancel_requested)


def _stopped(job: Job, now: int, token: str, who: str) -> Move:
    return settlement(job, Event.CANCELLED, {}, now=now, token=token, who=who, note="")


def _tell(job: Job, verdict: Verdict, answer: Applied | Refused, run: Run, now: int) -> None:
    if isinstance(answer, Refused):
        _logger(job).warning("lease_lost", event_refused=verdict.event)
    else:
        _logger(job).info("run_settled", move=verdict.event, note=verdict.note, duration_ms=now - run.began_at)
