"""The two tables of a sync, in the order of their keys, and when two of their rows are the same."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from shared.databases.compare import (
    Compare,
    Key,
    KeyPart,
    comparing,
    key_literal,
    key_part,
    plain_key,
    sorting,
)
from shared.databases.engine import Database, Reader, Row, Value, Writer
from shared.databases.schema import Kind, Schema, Table, quote
from shared.databases.session import Session
from shared.errors import Permanent
from shared.payloads.data_sync import DataSyncPayload

Keyed = tuple[Key, Row]


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
        key_of = self._key_of()
        for row in rows:
            key = key_of(row)
            if last is not None and key <= last:
                raise self._disorder(key, last)
            yield key, row
            last = key

    def _key_of(self) -> Callable[[Row], Key]:
        pairs = list(zip(self.key, self.parts, strict=True))
        if len(pairs) > 1:
            return lambda row: tuple([part(row[place]) for place, part in pairs])
        ((place, part),) = pairs
        return lambda row: (part(row[place]),)

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
    delete: bool
    dry_run: bool

    def same(self, one: Row, other: Row) -> bool:
        return one == other or all(
            x == y or compare(x) == compare(y) for x, y, compare in zip(one, other, self.compares, strict=True)
        )


async def make_plan(
    payload: DataSyncPayload, source: Session[Reader], target: Session[Reader] | Session[Writer]
) -> Plan:
    """Raises Permanent("no_such_table", "no_such_column", "no_key")."""
    return _plan(payload, await source.run(_schema), await target.run(_schema))


def _schema(database: Database) -> Schema:
    return database.schema()


def _plan(payload: DataSyncPayload, source: Schema, target: Schema) -> Plan:
    ours = _table(source, payload.table, "table")
    theirs = _table(target, payload.target_table or payload.table, "target_table")
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
        payload.options.delete,
        payload.options.dry_run,
    )


def _table(schema: Schema, name: str, field: str) -> Table:
    try:
        return schema.chosen([name]).tables[0]
    except Permanent as error:
        raise Permanent(error.code, error.message, field=field) from None
