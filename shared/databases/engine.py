"""What a kind of database must be able to do: a `Reader` of one snapshot, a `Writer` of one transaction.

All of it blocks and belongs in the thread of a `session`; `interrupt` alone may be called from outside. Foreign errors
leave an engine as they are: `fault` names them, once, where they leave the thread.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from functools import partial
from typing import Final, Literal, Protocol

from shared.databases.schema import Kind, Schema, Table, quoted
from shared.errors import LongshoreError

Form = Literal["csv", "jsonl", "sql"]
Value = str | int | float | bool | bytes | None
Row = tuple[Value, ...]

Key = tuple[str, ...]
"""A row's key, each value as SQL: text, so that it can be kept."""

ROW_FAULTS: Final = frozenset({"constraint_violation", "bad_value"})
"""The codes of faults that one row has, so that the others can go on without it."""


class Database(Protocol):
    kind: Kind

    def schema(self) -> Schema: ...

    def fault(self, error: Exception) -> LongshoreError | None:
        """This engine's own error by what to do next; None if it is none of this engine's."""
        ...

    def interrupt(self) -> None:
        """Make the statement that runs now fail. Safe from any thread, at any time."""
        ...

    def close(self) -> None:
        """Give up what is not committed, and the connection."""
        ...


class Reader(Database, Protocol):
    """`exact`: written so that `restore` gets every value back as it was; otherwise as other programs like it."""

    def snapshot_at(self) -> str:
        """The database's own clock at the snapshot, RFC 3339."""
        ...

    def hold(self, tables: Sequence[Table], *, every_row: bool = False) -> None:
        """Nobody alters or empties these tables until the end. `every_row`: fail if a policy hides some from us."""
        ...

    def query(self, sql: str) -> Table:
        """A single reading statement as something to read from. Raises Permanent("query_refused")."""
        ...

    def rows_expected(self, table: Table) -> int | None:
        """For progress: exact where that is cheap, an estimate, or None."""
        ...

    def lines(self, table: Table, form: Form, *, exact: bool) -> Iterator[bytes]:
        """Every row, encoded, its newline included."""
        ...

    def types(self, table: Table, *, exact: bool) -> list[str]:
        """A type per column: `shared/databases/parquet.py` lists them."""
        ...

    def rows(self, table: Table) -> Iterator[Row]:
        """Every row's values."""
        ...

    def key(self, table: Table) -> tuple[str, ...]:
        """The columns in whose order a later snapshot can go on; empty if there is no such order."""
        ...

    def key_after(self, table: Table, after: Key | None, rows: int) -> Key | None:
        """The key of the `rows`-th row after the one with the key `after` (None: from the first one on).

        None if there are not so many rows.
        """
        ...

    def large(self, table: Table) -> bool:
        """Is it to be read in order of its key from the start? Because time may be short, or since it costs nothing."""
        ...


class Writer(Database, Protocol):
    """One transaction from the first statement to `commit`."""

    def execute(self, statement: str, values: Sequence[Value] = ()) -> list[Row]:
        """One statement, never two, with `values` for its `$1`, `$2` …; → the rows it returns, all of them."""
        ...

    def defer_checks(self) -> None:
        """Foreign keys are looked at when the transaction commits, as far as the database can put it off."""
        ...

    def drop(self, tables: Sequence[Table]) -> None: ...

    def insert(self, table: Table, rows: Iterable[Row]) -> None:
        """Values in the order of `table.columns`. After an error the caller goes back to its savepoint, or gives up."""
        ...

    def failed_row(self, error: Exception, sent: int) -> int | None:
        """Which row of `insert`, or which line of `copy_csv`, the error is about, from 1; `sent` have been taken."""
        ...

    def copy_csv(self, table: Table, chunks: Iterator[bytes]) -> int | None:
        """All rows of a CSV without its header, the fast way, → how many; None if there is no such way.

        For two columns or more: PostgreSQL before 18 takes a line of \\. for the end of the file.
        """
        ...

    def copy_text(self, table: Table, chunks: Iterator[bytes]) -> int | None:
        """As `copy_csv`, in PostgreSQL's own text format, which tells an empty text from NULL."""
        ...

    def rows(self, table: Table) -> Iterator[Row]:
        """As a Reader's, of what this transaction has seen so far; once in a transaction."""
        ...

    def commit(self) -> None: ...


def between(table: Table, columns: Sequence[str], after: Key | None, upto: Key | None) -> Table:
    """The table's rows beyond the key `after`, as far as `upto` and with it. None: no such bound."""
    bounds = (("> ", after), ("<= ", upto))
    conditions = [f"({quoted(columns)}) {compare}({', '.join(key)})" for compare, key in bounds if key]
    return table.where(" AND ".join(conditions)) if conditions else table


def attempt(database: Writer, work: Callable[[], object], forgiven: Collection[str]) -> LongshoreError | None:
    """Do `work`; if it fails with a code in `forgiven`, undo it alone and return the fault. Other errors are raised."""
    database.execute("SAVEPOINT attempt")
    fault = None
    try:
        work()
    except Exception as error:
        fault = database.fault(error)
        if fault is None or fault.code not in forgiven:
            raise
        database.execute("ROLLBACK TO SAVEPOINT attempt")
    database.execute("RELEASE SAVEPOINT attempt")
    return fault


def by_halves(
    database: Writer, put: Callable[[range], object], rows: range, leave_out: Callable[[int, LongshoreError], None]
) -> int:
    """`put` as many of the numbered rows as the database takes → how many. The bad ones are found by halving."""
    fault = attempt(database, partial(put, rows), ROW_FAULTS) if rows else None
    if fault is None:
        return len(rows)
    if len(rows) == 1:
        leave_out(rows[0], fault)
        return 0
    half = len(rows) // 2
    return sum(by_halves(database, put, part, leave_out) for part in (rows[:half], rows[half:]))
