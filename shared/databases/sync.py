"""One table made like another: two streams in the order of their keys, compared page by page, and what differs written.

    source   a snapshot, read once along its key                    ──┐   within the same bounds of the key:
    target   pages behind the key that is done, in the transaction  ──┘   deletes, then updates, then inserts

Memory is bounded by a page of each. A row that the target refuses is left out and told; the others go on. What is
committed is done as far as `SyncPlace.after`, and another invocation goes on behind it.
"""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import Final, Protocol

from shared.databases.compare import (
    Compare,
    Key,
    KeyPart,
    comparing,
    key_json,
    key_literal,
    key_of,
    key_part,
    plain_key,
    sorting,
)
from shared.databases.engine import Reader, Row, Value, Writer, by_halves
from shared.databases.place import Place, RowErrors
from shared.databases.schema import Column, Kind, Schema, Table, quote, quoted
from shared.errors import LongshoreError, Permanent
from shared.payloads.data_sync import DataSyncPayload
from shared.payloads.results import RowError

PAGE_ROWS: Final = 2_000
PAGE_BYTES: Final = 8 << 20
STAGE: Final = "longshore_stage"

Keyed = tuple[Key, Row]


class Rows(Protocol):
    """A Reader or a Writer."""

    kind: Kind

    def rows(self, table: Table) -> Iterator[Row]: ...


class SyncPlace(Place):
    """How far a sync is: behind the key `after` (as `key_json`) nothing is compared yet. A dry run has `told` so many
    `differences`, in that file.
    """

    after: str | None = None
    inserted: int = 0
    updated: int = 0
    deleted: int = 0
    unchanged: int = 0
    told: int = 0
    differences: str | None = None

    @property
    def compared(self) -> int:
        return self.inserted + self.updated + self.deleted + self.unchanged


@dataclass(frozen=True, slots=True)
class Side:
    """One of the two tables, with the columns that are compared, the source's and the target's in the same order."""

    kind: Kind
    table: Table
    key: tuple[int, ...]
    """Places of the key's columns."""
    parts: tuple[Callable[[Value], KeyPart], ...]

    def behind(self, after: Key | None, rows_max: int | None = None) -> Table:
        """Its rows in order, those without a key left out."""
        columns = [self.table.columns[place] for place in self.key]
        order = ", ".join(sorting(column, self.kind) for column in columns)
        conditions = [f"k.{quote(column.name)} IS NOT NULL" for column in columns]
        if after is not None:
            conditions.append(f"({order}) > ({', '.join(key_literal(part, self.kind) for part in after)})")
        limit = "" if rows_max is None else f" LIMIT {rows_max}"
        where = " AND ".join(conditions)
        return replace(self.table, source=f"{self.table.identifier} AS k WHERE {where} ORDER BY {order}{limit}")

    def keyless(self) -> Table:
        """Its rows with a NULL in their key."""
        names = (quote(self.table.columns[place].name) for place in self.key)
        return self.table.where(" OR ".join(f"{name} IS NULL" for name in names))

    def keyed(self, rows: Iterator[Row], last: Key | None) -> Iterator[Keyed]:
        """Raises Permanent("duplicate_key", "key_order")."""
        for row in rows:
            key = tuple(part(row[place]) for place, part in zip(self.key, self.parts, strict=True))
            if last is not None and key <= last:
                raise self._disorder(key, last)
            yield key, row
            last = key

    def _disorder(self, key: Key, last: Key) -> Permanent:
        if key == last:
            message = f"two rows of {self.table.name} have the key {plain_key(key)}: it must be of one row alone"
            return Permanent("duplicate_key", message, field="key")
        message = f"{self.table.name} sorts {plain_key(key)} after {plain_key(last)}, unlike the other table"
        return Permanent("key_order", f"{message}: a key must be of the same type in both", field="key")


@dataclass(frozen=True, slots=True)
class Plan:
    source: Side
    target: Side
    compares: tuple[Compare, ...]

    def same(self, one: Row, other: Row) -> bool:
        return one == other or all(
            x == y or compare(x) == compare(y) for x, y, compare in zip(one, other, self.compares, strict=True)
        )


@dataclass(slots=True)
class Stream:
    """The source's rows, of which at least one is `held` until it has `ended`."""

    rows: Iterator[Keyed]
    held: deque[Keyed] = field(default_factory=deque)
    ended: bool = False

    def fill(self) -> None:
        size_bytes = sum(_size_bytes(row) for _, row in self.held)
        while len(self.held) < PAGE_ROWS and size_bytes < PAGE_BYTES and not self.ended:
            found = next(self.rows, None)
            if found is None:
                self.ended = True
            else:
                self.held.append(found)
                size_bytes += _size_bytes(found[1])


@dataclass(frozen=True, slots=True)
class Changes:
    inserts: list[Row]
    updates: list[tuple[Row, Row]]
    """(as it is, as it ought to be)"""
    deletes: list[Row]
    unchanged: int


Act = Callable[[Changes], None]
Put = Callable[[Sequence[Row]], None]


def make_plan(payload: DataSyncPayload, source: Schema, target: Schema) -> Plan:
    """Raises Permanent("no_such_table", "no_such_column", "no_key")."""
    ours = source.chosen([payload.table], "table").tables[0]
    theirs = target.chosen([payload.target_table or payload.table], "target_table").tables[0]
    columns = payload.columns or {name: name for name in ours.column_names}
    ours, theirs = ours.narrowed(tuple(columns)), theirs.narrowed(tuple(columns.values()))
    names = payload.key or ours.primary_key
    if not names or not set(names) <= set(columns):
        message = f"give the columns, among those that are synced, that tell the rows of {ours.name} apart"
        raise Permanent("no_key", message, field="key")
    pairs = [(one, source.kind, other, target.kind) for one, other in zip(ours.columns, theirs.columns, strict=True)]
    key = tuple(ours.column_names.index(name) for name in names)
    parts = tuple(key_part(*pairs[place]) for place in key)
    return Plan(
        Side(source.kind, ours, key, parts),
        Side(target.kind, theirs, key, parts),
        tuple(comparing(*pair) for pair in pairs),
    )


def read_source(database: Reader, plan: Plan, after: str | None) -> Stream:
    last = None if after is None else key_of(after)
    return Stream(plan.source.keyed(database.rows(plan.source.behind(last)), last))


def leave_keyless_out(database: Reader, plan: Plan, errors: RowErrors) -> None:
    for row in database.rows(plan.source.keyless()):
        names = plan.source.table.column_names
        column = next(names[place] for place in plan.source.key if row[place] is None)
        message = "a row of the source has no key"
        errors.add(RowError(table=plan.source.table.name, field=column, code="bad_key", message=message))


def step(database: Rows, plan: Plan, place: SyncPlace, stream: Stream, act: Act, *, delete: bool) -> None:
    """Compare one page and have `act` do what follows. `place.ended` when nothing is left."""
    after = None if place.after is None else key_of(place.after)
    rows_max = max(64, min(PAGE_ROWS, len(stream.held) or PAGE_ROWS))
    rows = islice(database.rows(plan.target.behind(after, rows_max)), rows_max)
    there = list(plan.target.keyed(rows, after))
    open_sides = [
        side[-1][0] for side, ended in ((stream.held, stream.ended), (there, len(there) < rows_max)) if not ended
    ]
    bound = min(open_sides, default=None)
    changes = _changes(plan, stream, [one for one in there if bound is None or one[0] <= bound], bound, delete=delete)
    act(changes)
    place.unchanged += changes.unchanged
    place.after = place.after if bound is None else key_json(bound)
    place.ended = bound is None or (stream.ended and not stream.held and not delete)


def writing_changes(database: Writer, plan: Plan, place: SyncPlace, errors: RowErrors, errors_max: int) -> Act:
    """What writes them, and counts what was written."""
    table = plan.target.table
    temporary, until = ("TEMPORARY", " ON COMMIT DROP" if database.kind == "postgresql" else "")
    columns = quoted(table.column_names)
    database.execute(f"CREATE {temporary} TABLE {STAGE}{until} AS SELECT {columns} FROM {table.identifier} WHERE 1 = 0")
    put: dict[str, Put] = {
        "deleted": _staged(database, table, _delete(plan)),
        "updated": _staged(database, table, _update(plan)),
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


def _changes(plan: Plan, stream: Stream, there: list[Keyed], bound: Key | None, *, delete: bool) -> Changes:
    """Takes from the stream what is within the bound."""
    left = dict(there)
    changes = Changes([], [], [], 0)
    unchanged = 0
    while stream.held and (bound is None or stream.held[0][0] <= bound):
        key, row = stream.held.popleft()
        found = left.pop(key, None)
        if found is None:
            changes.inserts.append(row)
        elif plan.same(row, found):
            unchanged += 1
        else:
            changes.updates.append((found, row))
    changes.deletes.extend(left.values() if delete else ())
    return replace(changes, unchanged=unchanged)


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


def _delete(plan: Plan) -> str:
    names = quoted(column.name for column in _key_columns(plan))
    return f"DELETE FROM {plan.target.table.identifier} WHERE ({names}) IN (SELECT {names} FROM {STAGE})"


def _update(plan: Plan) -> str:
    """Nobody asks for it where all columns are the key's."""
    table = plan.target.table
    keys = [quote(column.name) for column in _key_columns(plan)]
    values = ", ".join(f"{name} = s.{name}" for name in map(quote, table.column_names) if name not in keys)
    same = " AND ".join(f"t.{name} = s.{name}" for name in keys)
    return f"UPDATE {table.identifier} AS t SET {values} FROM {STAGE} AS s WHERE {same}"


def _key_columns(plan: Plan) -> list[Column]:
    return [plan.target.table.columns[place] for place in plan.target.key]


def _size_bytes(row: Row) -> int:
    return 64 + sum(len(value) for value in row if isinstance(value, str | bytes))
