"""Files into a database, in one transaction that the caller commits. Runs in a session's thread.

    tables made, or found (and emptied, to `overwrite`)  →  rows, parents first  →  keys and indexes
    →  foreign keys  →  triggers, views  →  counts

With `errors` to put them in, bad rows are left out: then keys come before the rows, so that each bad row is found by
itself, and rows whose parent was left out go as well. Any other fault raises, and nothing remains of the restore.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain

from shared.databases.engine import Writer
from shared.databases.progress import Tell
from shared.databases.rows import Loader, RowErrors, Source
from shared.databases.schema import ForeignKey, Kind, Schema, Table, quote, quoted
from shared.databases.session import Inlet
from shared.errors import Permanent
from shared.payloads.results import RowError


@dataclass(frozen=True, slots=True)
class Plan:
    """`sources` parents first. `schema` makes the tables in a database of its kind; otherwise they are there."""

    sources: tuple[Source, ...]
    schema: Schema | None
    overwrite: bool
    verify: bool
    batch_rows: int

    @property
    def rows_expected(self) -> int | None:
        known = [source.rows for source in self.sources if source.rows is not None]
        return sum(known) if len(known) == len(self.sources) else None

    def makes_tables(self, kind: Kind) -> bool:
        return self.schema is not None and self.schema.kind == kind


def restore(
    database: Writer, plan: Plan, open_file: Callable[[str], Inlet], errors: RowErrors | None, tell: Tell
) -> dict[str, int]:
    """→ rows by table. Raises Permanent: table_exists, no_such_table, no_such_column, corrupt_artifact, disk_full, …"""
    loader = Loader(database, plan.batch_rows, errors, tell)
    there = database.schema()
    if plan.schema and plan.makes_tables(database.kind):
        return _restore_schema(loader, plan, plan.schema, there, open_file)
    tables = _found(plan, there)
    if errors is None:
        database.defer_checks()
    if plan.overwrite:
        _run(database, (f"DELETE FROM {table.identifier}" for table in reversed(tables)))
    rows = _load(loader, plan, tables, open_file)
    if plan.overwrite and plan.verify:
        _compare_counts(database, tables, rows)
    return rows


def _restore_schema(
    loader: Loader, plan: Plan, schema: Schema, there: Schema, open_file: Callable[[str], Inlet]
) -> dict[str, int]:
    database, errors = loader.database, loader.errors
    _make_room(database, plan, schema, there)
    _run(database, chain(schema.before, *(table.create for table in schema.tables)))
    finish = [statement for table in schema.tables for statement in table.finish]
    if errors is not None:
        _run(database, finish)
    rows = _load(loader, plan, schema.tables, open_file)
    if errors is None:
        _run(database, finish)
    parents = {table.name: table for table in (*there.tables, *schema.tables)}
    keys = [(table, key) for table in schema.tables for key in table.foreign_keys if key.parent in parents]
    if errors is not None and errors.count:
        for error in _orphans_deleted(database, keys, parents):
            errors.add(error)
            rows[error.table] -= 1
    _run(database, (key.ddl for _, key in keys if key.ddl))
    _run(database, chain(*(table.link for table in schema.tables), (view.create for view in schema.views)))
    if plan.verify:
        _compare_counts(database, schema.tables, rows)
    return rows


def _make_room(database: Writer, plan: Plan, schema: Schema, there: Schema) -> None:
    names = {table.name for table in schema.tables}
    clashes = [table for table in reversed(there.tables) if table.name in names]
    if clashes and not plan.overwrite:
        message = f"table {clashes[-1].name} is there already: overwrite replaces it"
        raise Permanent("table_exists", message, field="options.overwrite")
    views = {view.name for view in schema.views}
    _run(database, (f"DROP VIEW {quote(view.name)}" for view in there.views if view.name in views))
    database.drop(clashes)


def _found(plan: Plan, there: Schema) -> tuple[Table, ...]:
    """Existing tables for all the sources, in their order."""
    by_name = {table.name: table for table in there.tables}
    for source in plan.sources:
        if source.table not in by_name:
            other = f"; this backup can make tables in {plan.schema.kind} only" if plan.schema else ""
            message = f"there is no table {source.table!r} to load into{other}"
            raise Permanent("no_such_table", message, field="tables")
    return tuple(by_name[source.table] for source in plan.sources)


def _load(loader: Loader, plan: Plan, tables: Sequence[Table], open_file: Callable[[str], Inlet]) -> dict[str, int]:
    by_name = {table.name: table for table in tables}
    rows = dict.fromkeys(by_name, 0)
    for source in plan.sources:
        rows[source.table] = loader.load(by_name[source.table], source, open_file(source.name))
    return rows


def _orphans_deleted(
    database: Writer, keys: list[tuple[Table, ForeignKey]], parents: dict[str, Table]
) -> Iterator[RowError]:
    """Until there are none: the rows that go may be parents themselves."""
    again = True
    while again:
        again = False
        for table, key in keys:
            for values in database.execute(_delete_orphans(table, key, parents[key.parent])):
                again = True
                words = ", ".join(f"{name} {value!r}" for name, value in zip(key.columns, values, strict=True))
                message = f"refers to a row of {key.parent} that is not there: {words}"
                yield RowError(table=table.name, field=key.columns[0], code="constraint_violation", message=message)


def _delete_orphans(table: Table, key: ForeignKey, parent: Table) -> str:
    """Works in both. A key with a NULL in it refers to nothing."""
    pairs = list(zip(key.columns, key.parent_columns, strict=True))
    here = " AND ".join(f"c.{quote(child)} IS NOT NULL" for child, _ in pairs)
    same = " AND ".join(f"p.{quote(there)} = c.{quote(child)}" for child, there in pairs)
    missing = f"NOT EXISTS (SELECT 1 FROM {parent.identifier} AS p WHERE {same})"
    return f"DELETE FROM {table.identifier} AS c WHERE {here} AND {missing} RETURNING {quoted(key.columns)}"


def _compare_counts(database: Writer, tables: Sequence[Table], rows: dict[str, int]) -> None:
    for table in tables:
        found = database.execute(f"SELECT count(*) FROM {table.identifier}")[0][0]
        if found != rows[table.name]:
            message = f"table {table.name} does not have the {rows[table.name]} rows that were loaded"
            raise Permanent("rows_lost", message)


def _run(database: Writer, statements: Iterable[str]) -> None:
    for statement in statements:
        database.execute(statement)
