"""How a request says which jobs it means: in its query, or in its body."""

import re
from collections.abc import Iterable
from datetime import datetime
from typing import Annotated, Final, Self

from pydantic import (
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    StringConstraints,
    WithJsonSchema,
    model_validator,
)

from shared.payloads.base import Name
from shared.selection import Filter
from shared.status import Status

Text = Annotated[str, StringConstraints(min_length=1, max_length=200)]
Cursor = Annotated[str, StringConstraints(min_length=1, max_length=4_000)]


def _rfc3339(value: object) -> object:
    """Pydantic would take a bare number for seconds since 1970; and what comes after a validator is no longer JSON."""
    if isinstance(value, str) and re.match(r"\d{4}-\d\d-\d\d[Tt]", value):
        return datetime.fromisoformat(value.upper())
    if isinstance(value, datetime):
        return value
    raise ValueError("a time by RFC 3339, such as 2026-01-31T12:00:00Z")


Time = Annotated[AwareDatetime, BeforeValidator(_rfc3339)]

_WORD: Final = f"({'|'.join(Status)})"
Statuses = Annotated[
    str,
    StringConstraints(pattern=r"^[A-Za-z_]+(,[A-Za-z_]+)*$", max_length=100),
    WithJsonSchema({"type": "string", "pattern": f"^{_WORD}(,{_WORD})*$", "maxLength": 100}),
]
"""Small letters will do, too."""


class Query(BaseModel):
    """Of the query string: texts that must read as what is asked for, and nothing else."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class FilterQuery(Query):
    """`status`: one or more, by commas. `since` and `until` are of the creation, `ended_since` of the end; RFC 3339."""

    status: Statuses | None = None
    type: Name | None = None
    error: Text | None = None
    text: Text | None = None
    since: Time | None = None
    until: Time | None = None
    ended_since: Time | None = None

    @model_validator(mode="after")
    def _known(self) -> Self:
        unknown = {word for word in (self.status or "").upper().split(",") if word} - {*Status}
        if unknown:
            raise ValueError(f"there is no status {', '.join(sorted(unknown))}; there are {', '.join(Status)}")
        return self

    def filter(self, default: Iterable[Status] = ()) -> Filter:
        said = {Status(word) for word in (self.status or "").upper().split(",") if word}
        return Filter(
            statuses=frozenset(said or default),
            type=self.type,
            error=self.error,
            text=self.text,
            created_since=ms(self.since),
            created_until=ms(self.until),
            ended_since=ms(self.ended_since),
        )


class Wanted(BaseModel):
    """Which jobs: at least one of these must be said. `since` and `until` are of the creation, RFC 3339."""

    model_config = ConfigDict(extra="forbid", frozen=True, json_schema_extra={"minProperties": 1})

    status: list[Status] = []
    type: Name | None = None
    error: Text | None = None
    text: Text | None = None
    since: Time | None = None
    until: Time | None = None
    ended_since: Time | None = None

    def filter(self) -> Filter:
        return Filter(
            statuses=frozenset(self.status),
            type=self.type,
            error=self.error,
            text=self.text,
            created_since=ms(self.since),
            created_until=ms(self.until),
            ended_since=ms(self.ended_since),
        )


def ms(at: datetime | None) -> int | None:
    return None if at is None else round(at.timestamp() * 1000)
