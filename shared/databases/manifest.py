"""What a backup consists of. The manifest is written last: without one there is no backup, only files.

manifest.json   this
schema.json     how to make the tables again (`shared/databases/schema.py`), if the backup includes it
orders.csv.gz   one file per table, beside them; what earlier invocations of a long job wrote is in their own folders
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, Literal, TypeVar

from pydantic import TypeAdapter, ValidationError

from shared.databases.compression import Compression
from shared.databases.schema import Column, Kind, Schema
from shared.errors import Permanent

FORMAT_VERSION: Final = 1
OTHER_RUN: Final = r"\.\./[0-9]+-[0-9a-f]+/"
"""The folder of another run of the same job, beside the manifest's own."""

MANIFEST: Final = "manifest.json"
SCHEMA: Final = "schema.json"

T = TypeVar("T")

DataFormat = Literal["csv", "jsonl", "sql", "parquet"]


@dataclass(frozen=True, slots=True)
class File:
    """`name` is relative to the manifest: beside it, or in the folder of an earlier run of its job, `../2-0a1b/`.

    `size_bytes` and `sha256` (hex) are of the file as it is stored.
    """

    name: str
    size_bytes: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Part(File):
    """Of a table, with its own number of rows."""

    rows: int = 0


@dataclass(frozen=True, slots=True)
class TableFile:
    """`file` is None where the rows were left out; `more` files follow it if one invocation was not enough for them.

    `rows` are those of all of its files.
    """

    table: str
    columns: tuple[Column, ...]
    rows: int
    file: File | None
    more: tuple[Part, ...] = ()

    def parts(self) -> tuple[Part, ...]:
        if self.file is None:
            return ()
        first = Part(self.file.name, self.file.size_bytes, self.file.sha256, self.rows - sum(p.rows for p in self.more))
        return first, *self.more


@dataclass(frozen=True, slots=True)
class Manifest:
    """`tables` in the order in which they can be loaded. `snapshot_at` by the database's own clock, RFC 3339.

    `later_snapshots`: of the invocations after the first. No two rows of different snapshots need fit together.
    """

    kind: Kind
    snapshot_at: str
    format: DataFormat
    compression: Compression
    tables: tuple[TableFile, ...]
    schema: File | None
    left_out: tuple[str, ...] = ()
    later_snapshots: tuple[str, ...] = ()
    format_version: Literal[1] = FORMAT_VERSION

    def files(self) -> tuple[File, ...]:
        parts = (part for table in self.tables for part in table.parts())
        return (*parts, self.schema) if self.schema else tuple(parts)


_MANIFEST: Final[TypeAdapter[Manifest]] = TypeAdapter(Manifest)
_SCHEMA: Final[TypeAdapter[Schema]] = TypeAdapter(Schema)


def manifest_json(manifest: Manifest) -> bytes:
    return _MANIFEST.dump_json(manifest, indent=1)


def schema_json(schema: Schema) -> bytes:
    return _SCHEMA.dump_json(schema, indent=1)


def read_manifest(document: bytes) -> Manifest:
    """Raises Permanent("corrupt_artifact") for anything but a manifest of ours, of this version."""
    manifest = _read(_MANIFEST, document, MANIFEST)
    for file in manifest.files():
        if not re.fullmatch(rf"({OTHER_RUN})?[A-Za-z0-9_][A-Za-z0-9_.-]*", file.name):
            raise Permanent("corrupt_artifact", f"{MANIFEST} names a file outside its own job", field="backup_url")
    return manifest


def read_schema(document: bytes) -> Schema:
    """Raises Permanent("corrupt_artifact")."""
    return _read(_SCHEMA, document, SCHEMA)


def file_names(tables: Iterable[str], extension: str) -> dict[str, str]:
    """Table → a name that S3, shells and URLs take as it is; where its own is none, its place tells it apart."""
    names: dict[str, str] = {}
    taken = {"manifest", "schema"}
    for place, table in enumerate(tables, 1):
        plain = (
            re.fullmatch(r"(?!table-|.*\.part-[0-9]+$)[A-Za-z0-9_][A-Za-z0-9_.-]{0,99}", table)
            and table.casefold() not in taken
        )
        taken.add(table.casefold())
        names[table] = (table if plain else f"table-{place}-{re.sub('[^A-Za-z0-9_.-]', '_', table[:60])}") + extension
    return names


def _read(adapter: TypeAdapter[T], document: bytes, name: str) -> T:
    try:
        return adapter.validate_json(document, strict=True)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        where = ".".join(map(str, first["loc"])) or "the document"
        message = f"{name} is not one that backup wrote: {where}: {first['msg']}"
        raise Permanent("corrupt_artifact", message, field="backup_url") from None
