"""How a request says which jobs it means: in its query, or in its body."""

from collections.abc import Iterable
from datetime import datetime
from typing import Annotated, Self

from pydantic import AwareDatetime, BaseModel, ConfigDict, StringConstraints, model_validator

from shared.payloads.base import Name
from shared.selection import Filter
from shared.status import Status

Text = Annotated[str, StringConstraints(min_length=1, max_length=200)]
Cursor = Annotated[str, StringConstraints(min_length=1, max_length=4_000)]
Statuses = Annotated[str, StringConstraints(pattern=r"^[A-Za-z_]+(,[A-Za-z_]+)*$", max_length=100)]


class Query(BaseModel):
    """Of the query string: texts that must read as what is asked for, and nothing else."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class FilterQuery(Query):
    """`status`: one or more, by commas. `since` and `until` are of the creation, RFC 3339."""

    status: Statuses | None = None
    type: Name | None = None
    error: Text | None = None
    text: Text | None = None
    since: AwareDatetime | None = None
    until: AwareDatetime | None = None

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
        )


class Wanted(BaseModel):
    """Which jobs: at least one of these must be said. Times are RFC 3339, of the creation."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    status: list[Status] = []
    type: Name | None = None
    error: Text | None = None
    text: Text | None = None
    since: AwareDatetime | None = None
    until: AwareDatetime | None = None

    def filter(self) -> Filter:
        return Filter(
            statuses=frozenset(self.status),
            type=self.type,
            error=self.error,
            text=self.text,
            created_since=ms(self.since),
            created_until=ms(self.until),
        )


def ms(at: datetime | None) -> int | None:
    return None if at is None else round(at.timestamp() * 1000)
