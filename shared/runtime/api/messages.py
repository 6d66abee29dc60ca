"""What goes into the API and what comes out of it, whoever carries it."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType
from typing import Final

from pydantic import BaseModel, TypeAdapter
from pydantic_core import to_json

from shared.payloads.base import Name

JSON_TYPE: Final = "application/json"

WHO_CHARACTERS_MAX: Final = 32

NOBODY: Final = frozenset({"null", "None", "undefined"})
"""A claim that was empty, made a text on its way: all whose issuer forgot their tenant would share one."""

_NAME: Final[TypeAdapter[str]] = TypeAdapter(Name)


class Role(StrEnum):
    """What a token allows; each may do all that those before it may. Viewer, producer and operator are of a tenant, an
    admin looks after the stack: its queues, its quarantine and its audit, and in its own tenant does as an operator."""

    VIEWER = "viewer"
    PRODUCER = "producer"
    OPERATOR = "operator"
    ADMIN = "admin"


RANK: Final = {role: rank for rank, role in enumerate(Role)}


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks, as the token says. `role` is the highest of its roles; None: it has none of ours."""

    tenant_id: str
    user_id: str
    role: Role | None

    @property
    def who(self) -> str:
        """For a job's history: one short word."""
        return re.sub(r"[^\w.@|:-]", "_", self.user_id, flags=re.ASCII)[:WHO_CHARACTERS_MAX] or "somebody"


@dataclass(frozen=True, slots=True)
class Request:
    """`headers` by lower-case name. `caller` None: no token, or one that the gateway did not accept."""

    method: str
    path: str
    query: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    caller: Caller | None = None
    request_id: str = ""


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)


def answer_json(
    status: int, document: BaseModel | Mapping[str, object], headers: Mapping[str, str] = MappingProxyType({})
) -> Answer:
    """What is None is left out of a model."""
    if isinstance(document, BaseModel):
        body = document.model_dump_json(exclude_none=True).encode()
    else:
        body = to_json(document)
    return Answer(status, body, {"Content-Type": JSON_TYPE, **headers})


def caller_of(claims: Mapping[str, object]) -> Caller | None:
    """The claims of a token that the gateway has checked → who asks. None if no tenant of ours can be read from them.

    `tenant_id`, `sub`, and `roles`: a list, or as API Gateway hands a list on, the text `[viewer operator]`:
    https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-jwt-authorizer.html
    """
    tenant_id = claims.get("tenant_id")
    if not isinstance(tenant_id, str) or tenant_id in NOBODY or not _is_name(tenant_id):
        return None
    said = claims.get("roles", "")
    words = [str(word) for word in said] if isinstance(said, list) else re.split(r"[\s,]+", str(said).strip("[]"))
    roles = [role for role in Role if role in words]
    return Caller(tenant_id, str(claims.get("sub", "")), max(roles, key=RANK.__getitem__, default=None))


def _is_name(text: str) -> bool:
    try:
        return bool(_NAME.validate_python(text, strict=True))
    except ValueError:
        return False
