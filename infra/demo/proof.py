"""Are two SQLite databases equal? Every table, every row, every cell and the storage class it is kept in.

Both sides are streamed in the order of the key, so that memory does not grow with the tables. Text is compared as the
bytes that are stored, not as what Python makes of them. What differs first is named: table, row, column, both values.
"""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from typing import Final

from shared.databases.schema import FENCE_TABLE, quote

CHUNK_ROWS: Final = 5_000
SHOWN_CHARACTERS_MAX: Final = 80

Row = tuple[object, ...]


class Unequal(Exception):
    """`str()` tells the first difference, e.g. `orders, row 17, column note: text 'a' became null`."""


@dataclass(frozen=True, slots=True)
class TableProof:
    """One table that was found equal."""

    table: str
    rows: int
    columns: int


def prove_equal(original: Path, copy: Path) -> list[TableProof]:
    """Compare the schemas word for word, then all rows; → what was compared. Raises Unequal at the first difference."""
    with closing(_open(original)) as left, closing(_open(copy)) as right:
        _same_schema(left, right)
        return [_same_rows(left, right, table) for table in _tables(left)]


def _open(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)
    connection.text_factory = bytes
    return connection


def _same_schema(left: sqlite3.Connection, right: sqlite3.Connection) -> None:
    was, became = _statements(left), _statements(right)
    for name in sorted(was.keys() | became.keys()):
        if was.get(name) != became.get(name):
            raise Unequal(f"schema, {name}: {was.get(name, 'nothing')} became {became.get(name, 'nothing')}")


def _statements(connection: sqlite3.Connection) -> dict[str, str]:
    """What each table, index, view and trigger was made by; the restore's own fence is none of the data's."""
    found = connection.execute("SELECT name, sql FROM sqlite_schema WHERE sql IS NOT NULL").fetchall()
    return {name.decode(): sql.decode() for name, sql in found if name.decode() != FENCE_TABLE}


def _tables(connection: sqlite3.Connection) -> list[str]:
    found = connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite%'")
    return sorted({name.decode() for (name,) in found} - {FENCE_TABLE})


def _same_rows(left: sqlite3.Connection, right: sqlite3.Connection, table: str) -> TableProof:
    columns, key = _columns(left, table)
    rows = 0
    for was, became in zip_longest(_chunks(left, table, columns, key), _chunks(right, table, columns, key)):
        if was != became:
            raise Unequal(_difference(table, columns, rows, was or [], became or []))
        rows += len(was or ())
    return TableProof(table, rows, len(columns))


def _columns(connection: sqlite3.Connection, table: str) -> tuple[list[str], list[str]]:
    """→ all columns, and those that order the rows: the primary key, or every column where there is none."""
    facts = connection.execute(f"PRAGMA table_xinfo({quote(table)})").fetchall()
    columns = [name.decode() for _, name, *_ in facts]
    key = sorted((place, name.decode()) for _, name, _, _, _, place, _ in facts if place)
    return columns, [name for _, name in key] or columns


def _chunks(connection: sqlite3.Connection, table: str, columns: list[str], key: list[str]) -> Iterator[list[Row]]:
    """Rows as (storage class, value, storage class, value, …): 1 and 1.0 are equal in Python, not in a database."""
    cells = ", ".join(f"typeof({quote(column)}), {quote(column)}" for column in columns)
    order = ", ".join(f"{quote(column)} COLLATE BINARY" for column in key)
    cursor = connection.execute(f"SELECT {cells} FROM {quote(table)} ORDER BY {order}")  # noqa: S608  # all quoted
    while rows := cursor.fetchmany(CHUNK_ROWS):
        yield rows


def _difference(table: str, columns: list[str], before: int, was: list[Row], became: list[Row]) -> str:
    for number, (old, new) in enumerate(zip_longest(was, became), start=before + 1):
        if old is None or new is None:
            return f"{table}, row {number:,}: is {'missing' if new is None else 'too many'}"
        for place, column in enumerate(columns):
            cell = slice(2 * place, 2 * place + 2)
            if old[cell] != new[cell]:
                return f"{table}, row {number:,}, column {column}: {_shown(*old[cell])} became {_shown(*new[cell])}"
    raise AssertionError("chunks differ, their rows do not")


def _shown(kind: object, value: object) -> str:
    kind = kind.decode() if isinstance(kind, bytes) else kind
    plain = value.decode(errors="replace") if isinstance(value, bytes) and kind == "text" else value
    return "null" if value is None else f"{kind} {plain!r:.{SHOWN_CHARACTERS_MAX}}"
