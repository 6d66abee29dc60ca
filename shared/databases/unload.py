"""Tables into files, over as many invocations as it takes. What is written so far is kept in a ledger.

The ledger is a document below the prefix of the run that wrote it, put there before the job proceeds; the job's
checkpoint is its URL. Every invocation reads in a snapshot of its own. The first reads small tables as they lie, which
is fastest, and gives up the file that time cuts off; the ones after it go along the keys. So each gets somewhere, or
says that it can't.
"""

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Final, Protocol

from pydantic import BaseModel, Field

from shared.databases.engine import Key, Reader
from shared.databases.export import Format, Packing, Uploaded, export, rows_expected, stored
from shared.databases.pace import Pace, TimeIsShort, Walk, Whole
from shared.databases.progress import Tell, Watch
from shared.databases.schema import Schema, Table
from shared.databases.session import Session
from shared.errors import Permanent
from shared.payloads.results import Artifact

LEDGER: Final = ".ledger.json"
"""No table's file is called so: their names begin with a letter, a digit or _."""


class Upload(Uploaded, Protocol):
    async def write(self, chunk: bytes) -> None: ...


Create = Callable[[str], AbstractAsyncContextManager[Upload]]
"""A name → a new file of this run, there once its block has ended well."""


class Part(BaseModel):
    table: str
    file: Artifact


class Ledger(BaseModel):
    """`parts` in the order of the tables; `snapshots` when each was taken; `columns` of each table that was begun."""

    snapshots: list[str] = Field(default_factory=list)
    rows_expected: int | None = None
    columns: dict[str, list[tuple[str, str]]] = Field(default_factory=dict)
    parts: list[Part] = Field(default_factory=list)
    under_way: str | None = None
    after: Key | None = None
    """The last key of `under_way`, the table that `parts` end in the middle of."""

    @property
    def rows(self) -> int:
        return sum(part.file.records or 0 for part in self.parts)

    def files(self, table: str) -> list[Artifact]:
        return [part.file for part in self.parts if part.table == table]

    def begin(self, database: Reader, schema: Schema, tables: Sequence[Table]) -> None:
        """In a new snapshot. Raises Permanent("table_changed")."""
        if not self.snapshots:
            self.rows_expected = rows_expected(database, tables)
        self.snapshots.append(database.snapshot_at())
        now = {table.name: _columns(table) for table in schema.tables}
        for name, columns in self.columns.items():
            if now.get(name) != columns:
                message = f"table {name} was altered or dropped between two invocations: begin again with a new job"
                raise Permanent("table_changed", message, field="tables")

    def left(self, tables: Sequence[Table]) -> list[Table]:
        return [table for table in tables if table.name not in self.columns or table.name == self.under_way]

    def note(self, table: Table, file: Artifact, pace: Pace) -> None:
        self.columns[table.name] = _columns(table)
        self.parts.append(Part(table=table.name, file=file))
        self.under_way, self.after = (None, None) if pace.ended else (table.name, pace.after)


async def read_ledger(checkpoint: str | None, read: Callable[[str], AsyncIterator[bytes]]) -> Ledger:
    """An empty one for a job that begins."""
    if checkpoint is None:
        return Ledger()
    return Ledger.model_validate_json(b"".join([chunk async for chunk in read(checkpoint)]))


async def keep_ledger(ledger: Ledger, create: Create) -> str:
    """→ the checkpoint"""
    async with create(LEDGER) as upload:
        await upload.write(ledger.model_dump_json().encode())
    return upload.url


@dataclass(frozen=True, slots=True)
class Unload:
    """Of tables, with the name of each one's first file, which ends in `suffix`."""

    names: Mapping[str, str]
    suffix: str
    format: Format
    packing: Packing
    exact: bool
    create: Create
    tell: Tell
    watch: Watch

    async def write(self, database: Session[Reader], ledger: Ledger, tables: Sequence[Table]) -> bool:
        """→ is all written? If not, time is short, and the ledger says where to go on.

        Raises Permanent("too_large") where one invocation is not enough, and the next could do no better.
        """
        for place, table in enumerate(ledger.left(tables)):
            fresh = place == 0
            if self.watch.short() and not fresh:
                return False
            if not await self._write(database, ledger, table, fresh=fresh):
                return False
        return True

    async def _write(self, database: Session[Reader], ledger: Ledger, table: Table, *, fresh: bool) -> bool:
        """One more file. `fresh`: nothing else has taken of this invocation's time."""
        pace = await database.run(self._pace, ledger, table, fresh=fresh)
        number = len(ledger.files(table.name)) + 1
        try:
            async with self.create(self._name(table, number)) as upload:
                outlet = database.outlet(upload.write)
                part = table if number == 1 else table.made()
                rows = await database.run(
                    export, outlet, part, self.format, self.packing, exact=self.exact, tell=self.tell, pace=pace
                )
        except TimeIsShort:
            if isinstance(pace, Whole) and pace.must:
                raise _too_large(table) from None
            return False
        ledger.note(table, stored(upload, rows), pace)
        return pace.ended

    def _pace(self, database: Reader, ledger: Ledger, table: Table, *, fresh: bool) -> Pace:
        key = database.key(table)
        if key and (len(ledger.snapshots) > 1 or database.large(table)):
            return Walk(self.watch, key, ledger.after if table.name == ledger.under_way else None)
        return Whole(self.watch, must=fresh and not key)

    def _name(self, table: Table, number: int) -> str:
        name = self.names[table.name]
        return name if number == 1 else f"{name.removesuffix(self.suffix)}.part-{number}{self.suffix}"


def _columns(table: Table) -> list[tuple[str, str]]:
    return [(column.name, column.type) for column in table.columns]


def _too_large(table: Table) -> Permanent:
    if table.query:
        why = "a query must be done within one invocation: narrow it, or extract tables"
        return Permanent("too_large", why, field="query")
    why = f"table {table.name} has no primary key to go on by, so it must be read within one invocation"
    return Permanent("too_large", why, field="tables")
