"""Reading a snapshot of an SQLite file. SQLite itself writes each value down; Python only joins them into lines.

The snapshot is one read transaction. In WAL mode writers go on beside it; in rollback-journal mode their commits wait
until it ends. Integers and reals arrive as numbers: Python writes reals exactly, as the shortest text that reads back.
"""

import contextlib
import json
import sqlite3
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from shared.databases.engine import Form, Key, Row, between
from shared.databases.schema import Column, Kind, Schema, Table, query_table, quote, quoted
from shared.databases.sqlite.catalog import read_schema, row_key
from shared.databases.sqlite.faults import sqlite_fault
from shared.errors import LongshoreError, Permanent

BUSY_S: Final = 30

_NOW: Final = "SELECT strftime('%Y-%m-%dT%H:%M:%fZ', 'now') FROM (SELECT count(*) FROM sqlite_schema)"
"""It reads the file, and with the first read the snapshot begins. The time is that of the statement."""

_REAL: Final = "CASE WHEN abs({c}) > 1.7976931348623157e308 THEN iif({c} > 0, '1e999', '-1e999') ELSE {c} END"
_JSON: Final = f"""CASE typeof({{c}}) WHEN 'text' THEN json_quote({{c}}) WHEN 'null' THEN 'null'
    WHEN 'real' THEN {_REAL} WHEN 'blob' THEN BLOB ELSE {{c}} END"""
_VALUE: Final[dict[tuple[Form, bool], str]] = {
    ("csv", False): r"""CASE typeof({c}) WHEN 'text' THEN '"' || replace({c}, '"', '""') || '"'
        WHEN 'null' THEN '' WHEN 'blob' THEN '\x' || lower(hex({c})) ELSE {c} END""",
    ("jsonl", False): _JSON.replace("BLOB", r"""'"\\x' || lower(hex({c})) || '"'"""),
    ("jsonl", True): _JSON.replace("BLOB", """'{{"$hex":"' || lower(hex({c})) || '"}}'"""),
    ("sql", False): f"CASE typeof({{c}}) WHEN 'integer' THEN {{c}} WHEN 'real' THEN {_REAL} ELSE quote({{c}}) END",
}
"""How each storage class is written. In CSV a text is always quoted, so that it can't be taken for anything else."""

_TYPES: Final = {"integer": "int64", "real": "float64", "text": "text", "blob": "bytes", None: "text"}

_READING: Final = frozenset(
    {sqlite3.SQLITE_SELECT, sqlite3.SQLITE_READ, sqlite3.SQLITE_FUNCTION, sqlite3.SQLITE_RECURSIVE}
)
_FORBIDDEN_FUNCTIONS: Final = frozenset({"load_extension", "readfile", "writefile", "edit", "fts3_tokenizer"})


class SqliteReader:
    """Raises Permanent("no_such_database") if there is no such file."""

    kind: Kind = "sqlite"

    def __init__(self, path: str) -> None:
        if not Path(path).exists():
            raise Permanent("no_such_database", "there is no such SQLite file", field="database")
        self._connection = connect(path, "ro", "PRAGMA query_only = ON", "BEGIN", _NOW)

    def snapshot_at(self) -> str:
        return str(self._connection.execute(_NOW).fetchone()[0])

    def schema(self) -> Schema:
        return read_schema(self._connection)

    def hold(self, tables: Sequence[Table], *, every_row: bool = False) -> None:
        """The read transaction does."""

    def query(self, sql: str) -> Table:
        """SQLite must accept it by itself, before parentheses are put around it."""
        self._connection.set_authorizer(_reading_only)
        statement = sql.rstrip("; \t\r\n")
        self._asked(f"EXPLAIN {statement}", ("no_such_table", "no_such_column"))
        found = self._asked(f"SELECT * FROM (\n{statement}\n) LIMIT 0").description
        return query_table(statement, (Column(name) for name, *_ in found))

    def _asked(self, statement: str, told: tuple[str, ...] = ()) -> sqlite3.Cursor:
        try:
            return self._connection.execute(statement)
        except (sqlite3.Error, sqlite3.Warning) as error:
            fault = sqlite_fault(error)
            code = fault.code if fault and fault.code in told else "query_refused"
            raise Permanent(code, f"not a single SELECT that SQLite accepts: {error}", field="query") from None

    def rows_expected(self, table: Table) -> int | None:
        return (
            None if table.query else self._connection.execute(f"SELECT count(*) FROM {table.identifier}").fetchone()[0]
        )

    def lines(self, table: Table, form: Form, *, exact: bool) -> Iterator[bytes]:
        template = _TEMPLATES[form](table)
        value = _VALUE.get((form, exact)) or _VALUE[form, False]
        for row in self._connection.execute(_select(table, value)):
            yield (template % row).encode()

    def types(self, table: Table, *, exact: bool) -> list[str]:  # noqa: ARG002  always exact
        """A column that holds one storage class gets its type, any other one is `json`."""
        bounds = _select(table, "min(nullif(typeof({c}), 'null')), max(nullif(typeof({c}), 'null'))")
        found = self._connection.execute(bounds).fetchone()
        pairs = zip(found[::2], found[1::2], strict=True)
        return [_TYPES[least] if least == greatest else "json" for least, greatest in pairs]

    def rows(self, table: Table) -> Iterator[Row]:
        return self._connection.execute(_select(table, "{c}"))

    def key(self, table: Table) -> tuple[str, ...]:
        return () if table.query else row_key(self._connection, table)

    def key_after(self, table: Table, after: Key | None, rows: int) -> Key | None:
        key = self.key(table)
        rest = between(table, key, after, None)
        select = rest.selecting(f"quote({quote(name)})" for name in key)
        one = f"{select} ORDER BY {quoted(key)} LIMIT 1 OFFSET {rows - 1}"
        found: Key | None = self._connection.execute(one).fetchone()
        return found

    def large(self, table: Table) -> bool:  # noqa: ARG002  it is what SQLite does with any table
        return True

    def fault(self, error: Exception) -> LongshoreError | None:
        return sqlite_fault(error)

    def interrupt(self) -> None:
        self._connection.interrupt()

    def close(self) -> None:
        self._connection.close()


def connect(path: str, mode: str, *statements: str) -> sqlite3.Connection:
    """In autocommit, so that BEGIN is ours. One thread at a time uses it, but not always the same one."""
    address = f"{Path(path).absolute().as_uri()}?mode={mode}"
    with contextlib.ExitStack() as undo:
        try:
            connection = sqlite3.connect(
                address, uri=True, isolation_level=None, check_same_thread=False, timeout=BUSY_S
            )
            undo.callback(connection.close)
            for statement in statements:
                connection.execute(statement).fetchall()
        except sqlite3.Error as error:
            raise sqlite_fault(error) or error from None
        undo.pop_all()
    return connection


def _select(table: Table, value: str) -> str:
    """`value` of every column `{c}`."""
    return table.selecting(value.format(c=reference) for reference in table.references)


def _csv_template(table: Table) -> str:
    return ",".join("%s" for _ in table.columns) + "\n"


def _jsonl_template(table: Table) -> str:
    keys = (json.dumps(name, ensure_ascii=False).replace("%", "%%") for name in table.column_names)
    return "{" + ",".join(f"{key}:%s" for key in keys) + "}\n"


def _sql_template(table: Table) -> str:
    head = f"INSERT INTO {table.identifier} ({quoted(table.column_names)}) VALUES (".replace("%", "%%")
    return head + ", ".join("%s" for _ in table.columns) + ");\n"


_TEMPLATES: Final = {"csv": _csv_template, "jsonl": _jsonl_template, "sql": _sql_template}


def _reading_only(action: int, *names: str | None) -> int:
    """https://www.sqlite.org/c3ref/c_alter_table.html: for a function, the second of the names is its own."""
    function = (names[1] or "").lower() if action == sqlite3.SQLITE_FUNCTION else ""
    if action not in _READING or function in _FORBIDDEN_FUNCTIONS:
        return sqlite3.SQLITE_DENY
    return sqlite3.SQLITE_OK
