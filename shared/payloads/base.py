"""What every payload has, and how strict it is.

A payload is one flat JSON object: the base fields and the type's own. snake_case and camelCase are both read; an
unknown field, a wrong type or a number in quotes is refused with the field's path.
"""

import json
import re
from typing import Annotated, ClassVar, Final, Literal

from pydantic import (
    AfterValidator,
    AliasChoices,
    AliasGenerator,
    BaseModel,
    ConfigDict,
    Field,
    GetJsonSchemaHandler,
    StringConstraints,
)
from pydantic.alias_generators import to_camel
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

from shared.lanes import Priority
from shared.retry import Policy
from shared.throttle import throttles_text


def _either_spelling(name: str) -> str | AliasChoices:
    """snake_case first: that is how schemas and docs spell it."""
    camel = to_camel(name)
    return name if camel == name else AliasChoices(name, camel)


STRICT = ConfigDict(
    strict=True,
    extra="forbid",
    frozen=True,
    alias_generator=AliasGenerator(validation_alias=_either_spelling, serialization_alias=str),
    validate_by_name=True,
    validate_by_alias=True,
)

SHAPES: Final[dict[str, str]] = {}
"""Pattern → what it lets through, for those who don't read patterns."""


def shaped(
    pattern: str, words: str, *, min_length: int | None = None, max_length: int | None = None
) -> StringConstraints:
    """Whoever is refused is told `words`."""
    SHAPES[pattern] = words
    return StringConstraints(pattern=pattern, min_length=min_length, max_length=max_length)


Name = Annotated[str, shaped(r"^[A-Za-z0-9][A-Za-z0-9_.@-]*$", "up to 64 letters, digits and . _ @ -", max_length=64)]
"""Tenant, user, worker and job ids: no `#`, `/`, blanks or control characters, so that keys can be made of them."""

Identifier = Annotated[str, shaped(r"^[^\x00]+$", "text without NUL", min_length=1, max_length=128)]
"""A table's or column's name, any that the database allows; always quoted before it meets SQL."""


METADATA_BYTES_MAX = 1_024
"""As JSON: it is written with every move of the row."""


def _small(metadata: dict[str, str | int | float | bool | None]) -> dict[str, str | int | float | bool | None]:
    size_bytes = len(json.dumps(metadata, ensure_ascii=False).encode("utf-8", "replace"))
    if size_bytes > METADATA_BYTES_MAX:
        raise ValueError(f"{size_bytes:,} bytes as JSON; at most {METADATA_BYTES_MAX:,}")
    return metadata


Metadata = Annotated[dict[str, str | int | float | bool | None], AfterValidator(_small)]


class Strict(BaseModel):
    """Base of every nested options object."""

    model_config = STRICT


class Payload(BaseModel):
    """Base of every job type's payload. Subclasses fix `type` to a literal and may set `policy`."""

    model_config = STRICT

    policy: ClassVar[Policy] = Policy()
    internal: ClassVar[bool] = False
    """The system's own: no door takes such a job."""

    type: str
    tenant_id: Name = "default"
    job_id: Name | None = None
    worker_id: Name | None = None
    priority: Priority = "normal"
    user_id: Name | None = None
    metadata: Metadata = Field(default_factory=dict, max_length=32)

    @classmethod
    def __get_pydantic_json_schema__(cls, core: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        """As a document it says its type, which a model need not be told."""
        reference = handler(core)
        schema = handler.resolve_ref_schema(reference)
        schema["required"] = ["type", *schema.get("required", ())]
        return reference

    @classmethod
    def __pydantic_init_subclass__(cls, **_: object) -> None:
        """A throttle by a field that is not there is the author's mistake, told when the type is declared."""
        for throttle in (*cls.policy.throttles, *([cls.policy.door] if cls.policy.door else [])):
            if throttle.by not in {"tenant", *cls.model_fields}:
                raise TypeError(
                    f"{cls.__name__} is throttled by {throttle.by!r}: 'type', 'tenant', or one of its fields"
                )

    def throttles(self) -> str | None:
        """What this job waits for, as its row keeps it."""
        return throttles_text(self.effective_policy().throttles, self.tenant_id, dict(self))

    @classmethod
    def cleanup(cls, tenant_id: str, checkpoint: str, ended_at: int) -> "Payload | None":  # noqa: ARG003  for subclasses
        """The job that ends what a job of this type, which failed or was cancelled, has begun elsewhere; None: nothing.

        `ended_at` in milliseconds.
        """
        return None

    def effective_policy(self) -> Policy:
        """The type's policy, with what this payload's own options change of it."""
        return self.policy

    def body_json(self) -> str:
        """The type's own fields alone, compact, without defaults: what the row keeps and the payload's hash is of."""
        return self.model_dump_json(exclude=BASE_FIELDS, exclude_defaults=True, by_alias=True)


BASE_FIELDS: set[str] = set(Payload.model_fields)


class Encryption(Strict):
    """Encryption at rest of the artefact by S3: SSE-S3 (`AES256`) or SSE-KMS (`aws:kms`, with a key id or alias)."""

    enabled: bool = False
    algorithm: Literal["AES256", "aws:kms"] = "AES256"
    key_id: Annotated[str, StringConstraints(max_length=256)] | None = None


def _refuse_password(url: str) -> str:
    """Of a database: everything before `?` is searched, since a password may hold a slash that nobody escaped."""
    head, _, query = url.partition("?")
    user_info = head.partition("://")[2].rpartition("@")[0]
    if (not url.startswith("sqlite:") and ":" in user_info) or re.search(r"(^|&)(ssl)?password=", query):
        raise ValueError("must not hold a password: store the URL as a secret and give secret://NAME")
    return url


def refuse_user_info(url: str) -> str:
    """Of a file: `https://user:password@host/…` would be kept in the job's row."""
    if "@" in url.partition("://")[2].partition("/")[0]:
        raise ValueError("must not hold a user or password: give a presigned URL")
    return url


DatabaseRef = Annotated[
    str,
    shaped(
        r"^(sqlite:///|postgresql://|postgres://|secret://|env://).+",
        "sqlite:///PATH, postgresql://user@host/name, secret://NAME or env://NAME",
        max_length=1024,
    ),
    AfterValidator(_refuse_password),
]
"""Where a database is: `sqlite:///PATH`, `postgresql://user@host/name` (no password), `secret://NAME` (a connection
URL in Secrets Manager, of this tenant alone) or `env://NAME` (the worker's variable LONGSHORE_DATABASE_NAME)."""

Tables = Annotated[tuple[Identifier, ...], Field(min_length=1, max_length=10_000)]
