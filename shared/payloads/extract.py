"""`extract`: tables or one query out of a database into files that other programs read."""

from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, StringConstraints, model_validator

from shared.payloads.base import DatabaseRef, Payload, Strict, Tables, shaped
from shared.retry import Policy

OutputPath = Annotated[
    str,
    shaped(
        r"^[A-Za-z0-9][A-Za-z0-9_.=-]*(/[A-Za-z0-9_=-][A-Za-z0-9_.=-]*)*$",
        "a relative path of letters, digits and . _ = - /",
        max_length=200,
    ),
]
"""A relative path below the job's own artefacts: no `..`, no leading `/`."""


class ExtractOptions(Strict):
    include_schema: bool = False
    batch_size: Annotated[int, Field(ge=1, le=100_000)] = 10_000
    compression: Literal["none", "gzip", "zip", "zstd"] = "none"


class ExtractPayload(Payload):
    policy: ClassVar[Policy] = Policy(timeout_s=300)

    type: Literal["extract"] = "extract"
    database: DatabaseRef
    tables: Tables | None = None
    query: Annotated[str, StringConstraints(min_length=1, max_length=20_000)] | None = None
    output_format: Literal["json", "jsonl", "csv", "sql", "parquet"] = "csv"
    output_path: OutputPath | None = None
    options: ExtractOptions = Field(default_factory=ExtractOptions)

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        if (self.tables is None) == (self.query is None):
            raise ValueError("give either tables or query")
        return self
