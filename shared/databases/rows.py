"""One file's rows into one table.

Without `errors` to put bad rows in, all rows are one statement, and the first bad one raises. With them, rows go in
batches, bad ones are found by halving their batch, left out, and told. The file's size, checksum and row count are
compared with the manifest's before this returns.
"""

import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, islice
from typing import IO, Final, TypeVar, cast

from shared.databases.compression import READ_BYTES, Compression, decompressed
from shared.databases.engine import ROW_FAULTS, Form, Row, Value, Writer, by_halves
from shared.databases.formats import Block, open_text
from shared.databases.manifest import DataFormat, File
from shared.databases.parquet import rows_of
from shared.databases.place import Place, RowErrors
from shared.databases.progress import Tell, Watch
from shared.databases.schema import Column, Kind, Table
from shared.databases.session import Inlet
from shared.errors import LongshoreError, Permanent
from shared.payloads.results import RowError

T = TypeVar("T")

Adapt = Callable[[list[Row]], list[Row]]


@dataclass(frozen=True, slots=True)
class Source:
    """One table's file. `rows` and `file` are what the manifest says; without a manifest they are None."""

    table: str
    name: str
    format: DataFormat
    compression: Compression
    kind: Kind | None = None
    """Of the database it came from; `columns` as they were there."""
    columns: tuple[Column, ...] = ()
    rows: int | None = None
    file: File | None = None


@dataclass(slots=True)
class Loader:
    """`errors` None: the first bad row raises. `place` moves on with what is loaded."""

    database: Writer
    batch_rows: int
    errors: RowErrors | None
    tell: Tell
    watch: Watch
    place: Place
    _pausing: bool = False
    _ended: bool = False

    def load(self, table: Table, source: Source, inlet: Inlet, *, pausing: bool) -> bool:
        """→ is all of the file loaded? `pausing`: it may also stop between two rows when time is short.

        Raises Permanent("corrupt_artifact"), and what the database says of a bad row.
        """
        self._pausing, self._ended = pausing, False
        read = self._parquet if source.format == "parquet" else self._text
        self.place.loaded[table.name] += read(table, source, inlet)
        if not self._ended:
            return False
        if source.rows is not None and self.place.rows != source.rows:
            message = f"{source.name} has {self.place.rows} rows, and the manifest says {source.rows}"
            raise Permanent("corrupt_artifact", message)
        self.place.sources, self.place.chars, self.place.rows = self.place.sources + 1, 0, 0
        return True

    def _until_short(self, blocks: Iterator[tuple[int, T]]) -> Iterator[T]:
        """At least one block. Whoever takes them loads all that he gets."""
        for chars, block in blocks:
            self.place.chars += chars
            yield block
            if self._pausing and self.watch.short():
                return
        self._ended = True

    def _text(self, table: Table, source: Source, inlet: Inlet) -> int:
        pieces = _checked(decompressed(cast("IO[bytes]", inlet), source.compression, source.name), source, inlet)
        typed, numbers = source.kind == "sqlite", self.database.kind == "sqlite"
        file = open_text(
            cast("Form", source.format),
            pieces,
            source.name,
            known=table.column_names,
            typed=typed,
            numbers=numbers,
            skip_chars=self.place.chars,
        )
        target = _target(table, source, file.columns)
        if source.format == "csv" and self.errors is None and len(target.columns) > 1:
            loaded = self._copy(target, self._until_short(file.blocks))
            if loaded is not None:
                return loaded
        return self._insert_all(target, source, self._until_short(file.rows))

    def _parquet(self, table: Table, source: Source, inlet: Inlet) -> int:
        """Parquet begins to be read at its end, so it is put on disk first."""
        with tempfile.TemporaryFile() as spool:
            for piece in _checked(decompressed(cast("IO[bytes]", inlet), "none", source.name), source, inlet):
                spool.write(piece)
            opened = rows_of(spool, source.name, "backup_url", self.batch_rows, self.place.chars)
            with opened as (names, batches):
                blocks = self._until_short((len(rows), cast("Block", rows)) for rows in batches)
                return self._insert_all(_target(table, source, names), source, blocks)

    def _copy(self, table: Table, blocks: Iterator[str]) -> int | None:
        """The file as it is, its header taken off."""

        def chunks() -> Iterator[bytes]:
            for block in blocks:
                yield block.encode()
                self.tell(block.count("\n"))

        behind = self.place.rows
        try:
            loaded = self.database.copy_csv(table, chunks())
        except Exception as error:
            what = f"line {{}} after row {behind}" if behind else "line {} after the header"
            self._raise(table, error, self.database.failed_row(error, 0), what=what)
            raise
        self.place.rows += loaded or 0
        return loaded

    def _insert_all(self, table: Table, source: Source, blocks: Iterator[Block]) -> int:
        adapt = _adapter(table, source, self.database.kind)
        if self.errors is None:
            return self._insert_at_once(table, adapt, blocks)
        loaded = 0
        for batch in _batches(blocks, self.batch_rows):
            first = self.place.rows + 1
            numbers, rows = self._readable(table, range(first, first + len(batch)), batch)
            loaded += self._insert(table, adapt(rows), numbers)
            self.place.rows += len(batch)
            self.tell(len(batch))
        return loaded

    def _insert_at_once(self, table: Table, adapt: Adapt, blocks: Iterator[Block]) -> int:
        """One statement for all rows, so that the database works while the next ones are read."""
        sent, first_number = 0, self.place.rows + 1

        def rows() -> Iterator[Row]:
            nonlocal sent
            for block in blocks:
                number = first_number + sent
                for row in adapt(self._readable(table, range(number, number + len(block)), block)[1]):
                    sent += 1
                    yield row
                self.tell(len(block))

        all_rows = rows()
        first = list(islice(all_rows, 1))  # a file without rows may name no columns either
        try:
            if first:
                self.database.insert(table, chain(first, all_rows))
        except Exception as error:
            failed = self.database.failed_row(error, sent)
            self._raise(table, error, failed and self.place.rows + failed, what="row {}")
            raise
        self.place.rows += sent
        return sent

    def _raise(self, table: Table, error: Exception, number: int | None, *, what: str) -> None:
        """As a fault that tells the row, if it is one of a row."""
        fault = self.database.fault(error)
        if fault and fault.code in ROW_FAULTS:
            where = what.format(number) if number else "a row"
            raise Permanent(fault.code, f"{where} of table {table.name}: {fault.message}", field=fault.field) from None

    def _readable(self, table: Table, numbers: Sequence[int], batch: Block) -> tuple[Sequence[int], list[Row]]:
        """Without the rows that could not be read, each of which is told."""
        if not any(isinstance(row, str) for row in batch):
            return numbers, cast("list[Row]", batch)
        kept = []
        for number, row in zip(numbers, batch, strict=True):
            if isinstance(row, str):
                self._leave_out(table, number, Permanent("unreadable_row", row))
            else:
                kept.append((number, row))
        return [number for number, _ in kept], [row for _, row in kept]

    def _insert(self, table: Table, rows: Sequence[Row], numbers: Sequence[int]) -> int:
        """As many of the rows as the database takes."""

        def put(part: range) -> None:
            self.database.insert(table, rows[part.start : part.stop])

        def leave_out(place: int, fault: LongshoreError) -> None:
            self._leave_out(table, numbers[place], fault)

        return by_halves(self.database, put, range(len(rows)), leave_out)

    def _leave_out(self, table: Table, number: int, fault: LongshoreError) -> None:
        if self.errors is None:
            raise Permanent(fault.code, f"row {number} of table {table.name}: {fault.message}", field=fault.field)
        self.errors.add(
            RowError(table=table.name, row=number, field=fault.field, code=fault.code, message=fault.message)
        )


def _target(table: Table, source: Source, columns: list[str]) -> Table:
    """The table with the file's columns. Those of a backup's file are known; a file without rows may name none."""
    if source.columns and columns and columns != [column.name for column in source.columns]:
        raise Permanent("corrupt_artifact", f"{source.name} has other columns than the manifest says")
    return table.narrowed(columns)


def _batches(blocks: Iterator[Block], rows_max: int) -> Iterator[Block]:
    held: Block = []
    for block in blocks:
        held += block
        while len(held) >= rows_max:
            yield held[:rows_max]
            held = held[rows_max:]
    if held:
        yield held


def _checked(pieces: Iterator[bytes], source: Source, inlet: Inlet) -> Iterator[bytes]:
    """The pieces; once they are all read, the stored file must have been what the manifest says."""
    yield from pieces
    while inlet.read(READ_BYTES):
        pass
    found = (inlet.size_bytes, inlet.sha256.hexdigest())
    if source.file and found != (source.file.size_bytes, source.file.sha256):
        raise Permanent(
            "corrupt_artifact", f"{source.name} is not the file that the manifest means: its checksum differs"
        )


_AS_SQLITE_HAS_IT: Final[dict[str, Callable[[Value], Value]]] = {
    "bool": lambda value: {"true": 1, "false": 0}.get(value, value) if isinstance(value, str) else value,
    "bytea": lambda value: bytes.fromhex(value[2:]) if isinstance(value, str) else value,
}


def _adapter(table: Table, source: Source, kind: Kind) -> Adapt:
    """PostgreSQL's texts for what SQLite has a way of its own to hold."""
    bases = {column.name: column.base for column in source.columns} if kind == "sqlite" else {}
    changes = [_AS_SQLITE_HAS_IT.get(bases.get(name, "")) for name in table.column_names]
    if not any(changes):
        return lambda rows: rows

    def adapt(rows: list[Row]) -> list[Row]:
        columns = zip(*rows, strict=True)
        pairs = zip(changes, columns, strict=True) if rows else ()
        return list(zip(*(map(change, column) if change else column for change, column in pairs), strict=True))

    return adapt
