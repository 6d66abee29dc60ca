"""The table, and how rows get there. What a row's own fault may be, the database says; the rows are found by halving.

insert      straight into the table
upsert      by way of a temporary table, batch by batch: of rows with the same key, the last one counts
replace     into a table of their own, however many invocations that takes; in the end, in one transaction, all old rows
            go and the new ones come. Until then nobody sees any of it.
"""

import hashlib
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final

from shared.databases.bulk.columns import TRUE, Cells
from shared.databases.bulk.columns import Column as FileColumn
from shared.databases.engine import Value, Writer, by_halves
from shared.databases.schema import Column, Kind, Schema, Table, quote, quoted
from shared.errors import LongshoreError, Permanent
from shared.payloads.bulk_import import BulkImportPayload, ColumnType

LINE: Final = "longshore_line"
MOVED_LINES: Final = 5_000

LeaveOut = Callable[[int, LongshoreError], None]
"""Called with the line of each row that the database refuses."""

_SQL: Final[dict[Kind, dict[ColumnType, str]]] = {
    "postgresql": {
        "text": "text",
        "integer": "bigint",
        "number": "numeric",
        "boolean": "boolean",
        "date": "date",
        "timestamp": "timestamptz",
        "json": "jsonb",
        "uuid": "uuid",
    },
    "sqlite": {
        "text": "TEXT",
        "integer": "INTEGER",
        "number": "REAL",
        "boolean": "BOOLEAN",
        "date": "TEXT",
        "timestamp": "TEXT",
        "json": "TEXT",
        "uuid": "TEXT",
    },
}
"""Of the columns of a table that is made."""


_EMPTY: Final[dict[Kind, str]] = {"postgresql": "TRUNCATE {}", "sqlite": "DELETE FROM {}"}


@dataclass(frozen=True, slots=True)
class Target:
    """`way`: where rows go first, the `table` itself or a stage, where each has its line; `upsert` takes them on."""

    database: Writer
    table: Table
    columns: Sequence[FileColumn]
    way: Table
    upsert: str = ""

    def put(self, lines: Sequence[int], columns: Sequence[Cells], leave_out: LeaveOut) -> int:
        """→ how many of the rows the database took."""
        direct = self.way is self.table
        types = [*([] if direct else ["integer"]), *(column.type for column in self.columns)]

        def put(rows: range) -> None:
            part = slice(rows.start, rows.stop)
            cells: list[Cells] = [column[part] for column in columns]
            _copy(self.database, self.way, types, cells if direct else [list(map(str, lines[part])), *cells])
            if self.upsert:
                self.database.execute(self.upsert)
                self.database.execute(_EMPTY[self.database.kind].format(self.way.identifier))

        return by_halves(self.database, put, range(len(lines)), lambda place, fault: leave_out(lines[place], fault))

    def replace(self, leave_out: LeaveOut) -> None:
        """The table's rows by those of the stage, which goes."""
        table, stage = self.table.identifier, self.way.identifier
        names = quoted(self.table.column_names)
        self.database.execute(f"DELETE FROM {table}")

        def put(lines: range) -> None:
            self.database.execute(
                f"INSERT INTO {table} ({names}) SELECT {names} FROM {stage} "
                f"WHERE {LINE} BETWEEN {lines.start} AND {lines.stop - 1} ORDER BY {LINE}"
            )

        last = int(self.database.execute(f"SELECT coalesce(max({LINE}), 0) FROM {stage}")[0][0] or 0)
        for first in range(1, last + 1, MOVED_LINES):
            by_halves(self.database, put, range(first, min(first + MOVED_LINES, last + 1)), leave_out)
        self.database.execute(f"DROP TABLE {stage}")


def prepare(
    database: Writer, payload: BulkImportPayload, columns: Sequence[FileColumn], job_id: str, *, begun: bool
) -> Target:
    """`begun`: rows are there from an earlier invocation.

    Raises Permanent("no_such_table", "no_such_column", "no_unique_key", "table_in_use", "stage_lost").
    """
    there = _with_table(database, payload)
    table = _one(there, payload.table).narrowed([column.name for column in columns])
    for names in _unique(payload):
        database.execute(f"EXPLAIN {_insert(table, table.identifier)} ON CONFLICT ({quoted(names)}) DO NOTHING")
    if payload.mode == "insert":
        return Target(database, table, columns, table)
    stage = replace(table, name=stage_name(job_id), columns=(Column(LINE), *table.columns))
    if payload.mode == "upsert":
        stage = replace(stage, space="")
        _make(database, stage, table, _PASSING[database.kind])
        return Target(database, table, columns, stage, _upsert(table, stage, payload.key, database.kind))
    _refuse_a_parent(there, table)
    _keep_stage(database, table, stage, there, begun=begun)
    return Target(database, table, columns, stage)


def stage_name(job_id: str) -> str:
    return f"longshore_import_{hashlib.sha256(job_id.encode()).hexdigest()[:16]}"


def _with_table(database: Writer, payload: BulkImportPayload) -> Schema:
    there = database.schema()
    if not payload.create or any(table.name == payload.table for table in there.tables):
        return there
    database.execute(_create(payload, database.kind))
    return database.schema()


def _create(payload: BulkImportPayload, kind: Kind) -> str:
    """PostgreSQL's schema stands before the first dot of a name."""
    parts = payload.table.split(".", 1) if kind == "postgresql" else [payload.table]
    lines = [
        f"{quote(name)} {_SQL[kind][rule.type]}{' NOT NULL' * rule.required}{' UNIQUE' * rule.unique}"
        for name, rule in payload.columns.items()
    ]
    lines += [f"PRIMARY KEY ({quoted(payload.key)})"] if payload.key else []
    return f"CREATE TABLE {'.'.join(map(quote, parts))} ({', '.join(lines)})"


def _one(schema: Schema, name: str) -> Table:
    found = next((table for table in schema.tables if table.name == name), None)
    if found is None:
        raise Permanent("no_such_table", f"there is no table {name!r}; with `create` it is made", field="table")
    return found


def _unique(payload: BulkImportPayload) -> Iterator[Sequence[str]]:
    """What the database must know to be unique: a file of any size can't be held to look for equal rows."""
    yield from ((name,) for name, rule in payload.columns.items() if rule.unique)
    if payload.mode == "upsert":
        yield payload.key


def _insert(table: Table, source: str) -> str:
    names = quoted(table.column_names)
    return f"INSERT INTO {table.identifier} ({names}) SELECT {names} FROM {source} WHERE true"


def _upsert(table: Table, stage: Table, key: Sequence[str], kind: Kind) -> str:
    """The last of the rows with one key counts."""
    source = stage.identifier
    if kind == "postgresql":  # it takes each row once
        source = f"(SELECT DISTINCT ON ({quoted(key)}) * FROM {source} ORDER BY {quoted(key)}, {LINE} DESC) AS last"
    changes = [f"{quote(name)} = excluded.{quote(name)}" for name in table.column_names if name not in key]
    action = f"UPDATE SET {', '.join(changes)}" if changes else "NOTHING"
    return f"{_insert(table, source)} ORDER BY {LINE} ON CONFLICT ({quoted(key)}) DO {action}"


def _refuse_a_parent(there: Schema, table: Table) -> None:
    """Its old rows could not go; or others would go with them."""
    for other in there.tables:
        if other.name != table.name and any(key.parent == table.name for key in other.foreign_keys):
            raise Permanent("table_in_use", f"{other.name} refers to its rows: upsert them instead", field="mode")


def _keep_stage(database: Writer, table: Table, stage: Table, there: Schema, *, begun: bool) -> None:
    found = any(one.identifier == stage.identifier for one in there.tables)
    if begun and not found:
        message = f"the table {stage.name} was dropped while the job was under way, and with it its rows"
        raise Permanent("stage_lost", message, field="database")
    if found and not begun:
        database.drop([stage])
    if not begun:
        _make(database, stage, table, ("TABLE", ""))
        database.execute(
            f"CREATE UNIQUE INDEX {quote(stage_name(table.name + stage.name))} ON {stage.identifier} ({LINE})"
        )


_PASSING: Final[dict[Kind, tuple[str, str]]] = {
    "postgresql": ("TEMPORARY TABLE", "ON COMMIT DROP"),
    "sqlite": ("TEMPORARY TABLE", ""),
}
"""A connection of PostgreSQL's may be somebody else's next."""


def _make(database: Writer, stage: Table, like: Table, words: tuple[str, str]) -> None:
    """With the columns' types, and none of their constraints."""
    what, until = words
    database.execute(
        f"CREATE {what} {stage.identifier} {until} AS "
        f"SELECT CAST(NULL AS bigint) AS {LINE}, {quoted(like.column_names)} FROM {like.identifier} WHERE false"
    )


_AS_SQLITE_HAS_IT: Final[dict[str, Callable[[str], Value]]] = {
    "integer": int,
    "number": float,
    "boolean": lambda word: int(word in TRUE),
}
_SPECIAL: Final = re.compile(r"[\\\t\n\r]")
_ESCAPES: Final = str.maketrans({"\\": r"\\", "\t": r"\t", "\n": r"\n", "\r": r"\r"})


def _copy(database: Writer, table: Table, types: Sequence[str], columns: Sequence[Cells]) -> None:
    if database.kind == "sqlite":
        converts = (_AS_SQLITE_HAS_IT.get(kind) for kind in types)
        values = (_converted(convert, cells) for convert, cells in zip(converts, columns, strict=True))
        database.insert(table, zip(*values, strict=True))
        return
    texts = zip(*map(_escaped, columns), strict=True)
    database.copy_text(table, iter((("\n".join(map("\t".join, texts)) + "\n").encode(),)))


def _converted(convert: Callable[[str], Value] | None, cells: Cells) -> Iterable[Value]:
    if convert is None:
        return cells
    return [None if cell is None else convert(cell) for cell in cells]


def _escaped(cells: Cells) -> Iterable[str]:
    """As PostgreSQL's COPY reads text. https://www.postgresql.org/docs/current/sql-copy.html"""
    texts = [cell for cell in cells if cell is not None]
    special = _SPECIAL.search("".join(texts))
    if len(texts) == len(cells) and not special:
        return texts
    return [r"\N" if cell is None else cell.translate(_ESCAPES) if special else cell for cell in cells]
