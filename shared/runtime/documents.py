"""Where what is too big for a row goes: payloads, results, stacks and older history.

A payload is written before the row that names it, once, under its own hash; a result before the settlement that
publishes it, under a key that holds the run's epoch and token. Nothing is ever overwritten.
"""

from collections.abc import Sequence
from typing import Final

from pydantic import BaseModel, JsonValue
from pydantic_core import from_json

from shared.errors import NotFound, Permanent
from shared.ids import row_key
from shared.job import Job, compact_json, rfc3339
from shared.moves import RETENTION_MS
from shared.outcomes import Failed
from shared.payloads.results import ErrorBody, Response, ResponseData
from shared.ports import Ports

HISTORY_ITEMS_MAX: Final = 1_000

SIDE_RETENTION_MS: Final = 2 * RETENTION_MS


async def keep_payload(ports: Ports, job: Job, body: str) -> None:
    """Write the payload of a new job where its row will say it is. Repeating it changes nothing."""
    match job.payload_place:
        case "side":
            expires_at = (max(job.created_at, job.due_at) + SIDE_RETENTION_MS) // 1000
            await ports.side.put_once(job.key, _payload_sk(job), body, expires_at=expires_at)
        case "s3":
            await ports.objects.put(payload_key(job), body.encode())


async def payload_of(ports: Ports, job: Job) -> str:
    """The payload's own fields as JSON. Raises Permanent if what the row names is gone."""
    body: str | None
    match job.payload_place:
        case "row":
            body = job.payload
        case "side":
            body = await ports.side.get(job.key, _payload_sk(job))
        case _:
            data = await ports.objects.get(payload_key(job))
            body = None if data is None else data.decode()
    if body is None:
        raise Permanent("payload_gone", f"the payload is no longer kept ({job.payload_place})", field="payload")
    return body


def response_json(job: Job, result: BaseModel | None, details: dict[str, JsonValue], payload: JsonValue) -> str:
    """The result document."""
    data = ResponseData(
        job_id=job.job_id,
        type=job.type,
        result=None if result is None else result.model_dump(mode="json", exclude_none=True),
        details=details,
        payload=payload,
    )
    return Response(success=True, data=data).model_dump_json(exclude_none=True)


async def response_of(ports: Ports, job: Job) -> Response:
    """The standard response of a job that is over: read from S3, or made of the row. NotFound while it is not."""
    if not job.status.is_terminal:
        raise NotFound("no_result_yet", f"the job is {job.status}", field="job_id")
    if job.result is not None:
        body = await ports.objects.get(job.result)
        if body is None:
            raise NotFound("result_expired", "the result is no longer kept", field="job_id")
        return Response.model_validate_json(body)
    error = None if job.error is None else ErrorBody.model_validate_json(job.error)
    value: JsonValue = None if job.inline_result is None else from_json(job.inline_result)
    data = ResponseData(job_id=job.job_id, type=job.type, result=value)
    return Response(success=error is None and job.inline_result is not None, data=data, error=error)


async def keep_failure(ports: Ports, job: Job, failure: Failed, now: int) -> None:
    """The whole message and stack beside the row, one item a run: the row keeps only the beginning."""
    body = ErrorBody(
        code=failure.code,
        message=failure.message,
        field=failure.field,
        attempt=job.attempts + 1,
        at=rfc3339(now),
        trace=failure.trace,
    )
    text = body.model_dump_json(exclude_none=True)
    await ports.side.put_once(job.key, f"error#{job.epoch:06d}", text, expires_at=(now + SIDE_RETENTION_MS) // 1000)


async def failures_of(ports: Ports, job: Job, *, limit: int = 20) -> Sequence[ErrorBody]:
    """Newest first."""
    items = await ports.side.query(job.key, limit=limit, prefix="error#")
    return [ErrorBody.model_validate_json(body) for _, body in items]


async def keep_history(ports: Ports, job: Job, entries: Sequence[str], now: int) -> None:
    """What the row has no room for any more."""
    if entries:
        sk = f"history#{job.epoch:06d}"
        await ports.side.put_once(job.key, sk, compact_json(entries), expires_at=(now + SIDE_RETENTION_MS) // 1000)


async def older_history_of(ports: Ports, job: Job) -> Sequence[str]:
    """What the row has no room for any more, oldest first."""
    items = await ports.side.query(job.key, limit=HISTORY_ITEMS_MAX, prefix="history#")
    return [entry for _, body in reversed(items) for entry in from_json(body)]


def _payload_sk(job: Job) -> str:
    return f"payload#{job.payload_hash}"


def payload_key(job: Job) -> str:
    row_key(job.tenant_id, job.job_id)  # refuses what cannot be a key
    return f"payloads/{job.tenant_id}/{job.job_id}/{job.payload_hash}.json"
