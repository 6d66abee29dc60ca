"""Reading a snapshot of a PostgreSQL database: one REPEATABLE READ, READ ONLY transaction. The server itself writes
every row down (COPY … TO STDOUT).
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Final

import psycopg
from psycopg import IsolationLevel

from shared.databases.engine import Form, Key, Row, between
from shared.databases.postgres.catalog import read_schema
from shared.databases.postgres.connection import cancel, connect, one_statement
from shared.databases.postgres.encoding import csv_select, insert_select, json_select, parquet_type, typed_select
from shared.databases.postgres.faults import postgres_fault
from shared.databases.schema import Column, Kind, Schema, Table, literal, query_table, quote
from shared.errors import LongshoreError, Permanent

LARGE_BYTES: Final = 1 << 30


class PostgresReader:
    kind: Kind = "postgresql"

    def __init__(self, url: str) -> None:
        self._connection = connect(url, isolation=IsolationLevel.REPEATABLE_READ, read_only=True)

    def snapshot_at(self) -> str:
        return str(self._one("""to_char(now() AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"')"""))

    def schema(self) -> Schema:
        return read_schema(self._connection)

    def hold(self, tables: Sequence[Table], *, every_row: bool = False) -> None:
        """TRUNCATE and ALTER ignore snapshots: https://www.postgresql.org/docs/current/mvcc-caveats.html"""
        if every_row:
            self._connection.execute("SET LOCAL row_security = off")
        if tables:
            names = ", ".join(table.identifier for table in tables)
            self._connection.execute(f"LOCK TABLE {names} IN ACCESS SHARE MODE")

    def query(self, sql: str) -> Table:
        """The server must read the query by itself first, so that parentheses put around it mean what they say."""
        statement = sql.rstrip("; \t\r\n")
        try:
            one_statement(self._connection, f"PREPARE longshore AS {statement}")
            found = one_statement(self._connection, f"SELECT * FROM (\n{statement}\n) AS q LIMIT 0").description or []
        except psycopg.Error as error:
            fault = postgres_fault(error)
            code = fault.code if fault and fault.code.startswith("no_such") else "query_refused"
            message = f"not a single SELECT that PostgreSQL accepts: {error.diag.message_primary}"
            raise Permanent(code, message, field="query") from None
        return query_table(statement, (Column(c.name, c.type_display, base=self._base(c.type_code)) for c in found))

    def rows_expected(self, table: Table) -> int | None:
        if table.query:
            return None
        oid = f"{literal(table.identifier)}::regclass"
        estimate = int(self._one(f"(SELECT reltuples::int8 FROM pg_class WHERE oid = {oid})"))
        return estimate if estimate >= 0 else None

    def lines(self, table: Table, form: Form, *, exact: bool) -> Iterator[bytes]:
        match form:
            case "csv":
                return self._csv(csv_select(table))
            case "jsonl":
                return (_on_one_line(text) for text in self._texts(json_select(table, exact=exact)))
            case "sql":
                return (text + b"\n" for text in self._texts(insert_select(table)))

    def types(self, table: Table, *, exact: bool) -> list[str]:
        return [parquet_type(column, exact=exact) for column in table.columns]

    def rows(self, table: Table) -> Iterator[Row]:
        return self._rows(*typed_select(table))

    def key(self, table: Table) -> tuple[str, ...]:
        return table.primary_key

    def key_after(self, table: Table, after: Key | None, rows: int) -> Key | None:
        """Sorted by the columns, not by what is selected, which has the same names."""
        values = ", ".join(f"{quote(name)}::text" for name in table.primary_key)
        rest = between(replace(table, source=_aliased(table)), table.primary_key, after, None)
        order = ", ".join(f"k.{quote(name)}" for name in table.primary_key)
        self._connection.execute("SET LOCAL enable_seqscan = off")  # else, each range might read all of the table
        found = one_statement(
            self._connection, f"SELECT {values} FROM {rest.source} ORDER BY {order} OFFSET {rows - 1} LIMIT 1"
        ).fetchone()
        return None if found is None else tuple(map(literal, found))

    def large(self, table: Table) -> bool:
        """A smaller one is read as it lies, which is faster."""
        if not table.primary_key:
            return False
        return int(self._one(f"pg_relation_size({literal(table.identifier)}::regclass)")) > LARGE_BYTES

    def fault(self, error: Exception) -> LongshoreError | None:
        return postgres_fault(error)

    def interrupt(self) -> None:
        cancel(self._connection)

    def close(self) -> None:
        self._connection.close()

    def _csv(self, select: str) -> Iterator[bytes]:
        """The server sends one row per message."""
        with self._connection.cursor() as cursor, cursor.copy(f"COPY ({select}) TO STDOUT (FORMAT csv)") as copy:
            for message in copy:
                yield bytes(message)

    def _texts(self, select: str) -> Iterator[bytes]:
        """Rows of one text each. In a binary COPY it comes as it is, without a layer of escapes."""
        with self._connection.cursor() as cursor, cursor.copy(f"COPY ({select}) TO STDOUT (FORMAT binary)") as copy:
            copy.set_types(["bytea"])
            for (text,) in copy.rows():
                yield text

    def _rows(self, select: str, types: list[str]) -> Iterator[Row]:
        with self._connection.cursor() as cursor, cursor.copy(f"COPY ({select}) TO STDOUT (FORMAT binary)") as copy:
            copy.set_types(types)
            yield from copy.rows()

    def _one(self, expression: str) -> str | int:
        found: tuple[str | int] | None = self._connection.execute(f"SELECT {expression}").fetchone()
        return found[0] if found else ""

    def _base(self, oid: int) -> str:
        known = self._connection.adapters.types.get(oid)
        return known.name if known else ""


def _aliased(table: Table) -> str:
    return f"{table.source or table.identifier} AS k"


def _on_one_line(json: bytes) -> bytes:
    """A newline outside a JSON string is blank space, in a value of type json."""
    return json.replace(b"\n", b" ") + b"\n"
