"""The routes of the system itself: what there is, and whether it lives."""

from functools import cache
from typing import Annotated, Any  # Any: a JSON Schema is whatever JSON Schema says it is

from pydantic import BaseModel, ConfigDict, Field

from shared.limits import UPLOAD_BYTES_MAX
from shared.payloads import open_types
from shared.payloads.base import shaped
from shared.runtime import watchers
from shared.runtime.api.app import Call
from shared.runtime.api.jobs import LINK_S
from shared.runtime.api.messages import Answer, answer_json


class TypeView(BaseModel):
    """A job type: its payload's JSON Schema, and how it is run."""

    type: str
    description: str
    attempts_max: int
    timeout_s: int
    payload_schema: dict[str, Any]


class Types(BaseModel):
    types: list[TypeView]


class Health(BaseModel):
    status: str


class Ticket(BaseModel):
    """Open `url` within a minute, once: it needs no other token. Then send {"action": "subscribe", "topic": …}."""

    ticket: str
    url: str
    expires_in_s: int


async def new_ticket(call: Call) -> Answer:
    ticket = await watchers.new_ticket(call.ports, call.caller.tenant_id, call.caller.user_id)
    seconds = watchers.TICKET_MS // 1000
    return answer_json(201, Ticket(ticket=ticket, url=f"{call.live_url}?ticket={ticket}", expires_in_s=seconds))


class UploadAsk(BaseModel):
    model_config = ConfigDict(extra="forbid")

    name: Annotated[str, shaped(r"^[A-Za-z0-9][A-Za-z0-9_.-]*$", "up to 128 letters, digits and . _ -", max_length=128)]
    size_bytes: Annotated[int, Field(ge=1, le=UPLOAD_BYTES_MAX)]


class UploadPlace(BaseModel):
    """PUT the file's bytes to `href` within 15 minutes; name it `url` in a payload. It is kept as long as artefacts."""

    url: str
    href: str
    expires_in_s: int


async def upload(call: Call) -> Answer:
    ask, objects = call.body(UploadAsk), call.ports.objects
    key = f"artifacts/{call.caller.tenant_id}/uploads/{call.ports.token()}/{ask.name}"
    href = await objects.presign_upload(key, size_bytes=ask.size_bytes, seconds=LINK_S)
    return answer_json(201, UploadPlace(url=f"s3://{objects.bucket}/{key}", href=href, expires_in_s=LINK_S))


async def types(_call: Call) -> Answer:
    return answer_json(200, _types())


async def health(_call: Call) -> Answer:
    """That the function runs. It touches nothing: whoever asks needs no token."""
    return answer_json(200, Health(status="ok"))


@cache
def _types() -> Types:
    return Types(
        types=[
            TypeView(
                type=name,
                description=(model.__doc__ or "").strip(),
                attempts_max=model.policy.attempts_max,
                timeout_s=model.policy.timeout_s,
                payload_schema=model.model_json_schema(),
            )
            for name, model in open_types().items()
        ]
    )
