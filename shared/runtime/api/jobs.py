"""The routes of jobs: one function each, as short as what it does."""

import re
from collections.abc import Sequence
from typing import Annotated, Final

from pydantic import BaseModel, Field, JsonValue, StringConstraints
from pydantic_core import from_json, to_json

from shared.cost import of_job
from shared.errors import InvalidInput, NotFound
from shared.job import Job, rfc3339
from shared.payloads import read_payload
from shared.payloads.base import Payload
from shared.payloads.results import ErrorBody, Response, ResponseData
from shared.retry import DELAY_S_MAX
from shared.runtime.api.app import Call
from shared.runtime.api.filters import Query
from shared.runtime.api.messages import Answer, Caller, answer_json
from shared.runtime.api.problems import Refusal
from shared.runtime.documents import payload_key
from shared.runtime.fan_in import left_of
from shared.runtime.stats import memory_mb
from shared.runtime.throttle_why import waits_of
from shared.status import Status
from shared.view import MoveView, view_of
from shared.why import Reason, why

LINK_S: Final = 900
"""A link to an artefact holds this long: it dies with the session of the role that signs it."""

ANSWER_BYTES_MAX: Final = 4 * 1024 * 1024
"""Lambda answers with 6 MB at most, and JSON within JSON grows."""

NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.@-]{0,63}")


class DelayQuery(Query):
    delay_s: Annotated[float, Field(ge=0, le=DELAY_S_MAX, allow_inf_nan=False)] = 0.0


class SubmitHeaders(BaseModel):
    """`Idempotency-Key`: the same key and payload is the same job; another payload is refused (409)."""

    idempotency_key: Annotated[str, StringConstraints(min_length=1, max_length=256)] | None = Field(
        None, alias="Idempotency-Key"
    )


class Accepted(BaseModel):
    job_id: str
    status: Status
    created_at: str


class PayloadView(BaseModel):
    """One too large for an answer (over 4 MB) is behind `href`, for 15 minutes."""

    payload: JsonValue = None
    href: str | None = None


class Events(BaseModel):
    """Every move of the job, oldest first."""

    events: list[MoveView]


class Failures(BaseModel):
    """Whole messages and stacks, newest first."""

    errors: list[ErrorBody]


class Why(BaseModel):
    """The reasons, the nearest first."""

    job_id: str
    status: Status
    reasons: list[Reason]


class Link(BaseModel):
    """`href` may be fetched by anybody who has it, for 15 minutes."""

    url: str
    href: str


class Result(Response):
    """The job's standard response, and a link to each artefact that it names. One too large for an answer (over 4 MB)
    comes without `result`, `details` and `payload`, and with a link to the whole document."""

    links: list[Link]


async def submit(call: Call) -> Answer:
    payload = payload_in(call)
    headers = SubmitHeaders.model_validate({"Idempotency-Key": call.request.headers.get("idempotency-key")})
    delay_s = call.query(DelayQuery).delay_s
    job, is_new = await call.service.accept(payload, idempotency_key=headers.idempotency_key, delay_s=delay_s)
    accepted = Accepted(job_id=job.job_id, status=job.status, created_at=rfc3339(job.created_at))
    return answer_json(202 if is_new else 200, accepted, {"Location": f"/jobs/{job.job_id}"})


async def get(call: Call) -> Answer:
    return _shown(200, call, await job_of(call))


async def cancel(call: Call) -> Answer:
    """200: it is over. 202: its worker has been asked."""
    job = await call.service.cancel(call.caller.tenant_id, _id(call), who=call.caller.who)
    return _shown(200 if job.status.is_terminal else 202, call, job)


async def redrive(call: Call) -> Answer:
    delay_s = call.query(DelayQuery).delay_s
    job = await call.service.redrive(call.caller.tenant_id, _id(call), who=call.caller.who, delay_s=delay_s)
    return _shown(202, call, job)


async def payload(call: Call) -> Answer:
    job = await job_of(call)
    if job.payload_place == "s3":
        href = await call.ports.objects.presign(payload_key(job), seconds=LINK_S)
        return answer_json(200, PayloadView(href=href))
    return answer_json(200, PayloadView(payload=from_json(await call.service.payload(job))))


async def events(call: Call) -> Answer:
    moves = await call.service.history(await job_of(call))
    return answer_json(200, Events(events=list(moves)))


async def failures(call: Call) -> Answer:
    return answer_json(200, Failures(errors=list(await call.service.failures(await job_of(call)))))


async def reasons(call: Call) -> Answer:
    job = await job_of(call)
    left = await left_of(call.ports, job) if job.status is Status.WAITING else ()
    waits = await waits_of(call.ports, job)
    return answer_json(200, Why(job_id=job.job_id, status=job.status, reasons=why(job, call.ports.now(), left, waits)))


async def result(call: Call) -> Answer:
    job = await job_of(call)
    response = await call.service.result(job)
    bucket, prefix = call.ports.objects.bucket, f"artifacts/{job.tenant_id}/"  # a flow's files are its children's
    urls = sorted(_urls([response.data.result, response.data.details], f"s3://{bucket}/{prefix}"))
    answer = answer_json(200, Result(**dict(response), links=await _links(call, urls)))
    if len(answer.body) <= ANSWER_BYTES_MAX:
        return answer
    slim, whole = ResponseData(job_id=job.job_id, type=job.type), f"s3://{bucket}/{job.result}"
    for kept in ([whole, *urls], [whole]):
        links = await _links(call, kept)
        answer = answer_json(200, Result(success=response.success, data=slim, error=response.error, links=links))
        if len(answer.body) <= ANSWER_BYTES_MAX:
            break
    return answer


# --- small things -----------------------------------------------------------------------------------------------------


def payload_in(call: Call) -> Payload:
    """The body of a submission."""
    document = call.json()
    if not isinstance(document, dict):
        raise InvalidInput("invalid_payload", "a JSON object", field="(the document)")
    return read_payload(to_json(_of_caller(document, call.caller)))


async def job_of(call: Call) -> Job:
    """The caller's, that the path names."""
    return await call.service.get(call.caller.tenant_id, _id(call))


def _id(call: Call) -> str:
    """What cannot be an id is one that nobody has."""
    job_id = call.path["job_id"]
    if not NAME.fullmatch(job_id):
        raise NotFound("no_such_job", f"no job {job_id[:64]!r}", field="job_id")
    return job_id


def _shown(status: int, call: Call, job: Job) -> Answer:
    cost_usd = round(of_job(job, memory_mb(job.type)).usd, 9)
    return answer_json(status, view_of(job, bucket=call.ports.objects.bucket).model_copy(update={"cost_usd": cost_usd}))


def _of_caller(document: dict[str, object], caller: Caller) -> dict[str, object]:
    """The payload with the tenant of its token. Refusal 403 if it names another."""
    named = {document[name] for name in ("tenant_id", "tenantId") if isinstance(document.get(name), str)}
    if named - {caller.tenant_id}:
        raise Refusal(403, "another_tenant", "the token is for another tenant")
    mine = dict(document)
    if not mine.keys() & {"tenant_id", "tenantId"}:
        mine["tenant_id"] = caller.tenant_id
    if not mine.keys() & {"user_id", "userId"} and NAME.fullmatch(caller.user_id):
        mine["user_id"] = caller.user_id
    return mine


async def _links(call: Call, urls: Sequence[str]) -> list[Link]:
    objects = call.ports.objects
    keys = [url.removeprefix(f"s3://{objects.bucket}/") for url in urls]
    hrefs = [await objects.presign(key, seconds=LINK_S) for key in keys]
    return [Link(url=url, href=href) for url, href in zip(urls, hrefs, strict=True)]


def _urls(value: JsonValue, prefix: str) -> set[str]:
    """Every text in a document that begins with `prefix`."""
    match value:
        case str() if value.startswith(prefix):
            return {value}
        case list():
            return {url for item in value for url in _urls(item, prefix)}
        case dict():
            return {url for item in value.values() for url in _urls(item, prefix)}
    return set()
