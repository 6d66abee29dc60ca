"""How a payload becomes a row. Pure.

up to 256 bytes    in the row                      no extra cost: a row's writes are billed per started KB
up to 8 KB         in a write-once side item       one write unit per KB, $0.625 per million
up to 8 MiB        in S3                           one PUT, $5 per million: cheaper from 8 KB on
more               refused, with its size          put it in S3 yourself and name it in the payload
"""

from typing import Final

from shared.envelope import Envelope
from shared.errors import InvalidInput
from shared.ids import derived_job_id, new_job_id
from shared.job import Job
from shared.payloads.base import Payload
from shared.retry import Policy
from shared.status import Status

ROW_BYTES_MAX: Final = 256
SIDE_BYTES_MAX: Final = 8 * 1024
PAYLOAD_BYTES_MAX: Final = 8 * 1024 * 1024

UNREADABLE: Final = Policy(attempts_max=1)
"""For a job whose payload cannot be read: it fails at once."""


def place_of(size_bytes: int, row_bytes_max: int = ROW_BYTES_MAX) -> str:
    """Where a payload of this size is kept: "row", "side" or "s3". Raises InvalidInput beyond 8 MiB."""
    if size_bytes > PAYLOAD_BYTES_MAX:
        message = f"{size_bytes} bytes; at most {PAYLOAD_BYTES_MAX} bytes: put it in S3 and name it in the payload"
        raise InvalidInput("payload_too_large", message, field="payload")
    return "row" if size_bytes <= row_bytes_max else "side" if size_bytes <= SIDE_BYTES_MAX else "s3"


def job_id_for(payload: Payload, idempotency_key: str | None, now: int, dice: bytes) -> str:
    """The id of a job that names none: of its key, or a fresh one of 10 random bytes. InvalidInput for a bad key."""
    if idempotency_key is None:
        return new_job_id(now, dice)
    if payload.job_id is not None or not idempotency_key:
        raise InvalidInput("invalid_key", "a key that is not empty, and no job_id", field="idempotency_key")
    return derived_job_id(payload.tenant_id, payload.type, idempotency_key)


def new_job(
    envelope: Envelope[Payload],
    *,
    now: int,
    token: str,
    due_at: int | None = None,
    row_bytes_max: int = ROW_BYTES_MAX,
    lane: str | None = None,
) -> Job:
    """The row of a new job, QUEUED and due at `due_at` (milliseconds; None: now). `row_bytes_max`: of a payload beside
    which the row is known to hold little. `lane`: of its queue or parent, if it asks for none itself."""
    policy = envelope.payload.effective_policy() if envelope.payload else UNREADABLE
    place = place_of(len(envelope.body.encode()), row_bytes_max)
    return Job(
        tenant_id=envelope.tenant_id,
        job_id=envelope.job_id,
        type=envelope.type,
        status=Status.QUEUED,
        seq=1,
        token=token,
        attempts_left=policy.attempts_max,
        attempts_max=policy.attempts_max,
        created_at=now,
        updated_at=now,
        due_at=now if due_at is None else due_at,
        priority=envelope.priority or lane,
        payload=envelope.body if place == "row" else None,
        payload_place=place,
        payload_hash=envelope.payload_hash,
        throttles=envelope.payload.throttles() if envelope.payload else None,
        user_id=envelope.user_id,
        worker_id=envelope.worker_id,
        metadata=envelope.metadata,
    )
