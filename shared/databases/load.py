"""Files into a database, in one transaction that the caller commits. Runs in a session's thread.

    tables made, or found (and emptied, to `overwrite`)  →  rows, parents first  →  keys and indexes
    →  foreign keys  →  triggers, views  →  counts

With `errors` to put them in, bad rows are left out: then keys come before the rows, so that each bad row is found by
itself, and rows whose parent was left out go as well. Any other fault raises, and nothing remains of the transaction.

When time is short, it stops where the database can be left as it is: between two rows of a file, but not while rows
that are loaded may refer to some that are not; and between two of the closing steps, each a statement. The caller
commits, and the next transaction goes on from the same `Place`.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import accumulate, chain

from shared.databases.engine import Writer
from shared.databases.place import Place, RowErrors
from shared.databases.progress import Tell, Watch, unhurried
from shared.databases.rows import Loader, Source
from shared.databases.schema import ForeignKey, Kind, Schema, Table, quote, quoted
from shared.databases.session import Inlet
from shared.errors import Permanent
from shared.payloads.results import RowError

Step = Callable[[], object]


@dataclass(frozen=True, slots=True)
class Plan:
    """`sources` parents first. `schema` makes the tables in a database of its kind; otherwise they are there.

    `torn`: the sources are of several snapshots, so that a row may refer to one that is not among them.
    """

    sources: tuple[Source, ...]
    schema: Schema | None
    overwrite: bool
    verify: bool
    batch_rows: int
    torn: bool = False

    @property
    def rows_expected(self) -> int | None:
        known = [source.rows for source in self.sources if source.rows is not None]
        return sum(known) if len(known) == len(self.sources) else None

    def makes_tables(self, kind: Kind) -> bool:
        return self.schema is not None and self.schema.kind == kind


def restore(
    database: Writer,
    plan: Plan,
    open_file: Callable[[str], Inlet],
    errors: RowErrors | None,
    tell: Tell,
    *,
    place: Place | None = None,
    watch: Watch | None = None,
    careful: bool = False,
) -> Place:
    """→ how far it is, `ended` or not. `place`: from where it goes on. `careful`: a former run was stopped by time.

    Raises Permanent: table_exists, no_such_table, no_such_column, corrupt_artifact, disk_full, …
    """
    loader = Loader(database, plan.batch_rows, errors, tell, watch or unhurried(), place or Place())
    there = database.schema()
    if plan.schema and plan.makes_tables(database.kind):
        steps = _prepare_schema(loader, plan, plan.schema, there)
        tables, resting = plan.schema.tables, set(range(len(plan.sources)))
    else:
        tables = _found(plan, there)
        steps = _prepare_tables(loader, plan, tables)
        resting = _resting_places(plan, tables)
    loader.place.loaded = loader.place.loaded or {table.name: 0 for table in tables}
    loader.place.begun = True
    fresh = loader.place.sources == len(plan.sources)
    if _load(loader, plan, tables, open_file, resting):
        loader.place.ended = _close(loader, steps, fresh=fresh, careful=careful)
    return loader.place


def _prepare_schema(loader: Loader, plan: Plan, schema: Schema, there: Schema) -> list[Step]:
    """Make the tables; → what is to be done when their rows are there."""
    database, errors = loader.database, loader.errors
    finish = [statement for table in schema.tables for statement in table.finish]
    if not loader.place.begun:
        _make_room(database, plan, schema, there)
        _run(database, chain(schema.before, *(table.create for table in schema.tables)))
        _run(database, finish if errors is not None else ())
    parents = {table.name: table for table in (*there.tables, *schema.tables)}
    keys = [(table, key) for table in schema.tables for key in table.foreign_keys if key.parent in parents]
    statements = [key.ddl for _, key in keys if key.ddl]
    statements += [*chain(*(table.link for table in schema.tables)), *(view.create for view in schema.views)]
    steps: list[Step] = [partial(database.execute, statement) for statement in finish if errors is None]
    if errors is not None:
        steps.append(lambda: _leave_orphans_out(loader, errors, keys, parents, torn=plan.torn))
    steps += [partial(database.execute, statement) for statement in statements]
    return steps + _counts(loader, schema.tables if plan.verify else ())


def _prepare_tables(loader: Loader, plan: Plan, tables: Sequence[Table]) -> list[Step]:
    """As above, for tables that are there."""
    if loader.errors is None:
        loader.database.defer_checks()
    if plan.overwrite and not loader.place.begun:
        _run(loader.database, (f"DELETE FROM {table.identifier}" for table in reversed(tables)))
    return _counts(loader, tables if plan.overwrite and plan.verify else ())


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


def _resting_places(plan: Plan, tables: Sequence[Table]) -> set[int]:
    """The sources in the middle of which a commit finds every loaded row's parents there."""
    last = {source.table: place for place, source in enumerate(plan.sources)}
    by_name = {table.name: table for table in tables}
    needs = [
        max((last.get(key.parent, -1) for key in by_name[source.table].foreign_keys), default=-1)
        for source in plan.sources
    ]
    return {place for place, need in enumerate(accumulate(needs, max)) if need < place}


def _load(
    loader: Loader, plan: Plan, tables: Sequence[Table], open_file: Callable[[str], Inlet], resting: set[int]
) -> bool:
    """→ are all rows there?"""
    by_name = {table.name: table for table in tables}
    first = loader.place.sources
    for number, source in enumerate(plan.sources[first:], first):
        pausing = number in resting
        if pausing and number > first and loader.watch.short():
            return False
        if not loader.load(by_name[source.table], source, open_file(source.name), pausing=pausing):
            return False
    return True


def _close(loader: Loader, steps: Sequence[Step], *, fresh: bool, careful: bool) -> bool:
    """→ are all steps done? Nobody knows how long one takes: who is careful begins it in the first half of his time.

    `fresh`: no rows were loaded in this invocation.
    """
    late = loader.watch.half_over if careful else loader.watch.short
    for step in steps[loader.place.steps :]:
        if not fresh and late():
            return False
        step()
        loader.place.steps += 1
        fresh = False
    return True


def _leave_orphans_out(
    loader: Loader, errors: RowErrors, keys: list[tuple[Table, ForeignKey]], parents: dict[str, Table], *, torn: bool
) -> None:
    if errors.count or torn:
        for error in _orphans_deleted(loader.database, keys, parents):
            errors.add(error)
            loader.place.loaded[error.table] -= 1


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


def _counts(loader: Loader, tables: Iterable[Table]) -> list[Step]:
    return [partial(_compare_count, loader, table) for table in tables]


def _compare_count(loader: Loader, table: Table) -> None:
    rows = loader.place.loaded[table.name]
    if loader.database.execute(f"SELECT count(*) FROM {table.identifier}")[0][0] != rows:
        raise Permanent("rows_lost", f"table {table.name} does not have the {rows} rows that were loaded")


def _run(database: Writer, statements: Iterable[str]) -> None:
    for statement in statements:
        database.execute(statement)
