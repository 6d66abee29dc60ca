"""`backup`: a whole database, or some tables, into one artefact per table and a manifest."""

from typing import ClassVar, Literal

from pydantic import Field

from shared.payloads.base import DatabaseRef, Encryption, Payload, Strict, Tables
from shared.retry import Policy


class BackupOptions(Strict):
    """`exclude_data`: true keeps the schema alone; a list of tables leaves out only those tables' rows."""

    compress: Literal["none", "gzip", "zstd"] | bool = "gzip"
    encryption: Encryption = Encryption()
    include_schema: bool = True
    exclude_data: bool | Tables = False


class BackupPayload(Payload):
    policy: ClassVar[Policy] = Policy(timeout_s=300)

    type: Literal["backup"] = "backup"
    database: DatabaseRef
    tables: Tables | None = None
    format: Literal["sql", "jsonl", "csv", "parquet"] = "jsonl"
    options: BackupOptions = Field(default_factory=BackupOptions)
