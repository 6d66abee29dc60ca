"""`bulk_import`: a CSV or JSON lines file, checked row by row, into one table."""

from typing import Annotated, ClassVar, Final, Literal, Self

from pydantic import (
    AfterValidator,
    AwareDatetime,
    Field,
    NaiveDatetime,
    StringConstraints,
    TypeAdapter,
    model_validator,
)
from pydantic_core import SchemaError

from shared.payloads.base import DatabaseRef, Identifier, Payload, Strict
from shared.payloads.restore import ArtifactUrl
from shared.retry import Policy

ColumnType = Literal["text", "integer", "number", "boolean", "date", "timestamp", "json", "uuid"]

DATE: Final = "[0-9]{4}-[0-9]{2}-[0-9]{2}"
TIMESTAMP: Final = rf"{DATE}[T ][0-9]{{2}}:[0-9]{{2}}(:[0-9]{{2}}(\.[0-9]{{1,9}})?)?(Z|[+-][0-9]{{2}}:[0-9]{{2}})?"
"""Forms of RFC 3339; in a timestamp the seconds and the zone (UTC) may be left out."""

_TEXT_ONLY: Final = ("max_length", "pattern", "enum")
_AT: Final[TypeAdapter[object]] = TypeAdapter(AwareDatetime | NaiveDatetime)
_BOUND: Final[dict[ColumnType, TypeAdapter[int] | TypeAdapter[float] | TypeAdapter[str]]] = {
    "integer": TypeAdapter(Annotated[int, Field(strict=True)]),
    "number": TypeAdapter(Annotated[float, Field(strict=True, allow_inf_nan=False)]),
    "date": TypeAdapter(
        Annotated[
            str, StringConstraints(pattern=f"^{DATE}$"), AfterValidator(lambda day: _AT.validate_python(f"{day}T00:00"))
        ]
    ),
    "timestamp": TypeAdapter(
        Annotated[str, StringConstraints(pattern=f"^{TIMESTAMP}$"), AfterValidator(_AT.validate_python)]
    ),
}


def _readable(pattern: str) -> str:
    try:
        full_match(pattern)
    except SchemaError:
        raise ValueError("must be a regular expression in the syntax of Rust's regex: no look-around") from None
    return pattern


def full_match(pattern: str) -> TypeAdapter[list[str]]:
    """Of whole texts, in linear time whatever the pattern. https://docs.rs/regex/latest/regex/#syntax"""
    TypeAdapter(Annotated[str, StringConstraints(pattern=pattern)])  # alone: it must not end the group around it
    return TypeAdapter(list[Annotated[str, StringConstraints(pattern=rf"\A(?:{pattern})\z")]])


class BulkColumn(Strict):
    """What a column's cells must be. `source`: the file's name for it, if that is another one.

    `min` and `max` are for integer and number, and as ISO 8601 texts for date and timestamp; `max_length` (characters),
    `pattern` (of the whole cell) and `enum` for text.
    """

    type: ColumnType = "text"
    source: Identifier | None = None
    required: bool = False
    unique: bool = False
    min: int | float | str | None = None
    max: int | float | str | None = None
    max_length: Annotated[int, Field(ge=1, le=1_000_000)] | None = None
    pattern: Annotated[str, StringConstraints(min_length=1, max_length=512), AfterValidator(_readable)] | None = None
    enum: (
        Annotated[tuple[Annotated[str, StringConstraints(max_length=256)], ...], Field(min_length=1, max_length=1000)]
        | None
    ) = None

    @model_validator(mode="after")
    def _fits_its_type(self) -> Self:
        if self.type != "text" and any(getattr(self, name) is not None for name in _TEXT_ONLY):
            raise ValueError(f"{', '.join(_TEXT_ONLY)} are for text")
        bounds = [bound for bound in (self.min, self.max) if bound is not None]
        if bounds and self.type not in _BOUND:
            raise ValueError("min and max are for integer, number, date and timestamp")
        for bound in bounds:
            try:
                _BOUND[self.type].validate_python(bound)
            except ValueError:
                raise ValueError(f"min and max must be of the type {self.type}") from None
        return self


class BulkImportPayload(Payload):
    """`source` is `s3://` (an upload, or an artefact) or `https://`. `upsert` goes by the columns of `key`; `replace`
    leaves the table's old rows there until all new ones are. `create` the table if there is none."""

    policy: ClassVar[Policy] = Policy(timeout_s=300)

    type: Literal["bulk_import"] = "bulk_import"
    source: ArtifactUrl
    database: DatabaseRef
    table: Identifier
    columns: Annotated[dict[Identifier, BulkColumn], Field(min_length=1, max_length=500)]
    mode: Literal["insert", "upsert", "replace"] = "insert"
    key: Annotated[tuple[Identifier, ...], Field(max_length=16)] = ()
    create: bool = False
    format: Literal["csv", "jsonl"] | None = None
    compression: Literal["none", "gzip", "zstd"] | None = None
    delimiter: Literal[",", ";", "\t", "|"] = ","
    header: bool = True
    nulls: Annotated[tuple[Annotated[str, StringConstraints(max_length=32)], ...], Field(max_length=10)] = ("",)
    errors_max: Annotated[int, Field(ge=0, le=1_000_000)] = 1_000

    @model_validator(mode="after")
    def _has_a_key(self) -> Self:
        if self.mode == "upsert" and not self.key:
            raise ValueError("key must name the columns that tell which row is meant, to upsert")
        if unknown := set(self.key) - self.columns.keys():
            raise ValueError(f"key: {min(unknown)!r} is none of the columns")
        if len(set(self.key)) < len(self.key):
            raise ValueError("key names a column twice")
        return self
