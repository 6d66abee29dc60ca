"""What differs, written: deletes, then updates, then inserts.

A row that the target refuses is left out and told; the others go on.
"""

from collections.abc import Callable, Sequence
from typing import Final

from shared.databases.compare import sorting
from shared.databases.engine import Row, Writer, by_halves
from shared.databases.place import RowErrors
from shared.databases.schema import Column, Table, quote, quoted
from shared.databases.sync.place import SyncPlace
from shared.databases.sync.plan import Plan
from shared.databases.sync.walk import Act, Changes
from shared.errors import LongshoreError, Permanent
from shared.payloads.results import RowError

STAGE: Final = "longshore_stage"

Put = Callable[[Sequence[Row]], None]


def writing_changes(database: Writer, plan: Plan, place: SyncPlace, errors: RowErrors, errors_max: int) -> Act:
    """What writes them, and counts what was written."""
    table = plan.target.table
    temporary, until = ("TEMPORARY", " ON COMMIT DROP" if database.kind == "postgresql" else "")
    columns = quoted(table.column_names)
    database.execute(f"CREATE {temporary} TABLE {STAGE}{until} AS SELECT {columns} FROM {table.identifier} WHERE 1 = 0")
    put: dict[str, Put] = {
        "deleted": _staged(database, table, _delete(plan)),
        "updated": _updated(database, plan),
        "inserted": lambda rows: database.insert(table, rows),
    }

    def write(changes: Changes) -> None:
        updates = [after for _, after in changes.updates]
        for kind, rows in (("deleted", changes.deletes), ("updated", updates), ("inserted", changes.inserts)):
            done = by_halves(
                database, _put(put[kind], rows), range(len(rows)), _leave_out(plan, rows, errors, errors_max)
            )
            setattr(place, kind, getattr(place, kind) + done)

    return write


def _put(put: Put, rows: Sequence[Row]) -> Callable[[range], None]:
    return lambda part: put(rows[part.start : part.stop])


def _leave_out(
    plan: Plan, rows: Sequence[Row], errors: RowErrors, errors_max: int
) -> Callable[[int, LongshoreError], None]:
    def leave_out(place: int, fault: LongshoreError) -> None:
        key = ", ".join(str(rows[place][column]) for column in plan.target.key)
        message = f"key {key}: {fault.message}"
        errors.add(RowError(table=plan.target.table.name, field=fault.field, code=fault.code, message=message))
        if errors.count > errors_max:
            raise Permanent("too_many_errors", f"more than {errors_max} rows (errors_max); the last: {message}")

    return leave_out


def _staged(database: Writer, table: Table, statement: str) -> Put:
    """Rows into a table of their own, from where one statement takes them."""
    stage = Table(STAGE, table.columns)

    def put(rows: Sequence[Row]) -> None:
        database.execute(f"DELETE FROM {stage.identifier}")
        database.insert(stage, rows)
        database.execute(statement)

    return put


def _updated(database: Writer, plan: Plan) -> Put:
    """What is not there to be updated, since it went with a row that was deleted (ON DELETE CASCADE), is put back. Who
    may insert nothing asks for nothing where all are there."""
    table, columns = plan.target.table, quoted(plan.target.table.column_names)
    update = _staged(database, table, _update(plan))
    gone = f"FROM {STAGE} AS s WHERE NOT EXISTS (SELECT 1 FROM {table.identifier} AS t WHERE {_same(plan)})"
    identity = "OVERRIDING SYSTEM VALUE " if database.kind == "postgresql" else ""

    def put(rows: Sequence[Row]) -> None:
        update(rows)
        if database.execute(f"SELECT 1 {gone} LIMIT 1"):
            database.execute(f"INSERT INTO {table.identifier} ({columns}) {identity}SELECT {columns} {gone}")

    return put


def _delete(plan: Plan) -> str:
    names = quoted(column.name for column in _key_columns(plan))
    exact, staged = _exact(plan, "t"), _exact(plan, "s")
    return (
        f"DELETE FROM {plan.target.table.identifier} AS t WHERE ({names}) IN (SELECT {names} FROM {STAGE}) "
        f"AND ({exact}) IN (SELECT {staged} FROM {STAGE} AS s)"
    )


def _update(plan: Plan) -> str:
    """Nobody asks for it where all columns are the key's."""
    table = plan.target.table
    keys = [quote(column.name) for column in _key_columns(plan)]
    values = ", ".join(f"{name} = s.{name}" for name in map(quote, table.column_names) if name not in keys)
    return f"UPDATE {table.identifier} AS t SET {values} FROM {STAGE} AS s WHERE {_same(plan)}"


def _same(plan: Plan) -> str:
    keys = [quote(column.name) for column in _key_columns(plan)]
    same = " AND ".join(f"t.{name} = s.{name}" for name in keys)
    return f"{same} AND ({_exact(plan, 't')}) = ({_exact(plan, 's')})"


def _exact(plan: Plan, table: str) -> str:
    """The key as it is: an index finds it by the column's own collation, to which `a` may be `A`."""
    return ", ".join(sorting(column, plan.target.kind, table) for column in _key_columns(plan))


def _key_columns(plan: Plan) -> list[Column]:
    return [plan.target.table.columns[place] for place in plan.target.key]
