"""Tables, or a query, into files. Runs in a session's thread; memory is bounded by bytes, not by rows."""

import csv
import io
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import chain
from typing import IO, Final, Literal, Protocol, cast

from shared.databases.compression import EXTENSIONS, compressing, zipping
from shared.databases.engine import Form, Reader, Row
from shared.databases.formats.blocks import RECORD_CHARS_MAX
from shared.databases.pace import Pace, Whole
from shared.databases.parquet import write_rows
from shared.databases.progress import Tell, Watch
from shared.databases.schema import Table
from shared.databases.session import Outlet
from shared.errors import Permanent
from shared.payloads.results import Artifact

Format = Literal["json", "jsonl", "csv", "sql", "parquet"]
Packing = Literal["none", "gzip", "zstd"]


class Uploaded(Protocol):
    """A finished artefact."""

    url: str

    @property
    def size_bytes(self) -> int: ...
    @property
    def sha256(self) -> str: ...


CHUNK_BYTES: Final = 256 * 1024
TELL_ROWS: Final = 1_000


def extension(format_: Format, packing: Packing) -> str:
    """Parquet compresses inside."""
    return f".{format_}" + ("" if format_ == "parquet" else EXTENSIONS[packing])


def export(
    database: Reader,
    out: Outlet,
    table: Table,
    format_: Format,
    packing: Packing,
    *,
    exact: bool,
    tell: Tell,
    pace: Pace | None = None,
) -> int:
    """One table, or as much of it as `pace` takes in, as one file, → its rows.

    `exact`: for `restore` to read back (see `engine.Reader`). Raises TimeIsShort.
    """
    pace = pace or Whole()
    with compressing(cast("IO[bytes]", out), "none" if format_ == "parquet" else packing) as file:
        rows = _write(database, file, table, format_, exact=exact, tell=tell, pace=pace)
    out.finish()
    return rows


def export_zip(
    database: Reader, out: Outlet, tables: Sequence[tuple[str, Table]], format_: Format, *, tell: Tell, watch: Watch
) -> list[int]:
    """Tables as members of one ZIP archive, each with its name there, → the rows of each. Raises TimeIsShort."""
    rows = []
    with zipping(cast("IO[bytes]", out)) as member:
        for name, table in tables:
            with member(name) as file:
                rows.append(_write(database, file, table, format_, exact=False, tell=tell, pace=Whole(watch)))
    out.finish()
    return rows


def stored(upload: Uploaded, records: int | None = None) -> Artifact:
    return Artifact(url=upload.url, size_bytes=upload.size_bytes, sha256=upload.sha256, records=records)


def rows_expected(database: Reader, tables: Sequence[Table]) -> int | None:
    """For progress; None if it is not known of all of them."""
    known = [rows for table in tables if (rows := database.rows_expected(table)) is not None]
    return sum(known) if len(known) == len(tables) else None


def _write(
    database: Reader, file: IO[bytes], table: Table, format_: Format, *, exact: bool, tell: Tell, pace: Pace
) -> int:
    ranges = pace.ranges(database, table)
    if format_ == "parquet":
        types = database.types(table, exact=exact)
        rows = chain.from_iterable(map(database.rows, ranges))
        return write_rows(file, table.column_names, types, _telling(rows, tell, pace))
    form: Form = "jsonl" if format_ == "json" else format_
    lines = chain.from_iterable(database.lines(part, form, exact=exact) for part in ranges)
    total = 0
    if not (exact and format_ == "sql"):
        file.write(_HEADS[format_](table))
    for chunk, rows_in_chunk in _chunks(lines):
        if len(chunk) > RECORD_CHARS_MAX:
            raise Permanent("row_too_long", f"a row of {table.name} takes more than {RECORD_CHARS_MAX} bytes")
        file.write(_as_array_items(chunk, first=not total) if format_ == "json" else chunk)
        total += rows_in_chunk
        tell(rows_in_chunk)
        pace.check()
    file.write(_TAILS.get(format_, b""))
    return total


def _chunks(lines: Iterable[bytes]) -> Iterator[tuple[bytes, int]]:
    """(about CHUNK_BYTES of lines, how many they are)"""
    held: list[bytes] = []
    size_bytes = 0
    for line in lines:
        held.append(line)
        size_bytes += len(line)
        if size_bytes >= CHUNK_BYTES:
            yield b"".join(held), len(held)
            held, size_bytes = [], 0
    if held:
        yield b"".join(held), len(held)


def _telling(rows: Iterator[Row], tell: Tell, pace: Pace) -> Iterator[Row]:
    number = 0
    for number, row in enumerate(rows, 1):
        yield row
        if number % TELL_ROWS == 0:
            tell(TELL_ROWS)
            pace.check()
    tell(number % TELL_ROWS)


def _csv_head(table: Table) -> bytes:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerow(table.column_names)
    return text.getvalue().encode()


def _sql_head(table: Table) -> bytes:
    return "".join(f"{statement};\n" for statement in table.create).encode()


_HEADS: Final[dict[Format, Callable[[Table], bytes]]] = {
    "csv": _csv_head,
    "json": lambda _: b"[\n",
    "jsonl": lambda _: b"",
    "sql": _sql_head,
}
_TAILS: Final[dict[Format, bytes]] = {"json": b"\n]\n"}


def _as_array_items(lines: bytes, *, first: bool) -> bytes:
    """A newline in JSON lines is always the end of one."""
    return (b"" if first else b",\n") + lines[:-1].replace(b"\n", b",\n")
