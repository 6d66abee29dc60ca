"""`http_request`: one HTTP request; its answer checked, and kept.

What is small and text is the result's `body`, everything else its artefact. An attempt that dies after the request and
before the settlement is made again: POST and PATCH carry the job's id as `Idempotency-Key`.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Final

import aiohttp
from pydantic import JsonValue
from pydantic_core import from_json, to_json

from shared.errors import Permanent, Transient
from shared.net.blank import Blank
from shared.net.bound import value_for
from shared.net.exchange import Request, exchange
from shared.payloads.http_request import SECRET, HttpRequestPayload
from shared.payloads.results import Artifact, ProcessResult
from shared.runtime.context import Context
from shared.runtime.definition import job
from shared.runtime.webhooks import may_be_local
from shared.webhooks import asked_s

INLINE_BYTES_MAX: Final = 32 * 1024
SAID_BYTES_MAX: Final = 1024
SAID_S: Final = 2.0
SAID_CHARACTERS_MAX: Final = 120
TOLD: Final = ("Content-Type", "Date", "ETag", "Last-Modified", "Link", "Location", "X-Request-Id")
"""Of the answer's headers; not its cookies."""

CHUNK_BYTES: Final = 1 << 20


@job(HttpRequestPayload)
async def http_request(payload: HttpRequestPayload, context: Context) -> ProcessResult:
    """Ask, judge the status, keep the answer."""
    secrets = await _secrets(payload, context)
    blank = Blank.of(secrets.values())
    async with exchange(
        _request(payload, secrets, context.job_id),
        timeout_s=payload.timeout,
        redirects_max=payload.redirects_max,
        is_local=may_be_local(),
    ) as answer:
        body = blank.stream(answer.content.iter_chunked(CHUNK_BYTES))
        await _judge(answer, body, payload, context.ports.now())
        told = {name: blank.text(answer.headers[name]) for name in TOLD if name in answer.headers}
        data: dict[str, JsonValue] = {"status": answer.status, "headers": dict(told)}
        begun = await _begun(body, INLINE_BYTES_MAX + 1)
        if payload.name is None and (inline := _inline(begun, answer.content_type)) is not None:
            return ProcessResult(data=data | inline)
        return ProcessResult(data=data, artifact=await _kept(begun, body, answer.content_length, payload, context))


async def _secrets(payload: HttpRequestPayload, context: Context) -> dict[str, str]:
    """Header → the value of the secret that it names, which is one for this server."""
    secrets: dict[str, str] = {}
    for header, value in payload.headers.items():
        if found := SECRET.search(value):
            field = f"headers.{header}"
            kept = await context.secret(found[1], field=field)
            secrets[header] = value_for(payload.url, kept, name=found[1], field=field)
    return secrets


def _request(payload: HttpRequestPayload, secrets: dict[str, str], job_id: str) -> Request:
    own = {"User-Agent": "Longshore", "Accept-Encoding": "identity"}
    body = None if payload.body is None else payload.body.encode()
    if payload.document is not None:
        own["Content-Type"], body = "application/json", to_json(payload.document)
    elif body is not None:
        own["Content-Type"] = "text/plain; charset=utf-8"
    if payload.method in ("POST", "PATCH"):
        own["Idempotency-Key"] = job_id
    given = {name: SECRET.sub("", value) + secrets.get(name, "") for name, value in payload.headers.items()}
    if broken := next((name for name in secrets if not given[name].isprintable()), None):
        raise Permanent("bad_secret", "its secret holds what no header may: a line break?", field=f"headers.{broken}")
    names = {name.lower() for name in given}
    headers = {name: value for name, value in own.items() if name.lower() not in names} | given
    return Request(payload.method, payload.url, headers, body, frozenset(name.lower() for name in secrets))


async def _judge(
    answer: aiohttp.ClientResponse, body: AsyncIterator[bytes], payload: HttpRequestPayload, now: int
) -> None:
    status = answer.status
    if status in payload.expect or (not payload.expect and 200 <= status < 300):
        return
    said = b""
    with suppress(TimeoutError):  # it has said enough by its status
        async with asyncio.timeout(SAID_S):
            said = await _begun(body, SAID_BYTES_MAX)
    words = " ".join(said[:SAID_BYTES_MAX].decode("utf-8", "replace").split())
    message = f"the server answers {status}: {words[:SAID_CHARACTERS_MAX]}".removesuffix(": ")
    if status in payload.retry_on:
        pause_s = asked_s(answer.headers.get("Retry-After"), now)
        raise Transient("unexpected_status", message, field="url", retry_after_s=pause_s)
    raise Permanent("unexpected_status", message, field="url")


async def _begun(body: AsyncIterator[bytes], size_bytes: int) -> bytes:
    """At least so much of it, if there is as much."""
    begun = b""
    while len(begun) < size_bytes and (chunk := await anext(body, b"")):
        begun += chunk
    return begun


def _inline(body: bytes, media_type: str) -> dict[str, JsonValue] | None:
    """`body` for the result; None: it is too large, or neither JSON nor UTF-8."""
    if len(body) > INLINE_BYTES_MAX:
        return None
    try:
        is_json = media_type.endswith(("/json", "+json"))
        return {"body": from_json(body, allow_inf_nan=False) if is_json and body else body.decode()}
    except ValueError:
        return None


async def _kept(
    begun: bytes, rest: AsyncIterator[bytes], total_bytes: int | None, payload: HttpRequestPayload, context: Context
) -> Artifact:
    async with context.artifacts.create(payload.name or "answer") as upload:
        chunk = begun
        while chunk:
            if upload.size_bytes + len(chunk) > payload.answer_bytes_max:
                raise Permanent("too_large", f"more than {payload.answer_bytes_max:,} bytes", field="answer_bytes_max")
            await upload.write(chunk)
            context.progress(upload.size_bytes, total_bytes, message="bytes")
            chunk = await anext(rest, b"")
    return Artifact(url=upload.url, size_bytes=upload.size_bytes, sha256=upload.sha256)


handler = http_request.lambda_handler
