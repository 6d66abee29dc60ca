"""One delivery of one message, from its body to its disposition: read → gate → claim → run → settle → acknowledge.

- Two writes per job: the claim and the settlement. The message is acknowledged only after the settlement.
- What to do is decided by pure functions (`envelope.read_message`, `delivery.decide`, `verdict.settle`, the table of
  moves); this file carries it out.
- A fault of the world decides nothing: the message comes back. So does a bug of ours.
- Who lost its lease changes nothing more: not the row, not the progress, not the published result.
"""

import math
from dataclasses import dataclass, replace
from typing import Final, Generic, TypeVar

from shared.admission import new_job
from shared.delivery import Action, Delivery, Do, decide, delivery_of, hide_s
from shared.envelope import Envelope, Unreadable, Wakeup, read_message
from shared.errors import WorldFault
from shared.job import Job, rfc3339
from shared.moves import Lease, Move, bury, cancelled_after_death, claim, claim_bare, expire, reclaim
from shared.outcomes import Failed
from shared.payloads.base import Payload
from shared.ports import Applied, Message, Ports, Refused
from shared.runtime.attempt import CLEANUP_S, Attempt
from shared.runtime.breaker import of_type
from shared.runtime.definition import JobType
from shared.runtime.documents import keep_payload
from shared.runtime.host import Host
from shared.runtime.logs import count, get_logger
from shared.runtime.patience import patiently
from shared.runtime.quarantine import quarantine
from shared.runtime.throttle import Gate
from shared.verdict import error_json

P = TypeVar("P", bound=Payload)

DECISIONS_MAX: Final = 5
"""A row that changes under every decision is left to settle down: the message comes back."""

CLAIM_PATIENCE_MS: Final = 20_000
"""A claim that was made and is given up for its lost answer is a death, and one alone costs an attempt."""

START_MARGIN_S: Final = CLEANUP_S + 3.0
"""What claiming, cleaning up, settling and acknowledging may take beside the run itself."""


@dataclass(frozen=True, slots=True)
class Acknowledge:
    reason: str


@dataclass(frozen=True, slots=True)
class Hide:
    """Not now: make the message invisible for `seconds`, and never delete it."""

    seconds: int
    reason: str


Disposition = Acknowledge | Hide

Parcel = Wakeup | Envelope[Payload]


@dataclass(frozen=True, slots=True)
class Unclaimed:
    """The row said no; what to do instead."""

    action: Action
    row: Job | None


class Worker(Generic[P]):
    """`await worker.handle(message, host)` → what to do with the message. Raises nothing but its own cancellation."""

    def __init__(self, job_type: JobType[P], ports: Ports, *, stack: str) -> None:
        self._type = job_type
        self._ports = ports
        self._stack = stack
        self._attempt = Attempt(job_type, ports)
        self._gate = Gate(ports, job_type.type, is_throttled=bool(job_type.payload_model.policy.throttles))

    async def handle(self, message: Message, host: Host) -> Disposition:
        try:
            return await self._handle(message, host)
        except WorldFault as fault:
            get_logger().warning("world_fault", message_id=message.message_id, reason=str(fault))
            return Hide(hide_s(message.receives - 1), fault.code)
        except Exception:  # noqa: BLE001  # a bug of ours must not touch the other jobs of the batch
            get_logger().exception("worker_bug", message_id=message.message_id, type=self._type.type)
            return Hide(hide_s(message.receives), "worker_bug")

    async def _handle(self, message: Message, host: Host) -> Disposition:
        parcel = read_message(message.body, job_type=self._type.type, message_id=message.message_id)
        if isinstance(parcel, Unreadable):
            return await self._quarantine(message, parcel.reason)
        delivery = self._delivery(parcel, message)
        if shut_s := await self._shut_s(parcel.tenant_id):
            return Hide(shut_s, "circuit_open")
        entered = await self._gate.enter(parcel, delivery, host)
        if isinstance(entered, Action):
            return await self._go_on(Unclaimed(entered, None), parcel, message, host)
        async with host.floor.company():
            found = await self._claim(await self._first_move(parcel, host), delivery, host)
            if isinstance(found, Unclaimed):
                await self._gate.left(entered, found.row)
            if not _wants_to_be_alone(found):
                return await self._go_on(found, parcel, message, host)
        async with host.floor.alone():
            again = await self._claim(self._takeover(found, host), delivery, replace(host, solitary=True))
            return await self._go_on(again, parcel, message, host)

    async def _shut_s(self, tenant_id: str) -> int:
        """Seconds for which this tenant's jobs of this type had better stay in the queue."""
        circuit = self._type.circuit
        key = of_type(tenant_id, self._type.type)
        return 0 if circuit is None else math.ceil(await self._attempt.circuits.shut_s(key, circuit))

    # --- claim --------------------------------------------------------------------------------------------------------

    async def _claim(self, move: Move | None, delivery: Delivery, host: Host) -> Job | Unclaimed:
        """Write `move`; where the row refuses it, decide from the row and write what was decided, until it is clear."""
        for _ in range(DECISIONS_MAX):
            left_s = host.time_left_s() - START_MARGIN_S
            if move is None or left_s < self._type.payload_model.policy.timeout_s:
                return Unclaimed(Action(Do.HIDE, "no_time", 1), None)
            answer = await self._written(move, patience_ms=min(CLAIM_PATIENCE_MS, 1000 * left_s))
            if isinstance(answer, Applied):
                return answer.job
            action = decide(answer.job, delivery, self._ports.now())
            following = self._move_for(action, answer.job, host)
            if following is None:
                return Unclaimed(action, answer.job)
            move = following
        return Unclaimed(Action(Do.HIDE, "contended", 5), None)

    async def _written(self, move: Move, *, patience_ms: float) -> Applied | Refused:
        """The same move again after a fault of the world, as long as there is time to spare."""
        until = self._ports.now() + patience_ms
        return await patiently(lambda: self._ports.jobs.apply(move), self._ports, until=until)

    async def _first_move(self, parcel: Parcel, host: Host) -> Move:
        """Blind, without reading the row: nearly always this is all it takes."""
        now, lease = self._ports.now(), self._lease(host)
        if isinstance(parcel, Wakeup):
            return claim(
                parcel.tenant_id, parcel.job_id, job_type=self._type.type, seq=parcel.seq, lease=lease, now=now
            )
        job = new_job(parcel, now=now, token=lease.token, lane=host.lane)
        await keep_payload(self._ports, job, parcel.body)
        return claim_bare(job, lease)

    def _move_for(self, action: Action, row: Job | None, host: Host) -> Move | None:
        """The write that carries out a decision; None if it takes no write, or a floor of its own first."""
        if row is None:
            return None
        now, lease = self._ports.now(), self._lease(host)
        match action.do:
            case Do.CLAIM:
                return claim(row.tenant_id, row.job_id, job_type=row.type, seq=row.seq, lease=lease, now=now)
            case Do.BURY:
                return bury(row, _last_words(row, now), now, token=lease.token, who=host.who)
            case Do.END_CANCELLED:
                return cancelled_after_death(row, now, token=lease.token, who=host.who)
            case Do.EXPIRE:
                return expire(row, _timed_out(row, now), now, token=lease.token, who=host.who)
            case Do.RECLAIM if host.solitary:
                return reclaim(row, lease, now)
        return None

    def _takeover(self, found: "Job | Unclaimed", host: Host) -> Move | None:
        row = found.row if isinstance(found, Unclaimed) else found
        return None if row is None else reclaim(row, self._lease(host), self._ports.now())

    def _lease(self, host: Host) -> Lease:
        return Lease(token=self._ports.token(), until=host.lease_until(), alone=host.solitary, who=host.who)

    # --- after the claim ----------------------------------------------------------------------------------------------

    async def _go_on(self, found: Job | Unclaimed, parcel: Parcel, message: Message, host: Host) -> Disposition:
        if isinstance(found, Job):
            return await self._run(found, parcel, message, host)
        action = found.action
        if action.do is Do.QUARANTINE:
            return await self._quarantine(message, action.reason)
        if action.do is Do.ACKNOWLEDGE:
            if action.reason == "ghost":
                count("ghost", stack=self._stack, type=self._type.type, message_id=message.message_id)
            return Acknowledge(action.reason)
        return Hide(max(1, action.seconds), action.reason)

    async def _run(self, job: Job, parcel: Parcel, message: Message, host: Host) -> Disposition:
        if job.status.is_terminal:  # buried, expired, or cancelled after its worker's death
            get_logger().warning("ended_without_a_run", job_id=job.job_id, tenant_id=job.tenant_id, status=job.status)
            return Acknowledge(job.status)
        envelope = parcel if isinstance(parcel, Envelope) else None
        answer = await self._attempt.make(job, envelope, message, host)
        if isinstance(answer, Refused):
            action = decide(answer.job, self._delivery(parcel, message), self._ports.now())
            return Acknowledge("lost") if action.do is Do.ACKNOWLEDGE else Hide(max(1, action.seconds), "lost")
        return Acknowledge(answer.job.status)

    async def _quarantine(self, message: Message, reason: str) -> Disposition:
        await quarantine(
            self._ports,
            stack=self._stack,
            source=self._type.type,
            item_id=message.message_id,
            body=message.body,
            reason=reason,
        )
        return Acknowledge("quarantined")

    def _delivery(self, parcel: Parcel, message: Message) -> Delivery:
        return delivery_of(parcel, job_type=self._type.type, message_id=message.message_id, receives=message.receives)


def _wants_to_be_alone(found: Job | Unclaimed) -> bool:
    return isinstance(found, Unclaimed) and found.action.do is Do.RECLAIM


def _last_words(row: Job, now: int) -> str:
    message = f"its worker died {row.attempts + 1} times while running nothing else; last progress: {row.progress}"
    return error_json(Failed("worker_died", message, permanent=True), row, now)


def _timed_out(row: Job, now: int) -> str:
    since = rfc3339(row.deadline_at or now)
    return error_json(Failed("timed_out", f"it was {row.status} at its deadline, {since}", permanent=True), row, now)
