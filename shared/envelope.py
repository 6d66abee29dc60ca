"""What arrives in a queue, read once and for all.

    {"longshore": 1, "tenant_id": …, "job_id": …, "seq": 3}      a wake-up, sent by the reactor: the row knows the rest
    {"type": …, "tenant_id": …, "job_id"?: …, "database": …}     a bare message: a producer's payload, snake or camel

- Whoever may send to a queue is trusted to speak for every tenant.
- A bare message without a job id gets one from its SQS message id, so that every delivery of it means the same job.
- What names a job but has a bad payload is still that job (it will be FAILED, and its owner can see why); what names
  none, or a type of another queue, is unreadable and goes to quarantine.
"""

from dataclasses import dataclass
from typing import Final, Generic, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic_core import from_json

from shared.errors import InvalidInput
from shared.ids import derived_job_id, digest
from shared.job import compact_json
from shared.lanes import lane_of
from shared.payloads import TYPES, invalid, read_payload, read_stored
from shared.payloads.base import Name, Payload

BODY_BYTES_MAX: Final = 1024 * 1024
"""SQS's own limit: https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/quotas-messages.html"""

MARK: Final = "longshore"
VERSION: Final = 1

P = TypeVar("P", bound=Payload)


DEADLINE: Final = 0
"""In the place of a `seq`: a job may be queued many times before its deadline."""


@dataclass(frozen=True, slots=True)
class Wakeup:
    """Look at this row: its `seq`-th move into QUEUED is due; or, for `DEADLINE`, what it waits for is overdue."""

    tenant_id: str
    job_id: str
    seq: int


@dataclass(frozen=True, slots=True)
class Envelope(Generic[P]):
    """A payload and whose job it is. `problem` is set if the payload could not be read: then `payload` is None."""

    tenant_id: str
    job_id: str
    type: str
    body: str
    """The payload's own fields as JSON, or what was sent instead of them."""
    payload: P | None = None
    user_id: str | None = None
    worker_id: str | None = None
    metadata: str | None = None
    priority: str | None = None
    problem: InvalidInput | None = None

    @property
    def payload_hash(self) -> str:
        return digest(self.body)


@dataclass(frozen=True, slots=True)
class Unreadable:
    reason: str


def seal(payload: P, job_id: str) -> Envelope[P]:
    """A valid payload in its envelope."""
    return Envelope(
        tenant_id=payload.tenant_id,
        job_id=payload.job_id or job_id,
        type=payload.type,
        body=payload.body_json(),
        payload=payload,
        user_id=payload.user_id,
        worker_id=payload.worker_id,
        metadata=compact_json(payload.metadata) if payload.metadata else None,
        priority=lane_of(payload.priority),
    )


def wakeup_body(wakeup: Wakeup) -> str:
    return compact_json({MARK: VERSION, "tenant_id": wakeup.tenant_id, "job_id": wakeup.job_id, "seq": wakeup.seq})


def read_message(body: str, *, job_type: str, message_id: str) -> Wakeup | Envelope[Payload] | Unreadable:
    """The body of a message in the queue of `job_type`."""
    data = body.encode("utf-8", "surrogatepass")
    if len(data) > BODY_BYTES_MAX:
        return Unreadable(f"body of {len(body)} characters; at most {BODY_BYTES_MAX} bytes")
    try:
        document = from_json(data, allow_inf_nan=False)
        if not isinstance(document, dict):
            return Unreadable("not a JSON object")
        return _read_wakeup(document) if MARK in document else _read_bare(document, body, job_type, message_id)
    except ValidationError as error:
        problem = invalid(error)
        return Unreadable(f"{problem.field}: {problem.message}")
    except ValueError as error:  # from_json: bad syntax, depth over 200; json: a number of more than 4,300 digits
        return Unreadable(f"not JSON: {error}")


# --- wake-ups ---------------------------------------------------------------------------------------------------------


class _WakeupFields(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid")

    longshore: int
    tenant_id: Name
    job_id: Name
    seq: int


def _read_wakeup(document: dict[str, object]) -> Wakeup | Unreadable:
    fields = _WakeupFields.model_validate(document)
    if fields.longshore != VERSION or fields.seq < DEADLINE:
        return Unreadable(f"longshore: version {VERSION} and seq of at least {DEADLINE} expected")
    return Wakeup(fields.tenant_id, fields.job_id, fields.seq)


# --- bare messages ----------------------------------------------------------------------------------------------------


class _Identity(Payload):
    """Whose job a bare message is, whatever else it says."""

    model_config = ConfigDict(extra="ignore")

    type: str = ""


def _read_bare(
    document: dict[str, object], body: str, job_type: str, message_id: str
) -> Envelope[Payload] | Unreadable:
    named = document.get("type", job_type)
    if named != job_type:
        return Unreadable(f"type: {named!r:.80} was sent to the queue of {job_type!r}")
    derived = derived_job_id(job_type, message_id)
    try:
        return seal(read_payload(compact_json({**document, "type": job_type})), derived)
    except InvalidInput as problem:
        return _failed(_identity(document), derived, job_type, body, problem)


def _identity(document: dict[str, object]) -> _Identity:
    """The base fields alone. `metadata` is left out: it cannot say whose job this is, only fail to be read."""
    names = {"tenant_id", "tenantId", "job_id", "jobId"}
    return _Identity.model_validate({name: value for name, value in document.items() if name in names})


def _failed(identity: _Identity, derived: str, job_type: str, body: str, problem: InvalidInput) -> Envelope[Payload]:
    return Envelope(
        tenant_id=identity.tenant_id, job_id=identity.job_id or derived, type=job_type, body=body, problem=problem
    )


def stored_payload(job_type: str, body: str, base: dict[str, object]) -> Payload:
    """The payload of a row again: its own fields (`body`) and the base fields that the row keeps beside them."""
    document = from_json(body)
    if not isinstance(document, dict) or job_type not in TYPES:
        raise InvalidInput("invalid_payload", f"a payload of type {job_type}", field="payload")
    return read_stored(job_type, compact_json({**document, **base, "type": job_type}))
