"""Writing an SQLite file in one transaction."""

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from shared.databases.engine import Row, Value
from shared.databases.schema import Kind, Schema, Table, quoted
from shared.databases.sqlite.catalog import read_schema
from shared.databases.sqlite.faults import sqlite_fault
from shared.databases.sqlite.reader import connect
from shared.errors import LongshoreError

CACHE_KIB: Final = 32 * 1024


class SqliteWriter:
    """Makes the file if there is none. `foreign_keys`: enforce them (SQLite itself leaves that to each connection)."""

    kind: Kind = "sqlite"

    def __init__(self, path: str, *, foreign_keys: bool) -> None:
        enforcement = f"PRAGMA foreign_keys = {int(foreign_keys)}"
        self._connection = connect(path, "rwc", enforcement, f"PRAGMA cache_size = -{CACHE_KIB}", "BEGIN IMMEDIATE")
        self._connection.set_authorizer(_no_other_file)

    def schema(self) -> Schema:
        return read_schema(self._connection)

    def execute(self, statement: str, values: Sequence[Value] = ()) -> list[Row]:
        named = {str(number): value for number, value in enumerate(values, 1)}
        return self._connection.execute(statement, named).fetchall()

    def defer_checks(self) -> None:
        self._connection.execute("PRAGMA defer_foreign_keys = ON")

    def drop(self, tables: Sequence[Table]) -> None:
        for table in tables:
            self._connection.execute(f"DROP TABLE {table.identifier}")

    def insert(self, table: Table, rows: Iterable[Row]) -> None:
        places = ", ".join("?" for _ in table.columns)
        names = quoted(table.column_names)
        self._connection.executemany(f"INSERT INTO {table.identifier} ({names}) VALUES ({places})", rows)

    def failed_row(self, error: Exception, sent: int) -> int | None:  # noqa: ARG002  it takes one row at a time
        return sent

    def copy_csv(self, table: Table, chunks: Iterator[bytes]) -> int | None:  # noqa: ARG002  SQLite has no such way
        return None

    def copy_text(self, table: Table, chunks: Iterator[bytes]) -> int | None:  # noqa: ARG002  as `copy_csv`
        return None

    def rows(self, table: Table) -> Iterator[Row]:
        return self._connection.execute(table.selecting(table.references))

    def commit(self) -> None:
        self._connection.execute("COMMIT")

    def fault(self, error: Exception) -> LongshoreError | None:
        return sqlite_fault(error)

    def interrupt(self) -> None:
        self._connection.interrupt()

    def close(self) -> None:
        self._connection.close()


def _no_other_file(action: int, *_: str | None) -> int:
    """The statements of a backup's schema are somebody's words: they stay within this file."""
    return sqlite3.SQLITE_DENY if action in (sqlite3.SQLITE_ATTACH, sqlite3.SQLITE_DETACH) else sqlite3.SQLITE_OK
