"""What a PostgreSQL database says about its tables.

Kept: columns, defaults, identities and sequences with their next value, enums, checks, keys, indexes. A partitioned
table is read, and made again, as one plain table. Left out, and named: views, foreign tables, other user-defined types.
Left out: functions, triggers, policies, grants, comments; `pg_dump` is the tool for those.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Final, Protocol, TypeVar

from psycopg import Connection
from psycopg.rows import class_row

from shared.databases.postgres.questions import ColumnRow, Constraint, Index, Relation, Sequence, UserType
from shared.databases.schema import (
    DEFAULT_SPACE,
    FENCE_TABLE,
    Column,
    ForeignKey,
    Schema,
    Table,
    in_load_order,
    literal,
    quote,
)

_TABLES: Final = ("r", "p")
_OTHERS: Final = {"v": "view", "m": "materialized view", "f": "foreign table"}
_GENERATED: Final = {"s": "STORED", "v": "VIRTUAL"}
_IDENTITY: Final = {"a": "ALWAYS", "d": "BY DEFAULT"}


class _Row(Protocol):
    @property
    def relid(self) -> int: ...


R = TypeVar("R")
OfTable = TypeVar("OfTable", bound=_Row)


def read_schema(connection: Connection) -> Schema:
    """Every table outside the system's own schemas."""
    connection.execute("SET search_path = ''")
    relations = _ask(connection, Relation, Relation.SQL)
    tables = {r.relid: r for r in relations if r.kind in _TABLES and r.name != FENCE_TABLE}
    relids = list(tables)
    columns = _by_table(_ask(connection, ColumnRow, ColumnRow.SQL, relids))
    constraints = _by_table(_ask(connection, Constraint, Constraint.SQL, relids))
    indexes = _by_table(_ask(connection, Index, Index.SQL, relids))
    sequences = _by_table(_ask(connection, Sequence, Sequence.SQL, relids))
    types = _ask(connection, UserType, UserType.SQL, relids)
    connection.execute("RESET search_path")
    made = (
        _table(
            relation,
            tables,
            columns=columns[relid],
            constraints=constraints[relid],
            indexes=indexes[relid],
            sequences=sequences[relid],
        )
        for relid, relation in tables.items()
    )
    spaces = sorted({relation.space for relation in tables.values()} - {DEFAULT_SPACE})
    return Schema(
        kind="postgresql",
        tables=in_load_order(made),
        before=(*(f"CREATE SCHEMA IF NOT EXISTS {quote(space)}" for space in spaces), *_enums(types)),
        left_out=(
            *(f"{_OTHERS[relation.kind]} {relation.label}" for relation in relations if relation.kind in _OTHERS),
            *(f"type {kind.name}" for kind in types if kind.kind != "e"),
        ),
    )


def _ask(connection: Connection, row: type[R], sql: str, *relids: list[int]) -> list[R]:
    with connection.cursor(row_factory=class_row(row)) as cursor:
        return cursor.execute(sql, relids or None).fetchall()


def _by_table(rows: Iterable[OfTable]) -> dict[int, list[OfTable]]:
    found: dict[int, list[OfTable]] = defaultdict(list)
    for row in rows:
        found[row.relid].append(row)
    return found


def _table(
    relation: Relation,
    relations: dict[int, Relation],
    *,
    columns: list[ColumnRow],
    constraints: list[Constraint],
    indexes: list[Index],
    sequences: list[Sequence],
) -> Table:
    bare = Table(relation.label, (), space=relation.space)
    return replace(
        bare,
        source=f"ONLY {bare.identifier}" if relation.kind == "r" else "",
        columns=tuple(Column(c.name, c.type, not c.not_null, c.base) for c in columns if not c.generated),
        primary_key=next((tuple(c.columns) for c in constraints if c.kind == "p"), ()),
        foreign_keys=tuple(
            ForeignKey(tuple(c.columns), relations[c.parent].label, tuple(c.parent_columns), _added(bare, c))
            for c in constraints
            if c.kind == "f" and c.parent in relations
        ),
        create=(
            *(f"CREATE SEQUENCE IF NOT EXISTS {s.name} AS {s.type} {s.settings}" for s in sequences if not s.identity),
            _create(bare, columns, constraints, {s.column: s.settings for s in sequences if s.identity}),
        ),
        finish=(
            *(_added(bare, c) for c in constraints if c.kind in ("p", "u", "x")),
            *(index.definition for index in indexes),
            *(statement for sequence in sequences for statement in _continued(bare, sequence)),
        ),
    )


def _create(table: Table, columns: list[ColumnRow], constraints: list[Constraint], identities: dict[str, str]) -> str:
    parts = [_column(column, identities.get(column.name, "")) for column in columns]
    parts += [f"CONSTRAINT {quote(c.name)} {c.definition}" for c in constraints if c.kind == "c"]
    return f"CREATE TABLE {table.identifier} (\n  " + ",\n  ".join(parts) + "\n)"


def _column(column: ColumnRow, identity_settings: str) -> str:
    words = [quote(column.name), column.type]
    if column.collation:
        words += ["COLLATE", column.collation]
    if column.generated:
        words += [f"GENERATED ALWAYS AS ({column.expression})", _GENERATED[column.generated]]
    elif column.identity:
        words += [f"GENERATED {_IDENTITY[column.identity]} AS IDENTITY ({identity_settings})"]
    elif column.expression:
        words += ["DEFAULT", column.expression]
    return " ".join(words + ["NOT NULL"] * column.not_null)


def _added(table: Table, constraint: Constraint) -> str:
    return f"ALTER TABLE {table.identifier} ADD CONSTRAINT {quote(constraint.name)} {constraint.definition}"


def _continued(table: Table, sequence: Sequence) -> Iterator[str]:
    """A sequence goes on where it stood; one that was never asked begins at its start."""
    if sequence.owned:
        yield f"ALTER SEQUENCE {sequence.name} OWNED BY {table.identifier}.{quote(sequence.column)}"
    if sequence.last_value is not None:
        of_column = f"pg_get_serial_sequence({literal(table.identifier)}, {literal(sequence.column)})"
        name = of_column if sequence.identity else literal(sequence.name)
        yield f"SELECT setval({name}, {sequence.last_value})"


def _enums(types: list[UserType]) -> Iterator[str]:
    """There is no CREATE TYPE IF NOT EXISTS."""
    for kind in types:
        if kind.kind == "e":
            labels = ", ".join(map(literal, kind.labels))
            create = f"CREATE TYPE {kind.name} AS ENUM ({labels})"
            yield f"DO $do$ BEGIN {create}; EXCEPTION WHEN duplicate_object THEN NULL; END $do$"
