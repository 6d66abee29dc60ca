"""What an SQLite file says about itself. https://www.sqlite.org/schematab.html and pragma.html

Left out, and named: virtual tables and what lies behind them. A table's own CREATE statement is kept as it is, so that
checks, collations, STRICT, WITHOUT ROWID and generated columns come back.
"""

import sqlite3
from collections.abc import Iterator
from itertools import groupby
from operator import itemgetter

from shared.databases.schema import FENCE_TABLE, Column, ForeignKey, Schema, Table, View, in_load_order, literal

_OBJECTS = "SELECT type, name, tbl_name, sql FROM main.sqlite_schema WHERE sql IS NOT NULL ORDER BY rowid"
_KINDS = "SELECT name, type FROM pragma_table_list WHERE schema = 'main' AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\'"
_COLUMNS = 'SELECT name, type, "notnull", pk FROM pragma_table_xinfo(?) WHERE hidden = 0 ORDER BY cid'
_KEYS = """
    SELECT k.id, coalesce(parent.name, k."table"), k."from", k."to" FROM pragma_foreign_key_list(?) AS k
    LEFT JOIN main.sqlite_schema AS parent ON parent.type = 'table' AND parent.name = k."table" COLLATE NOCASE
    ORDER BY k.id, k.seq"""

_ROWID_NAMES = ("rowid", "_rowid_", "oid")
"""https://www.sqlite.org/rowidtable.html"""


def read_schema(connection: sqlite3.Connection) -> Schema:
    """Every ordinary table of the main database, with what belongs to it."""
    kinds: dict[str, str] = dict(connection.execute(_KINDS))
    objects = connection.execute(_OBJECTS).fetchall()
    names = [name for name, kind in kinds.items() if kind == "table" and name != FENCE_TABLE]
    return Schema(
        kind="sqlite",
        tables=in_load_order(_table(connection, name, objects) for name in names),
        views=tuple(View(name, sql) for kind, name, _, sql in objects if kind == "view"),
        left_out=tuple(f"{kind} table {name}" for name, kind in kinds.items() if kind in ("virtual", "shadow")),
    )


def row_key(connection: sqlite3.Connection, table: Table) -> tuple[str, ...]:
    """What the table is stored in the order of: the rowid by a name that no column has, or the primary key."""
    without_rowid = connection.execute("SELECT wr FROM pragma_table_list(?) WHERE schema = 'main'", (table.name,))
    if without_rowid.fetchone() == (1,):
        return table.primary_key
    taken = {name.casefold() for name, *_ in connection.execute(_COLUMNS, (table.name,))}
    return next(((name,) for name in _ROWID_NAMES if name not in taken), ())


def _table(connection: sqlite3.Connection, name: str, objects: list[tuple[str, str, str, str]]) -> Table:
    columns = connection.execute(_COLUMNS, (name,)).fetchall()
    mine = [(kind, sql) for kind, _, table, sql in objects if table.casefold() == name.casefold()]
    return Table(
        name=name,
        columns=tuple(Column(column, kind, not notnull) for column, kind, notnull, _ in columns),
        primary_key=_primary_key(connection, name),
        foreign_keys=tuple(_foreign_keys(connection, name)),
        create=tuple(sql for kind, sql in mine if kind == "table"),
        finish=tuple(sql for kind, sql in mine if kind == "index") + _sequence(connection, name),
        link=tuple(sql for kind, sql in mine if kind == "trigger"),
    )


def _foreign_keys(connection: sqlite3.Connection, name: str) -> Iterator[ForeignKey]:
    """A reference without columns means the parent's primary key."""
    for _, group in groupby(connection.execute(_KEYS, (name,)).fetchall(), key=itemgetter(0)):
        parts = list(group)
        parent = parts[0][1]
        named = tuple(to for *_, to in parts if to is not None)
        yield ForeignKey(tuple(row[2] for row in parts), parent, named or _primary_key(connection, parent))


def _primary_key(connection: sqlite3.Connection, name: str) -> tuple[str, ...]:
    keyed = sorted((pk, column) for column, _, _, pk in connection.execute(_COLUMNS, (name,)) if pk)
    return tuple(column for _, column in keyed)


def _sequence(connection: sqlite3.Connection, name: str) -> tuple[str, ...]:
    """AUTOINCREMENT never gives a deleted row's number again: https://www.sqlite.org/autoinc.html"""
    if not connection.execute("SELECT 1 FROM main.sqlite_schema WHERE name = 'sqlite_sequence'").fetchone():
        return ()
    found = connection.execute("SELECT seq FROM sqlite_sequence WHERE name = ?", (name,)).fetchone()
    if found is None:
        return ()
    return (
        f"DELETE FROM sqlite_sequence WHERE name = {literal(name)}",
        f"INSERT INTO sqlite_sequence (name, seq) VALUES ({literal(name)}, {int(found[0])})",
    )
