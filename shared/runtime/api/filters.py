"""How a request says which jobs it means: in its query, or in its body."""

import re
from collections.abc import Iterable
from datetime import datetime
from typing import Annotated, Final

from pydantic import (
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    StringConstraints,
    WithJsonSchema,
    field_validator,
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


class Said(Query):
    """Which jobs. `since` and `until` are of the creation, `ended_since` of the end; RFC 3339."""

    type: Name | None = None
    error: Text | None = None
    text: Text | None = None
    since: Time | None = None
    until: Time | None = None
    ended_since: Time | None = None

    def of(self, statuses: Iterable[Status]) -> Filter:
        return Filter(
            statuses=frozenset(statuses),
            type=self.type,
            error=self.error,
            text=self.text,
            created_since=ms(self.since),
            created_until=ms(self.until),
            ended_since=ms(self.ended_since),
        )


class FilterQuery(Said):
    """In a query: `status` is one or more, by commas."""

    status: Statuses | None = None

    @field_validator("status")
    @classmethod
    def _known(cls, status: str | None) -> str | None:
        unknown = {*_words(status)} - {*Status}
        if unknown:
            raise ValueError(f"there is no status {', '.join(sorted(unknown))}; there are {', '.join(Status)}")
        return status

    def filter(self) -> Filter:
        return self.of(map(Status, _words(self.status)))


class Wanted(Said):
    """In a body: at least one of these must be said."""

    model_config = ConfigDict(json_schema_extra={"minProperties": 1})

    status: list[Status] = []

    def filter(self) -> Filter:
        return self.of(self.status)


def ms(at: datetime | None) -> int | None:
    return None if at is None else round(at.timestamp() * 1000)


def _words(status: str | None) -> list[str]:
    return status.upper().split(",") if status else []
