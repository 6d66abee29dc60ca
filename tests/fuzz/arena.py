"""A queue into which hostile messages are thrown among good ones, and what must be true afterwards."""

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from structlog.testing import capture_logs

from shared.envelope import Envelope, Unreadable, read_message
from shared.errors import Permanent
from shared.job import Job, attributes
from shared.moves import Lease, claim, settle, submit
from shared.payloads.base import Payload
from shared.payloads.generic import GenericPayload
from shared.payloads.results import ProcessResult
from shared.ports import Message, Ports
from shared.runtime.batch import run_batch
from shared.runtime.context import Context
from shared.runtime.definition import job
from shared.runtime.quarantine import PARTITION
from shared.runtime.service import Service
from shared.runtime.worker import Worker
from shared.status import Event, Status
from shared.view import view_of
from tests.fuzz.hostile import VICTIM, VICTIMS

DAY_MS: Final = 86_400_000
STACK: Final = "longshore"
GOOD: Final = tuple(json.dumps({"operation": "good", "parameters": {"number": number}}) for number in range(3))


@job(GenericPayload)
async def arena(payload: GenericPayload, context: Context) -> ProcessResult:
    """Good jobs are done; whatever else is readable fails for good."""
    if payload.operation != "good":
        raise Permanent("hostile", "no such thing")
    return ProcessResult(data=payload.parameters)


@dataclass(frozen=True)
class Arena:
    ports: Ports

    async def prepare(self) -> None:
        """The victim's jobs: due tomorrow, running until tomorrow, over, of another type."""
        now, apply = self.ports.now(), self.ports.jobs.apply
        later, leased, over, other = (_victim(job_id, now) for job_id in VICTIMS)
        lease = Lease(token="1" * 16, until=now + DAY_MS, alone=False, who="victim")
        await apply(submit(replace(later, due_at=now + DAY_MS)))
        await apply(submit(replace(other, type="extract")))
        for row in (leased, over):
            await apply(submit(row))
            running = await apply(claim(VICTIM, row.job_id, job_type=row.type, seq=1, lease=lease, now=now))
        assert running.job is not None
        await apply(settle(running.job, Event.SUCCEED, {}, now=now, token="2" * 16, who="victim", note=""))

    async def work(self, messages: Sequence[Message]) -> list[str]:
        """Work one batch as Lambda does; → what is wrong then."""
        before = await self._victims()
        worker: Worker[Payload] = Worker(arena, self.ports, stack=STACK)  # type: ignore[arg-type]  # of one payload
        with capture_logs() as logs:
            failed = await run_batch(
                worker, messages, self.ports, queue="generic", ends_at=self.ports.now() + 75_000, who="arena"
            )
        wrong = [f"{line['event']}: {line}" for line in logs if line["event"] == "worker_bug" or "exception" in line]
        claims = Counter(_key(message) for message in messages)
        for message in messages:
            is_hidden = message.message_id in failed and claims[_key(message)] == 1
            if problem := await self._problem(message, is_hidden=is_hidden):
                wrong.append(f"{problem}: {message.body[:200]!r}")
        wrong += ["a victim was changed"] * (await self._victims() != before)
        return wrong

    async def _victims(self) -> list[Job | None]:
        return [await self.ports.jobs.get(VICTIM, job_id) for job_id in VICTIMS]

    async def _problem(self, message: Message, *, is_hidden: bool) -> str:
        """Why this is no proper end of the message, if it is none."""
        parcel = read_message(message.body, job_type="generic", message_id=message.message_id)
        kept = await self.ports.side.get(PARTITION, f"generic#{message.message_id}")
        if isinstance(parcel, Unreadable) or kept is not None:
            return "" if kept is not None and not is_hidden else "not in quarantine"
        if parcel.tenant_id == VICTIM and parcel.job_id in VICTIMS:
            return ""
        if is_hidden:
            return "hidden for no reason"
        row = await self.ports.jobs.get(parcel.tenant_id, parcel.job_id)
        if not isinstance(parcel, Envelope):
            return "" if row is None or row.status.is_terminal else "a forged wake-up did something"
        if row is None:
            return "gone"
        if not row.status.is_terminal:
            return f"{row.status}"
        expected = Status.SUCCESS if message.body in GOOD else Status.FAILED
        same_row = row.payload_hash == parcel.payload_hash
        return (await self._shown(row)) if row.status is expected or not same_row else f"{row.status}"

    async def _shown(self, row: Job) -> str:
        """Raises what cannot be shown, or not be stored as UTF-8."""
        view_of(row, bucket="b").model_dump_json()
        response = await Service(self.ports).result(row)
        response.model_dump_json()
        json.dumps(attributes(row), ensure_ascii=False).encode()
        return ""


def _key(message: Message) -> object:
    """Whose job it speaks of: of two that name the same, one has to wait."""
    parcel = read_message(message.body, job_type="generic", message_id=message.message_id)
    return message.message_id if isinstance(parcel, Unreadable) else (parcel.tenant_id, parcel.job_id)


def _victim(job_id: str, now: int) -> Job:
    return Job(
        tenant_id=VICTIM, job_id=job_id, type="generic", status=Status.QUEUED, seq=1, token="0" * 16, attempts_left=3,
        attempts_max=3, created_at=now, updated_at=now, due_at=now, payload="{}", payload_hash="another",
    )  # fmt: skip
