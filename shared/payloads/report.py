"""`report`: what a query says, of a database or of earlier results, as a file for people."""

from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, StringConstraints, model_validator

from shared.payloads.base import DatabaseRef, Identifier, Payload, Strict, shaped
from shared.payloads.extract import OutputPath
from shared.payloads.transcode import StoredUrl
from shared.retry import Policy

Words = Annotated[str, shaped(r"^[^\x00-\x1f\x7f]+$", "one line", min_length=1, max_length=200)]


class ReportColumn(Strict):
    """One of the query's columns. `format` is how it is written; without one, as its type is."""

    name: Identifier
    title: Words | None = None
    format: Literal["text", "integer", "decimal", "percent", "date", "datetime"] | None = None
    digits: Annotated[int, Field(ge=0, le=10)] = 2
    unit: (
        Annotated[str, shaped(r'^[^"\\\x00-\x1f\x7f]{1,8}$', "up to 8 characters, no quote or backslash among them")]
        | None
    ) = None
    total: Literal["sum", "average", "min", "max", "count"] | None = None


class ReportChart(Strict):
    """`values` of each row over its `label`, both by column; a pie has one value."""

    kind: Literal["bar", "line", "pie"]
    label: Identifier
    values: Annotated[tuple[Identifier, ...], Field(min_length=1, max_length=6)]
    title: Words | None = None

    @model_validator(mode="after")
    def _one_pie(self) -> Self:
        if self.kind == "pie" and len(self.values) > 1:
            raise ValueError("a pie has one column of values")
        return self


class ReportPayload(Payload):
    """`files`: names that the query knows → the tenant's own files; of a single one, all rows without a query."""

    policy: ClassVar[Policy] = Policy(timeout_s=300)

    type: Literal["report"] = "report"
    title: Words
    database: DatabaseRef | None = None
    files: Annotated[dict[Identifier, StoredUrl], Field(min_length=1, max_length=10)] | None = None
    query: Annotated[str, StringConstraints(min_length=1, max_length=20_000)] | None = None
    output_format: Literal["xlsx", "csv", "html", "pdf"] = "xlsx"
    name: OutputPath = "report"
    parameters: Annotated[dict[Words, str | int | float | bool | None], Field(max_length=32)] = Field(
        default_factory=dict
    )
    columns: Annotated[tuple[ReportColumn, ...], Field(min_length=1, max_length=100)] | None = None
    chart: ReportChart | None = None

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        if (self.database is None) == (self.files is None):
            raise ValueError("give either database or files")
        if self.query is None and (self.files is None or len(self.files) > 1):
            raise ValueError("give a query: only a single file can do without")
        return self
