"""Writing a PostgreSQL database in one transaction; rows come in by COPY … FROM STDIN."""

import re
from collections.abc import Iterable, Iterator, Sequence
from sys import getsizeof
from typing import Final

import psycopg
from psycopg import IsolationLevel

from shared.databases.engine import Row, Value
from shared.databases.postgres.catalog import read_schema
from shared.databases.postgres.connection import cancel, connect, one_statement
from shared.databases.postgres.encoding import typed_select
from shared.databases.postgres.faults import postgres_fault
from shared.databases.schema import Kind, Schema, Table, quoted
from shared.errors import LongshoreError

CURSOR_ROWS: Final = (16, 1_000)
"""At first, at most: as many as come to CURSOR_BYTES, going by those before."""

CURSOR_BYTES: Final = 4 << 20


class PostgresWriter:
    kind: Kind = "postgresql"

    def __init__(self, url: str) -> None:
        self._connection = connect(url, isolation=IsolationLevel.READ_COMMITTED, read_only=False)

    def schema(self) -> Schema:
        return read_schema(self._connection)

    def execute(self, statement: str, values: Sequence[Value] = ()) -> list[Row]:
        cursor = one_statement(self._connection, statement, values)
        return cursor.fetchall() if cursor.description else []

    def defer_checks(self) -> None:
        self._connection.execute("SET CONSTRAINTS ALL DEFERRED")

    def drop(self, tables: Sequence[Table]) -> None:
        """All at once, since they may refer to each other; without CASCADE, since others may refer to them."""
        if tables:
            self._connection.execute(f"DROP TABLE {', '.join(table.identifier for table in tables)}")

    def insert(self, table: Table, rows: Iterable[Row]) -> None:
        with self._connection.cursor() as cursor, cursor.copy(_copy(table)) as copy:
            for row in rows:
                copy.write_row(row)

    def failed_row(self, error: Exception, sent: int) -> int | None:  # noqa: ARG002  it takes rows ahead of its errors
        """The server counts lines of what it is sent; nothing, for what it finds out when all rows are there."""
        line = re.search(r", line (\d+)", error.diag.context or "") if isinstance(error, psycopg.Error) else None
        return int(line[1]) if line else None

    def copy_csv(self, table: Table, chunks: Iterator[bytes]) -> int | None:
        return self._copy(f"{_copy(table)} (FORMAT csv)", chunks)

    def copy_text(self, table: Table, chunks: Iterator[bytes]) -> int | None:
        return self._copy(_copy(table), chunks)

    def _copy(self, statement: str, chunks: Iterator[bytes]) -> int:
        with self._connection.cursor() as cursor:
            with cursor.copy(statement) as copy:
                for chunk in chunks:
                    copy.write(chunk)
            return cursor.rowcount

    def rows(self, table: Table) -> Iterator[Row]:
        """A cursor's, which sees nothing that is written later."""
        self.execute(f"DECLARE longshore_rows NO SCROLL CURSOR FOR {typed_select(table)[0]}")
        count, most = CURSOR_ROWS
        while page := self.execute(f"FETCH {count} FROM longshore_rows"):
            size_bytes = sum(getsizeof(value) for row in page for value in row)
            count = max(1, min(most, count * CURSOR_BYTES // size_bytes))
            yield from page

    def commit(self) -> None:
        self._connection.commit()

    def fault(self, error: Exception) -> LongshoreError | None:
        return postgres_fault(error)

    def interrupt(self) -> None:
        cancel(self._connection)

    def close(self) -> None:
        self._connection.close()


def _copy(table: Table) -> str:
    return f"COPY {table.identifier} ({quoted(table.column_names)}) FROM STDIN"
