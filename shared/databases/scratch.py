"""Files as the tables of an SQLite file of our own, so that a query can be asked of them.

Columns have no type: a CSV's cells stay the texts they are, 007 included; what JSON and Parquet say of types is kept.
"""

import json
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from itertools import chain
from typing import IO, Final, cast

from shared.databases.compression import EXTENSIONS, Compression, decompressed
from shared.databases.engine import Row, Writer
from shared.databases.formats import open_text
from shared.databases.parquet import rows_of
from shared.databases.schema import Column, Table, quoted
from shared.databases.session import Inlet
from shared.errors import Permanent

ROOM_BYTES: Final = 256 << 20
BATCH_ROWS: Final = 10_000


@dataclass(slots=True)
class Room:
    """What all files together may take up, uncompressed. Raises Permanent("too_large")."""

    left_bytes: int = field(default_factory=lambda: ROOM_BYTES)

    def measured(self, pieces: Iterator[bytes]) -> Iterator[bytes]:
        for piece in pieces:
            self.left_bytes -= len(piece)
            if self.left_bytes < 0:
                raise Permanent("too_large", f"the files have more than {ROOM_BYTES >> 20} MiB", field="files")
            yield piece


def load_file(database: Writer, name: str, file: str, inlet: Inlet, room: Room) -> None:
    """The table `name` with a file's rows. `file`: its own name, whose end says its form.

    Raises Permanent("unknown_format", "corrupt_artifact", "unreadable_row", "too_large").
    """
    form, packing = _form(name, file)
    pieces = room.measured(decompressed(cast("IO[bytes]", inlet), packing, file))
    field_ = f"files.{name}"
    opened = _parquet(pieces, file, field_, room) if form == "parquet" else nullcontext(_text(form, pieces, file))
    with opened as (columns, rows):
        if not columns:
            raise Permanent("corrupt_artifact", f"{file} is empty", field=field_)
        table = Table(name, tuple(map(Column, columns)))
        database.execute(f"CREATE TABLE {table.identifier} ({quoted(columns)})")
        database.insert(table, rows)


def _form(name: str, file: str) -> tuple[str, Compression]:
    packing: Compression = next((packing for packing, end in EXTENSIONS.items() if end and file.endswith(end)), "none")
    form = file.removesuffix(EXTENSIONS[packing]).rpartition(".")[2].lower()
    if form not in ("csv", "jsonl", "parquet"):
        message = f"expected a file .csv, .jsonl or .parquet, with or without .gz, .bz2 or .zst; not {file!r}"
        raise Permanent("unknown_format", message, field=f"files.{name}")
    return form, packing


def _text(form: str, pieces: Iterator[bytes], file: str) -> tuple[list[str], Iterator[Row]]:
    known: list[str] = []
    if form == "jsonl":
        known, pieces = _keys(pieces)
    opened = open_text("csv" if form == "csv" else "jsonl", pieces, file, known=known, typed=False, numbers=True)
    return opened.columns, _readable(chain.from_iterable(block for _, block in opened.rows), file)


def _readable(rows: Iterable[Row | str], file: str) -> Iterator[Row]:
    for number, row in enumerate(rows, 1):
        if isinstance(row, str):
            raise Permanent("unreadable_row", f"row {number} of {file}: {row}", field="files")
        yield row


def _keys(pieces: Iterator[bytes]) -> tuple[list[str], Iterator[bytes]]:
    """Those of the first rows, in their order; a line that cannot be read is told when its turn comes."""
    held = b""
    for piece in pieces:
        held += piece
        if b"\n" in held:
            break
    names: dict[str, None] = {}
    for line in held.split(b"\n"):
        try:
            row = json.loads(line)
        except (ValueError, RecursionError):
            continue
        names |= dict.fromkeys(row) if isinstance(row, dict) else {}
    return list(names), chain([held], pieces)


@contextmanager
def _parquet(pieces: Iterator[bytes], file: str, where: str, room: Room) -> Iterator[tuple[list[str], Iterator[Row]]]:
    with tempfile.TemporaryFile() as spool:
        for piece in pieces:
            spool.write(piece)
        with rows_of(spool, file, where, BATCH_ROWS) as (names, batches):
            yield names, _plain_rows(batches, room)


def _plain_rows(batches: Iterator[list[Row]], room: Room) -> Iterator[Row]:
    for batch in batches:
        for row in cast("list[tuple[object, ...]]", batch):
            plain = tuple(map(_plain, row))
            size_bytes = 8 * len(plain) + sum(len(value) for value in plain if isinstance(value, str | bytes))
            room.left_bytes -= size_bytes
            if room.left_bytes < 0:
                raise Permanent("too_large", f"the files have more than {ROOM_BYTES >> 20} MiB", field="files")
            yield plain


def _plain(value: object) -> str | int | float | bytes | None:
    """What SQLite can hold."""
    if value is None or isinstance(value, str | int | float | bytes):
        return value
    if isinstance(value, Decimal):
        return float(value)
    return value.isoformat(*([" "] if hasattr(value, "hour") else [])) if isinstance(value, date) else str(value)
