"""What a database holds, as plain data: enough to write its rows down, to make its tables again, and to order them.

Statements (`create`, `finish`, `link`) are the source database's own words about itself and run only in the same kind
of database. Everything else is names, and a name meets SQL only through `quote`.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Final, Literal

from shared.errors import Permanent

Kind = Literal["sqlite", "postgresql"]

FENCE_TABLE: Final = "longshore_fence"
"""Our own table in a restored database; never part of what is read out of one."""


DEFAULT_SPACE: Final = "public"


@dataclass(frozen=True, slots=True)
class Column:
    """`type` as declared (SQLite: may be empty). `base`: PostgreSQL's name of the type below domains, e.g. `int4`."""

    name: str
    type: str = ""
    nullable: bool = True
    base: str = ""


@dataclass(frozen=True, slots=True)
class ForeignKey:
    columns: tuple[str, ...]
    parent: str
    parent_columns: tuple[str, ...]
    ddl: str = ""
    """PostgreSQL adds it once all rows are there; in SQLite it is part of CREATE TABLE."""


@dataclass(frozen=True, slots=True)
class Table:
    """`columns` are those with a value of their own: generated ones are left out. `query` stands in for a table.

    `space` is PostgreSQL's schema; the name says it too, unless it is `public`: `orders`, but `sales.orders`.
    """

    name: str
    columns: tuple[Column, ...]
    space: str = ""
    primary_key: tuple[str, ...] = ()
    foreign_keys: tuple[ForeignKey, ...] = ()
    create: tuple[str, ...] = ()
    finish: tuple[str, ...] = ()
    """Run after the table's rows: keys, indexes, the next value of a sequence."""
    link: tuple[str, ...] = ()
    """Run after every table's rows: triggers."""
    source: str = ""
    """What to read from, if it is not simply the table."""
    query: str = ""

    @property
    def identifier(self) -> str:
        """The name as SQL."""
        if not self.space:
            return quote(self.name)
        bare = self.name if self.space == DEFAULT_SPACE else self.name.removeprefix(f"{self.space}.")
        return f"{quote(self.space)}.{quote(bare)}"

    @property
    def column_names(self) -> tuple[str, ...]:
        return tuple(column.name for column in self.columns)

    @property
    def references(self) -> tuple[str, ...]:
        """Each column as `selecting` knows it."""
        if self.query:
            return tuple(f"c{place}" for place in range(len(self.columns)))
        return tuple(map(quote, self.column_names))

    def selecting(self, values: Iterable[str]) -> str:
        """A SELECT of these expressions for every row. A query's columns are numbered: it may name two alike."""
        if self.query:
            names = ", ".join(self.references)
            return f"WITH q({names}) AS (\n{self.query}\n) SELECT {', '.join(values)} FROM q"
        return f"SELECT {', '.join(values)} FROM {self.source or self.identifier}"

    def made(self) -> "Table":
        """The table without what makes it: it is there already."""
        return replace(self, create=())

    def where(self, condition: str) -> "Table":
        """Those of its rows for which an SQL condition holds. Not for a query."""
        return replace(self, source=f"{self.source or self.identifier} WHERE {condition}")

    def narrowed(self, names: Sequence[str]) -> "Table":
        """The table with these columns alone, in this order. Raises Permanent("no_such_column")."""
        by_name = {column.name: column for column in self.columns}
        for name in names:
            if name not in by_name:
                raise Permanent("no_such_column", f"table {self.name} has no column {name!r}", field="columns")
        return replace(self, columns=tuple(by_name[name] for name in names))


@dataclass(frozen=True, slots=True)
class View:
    name: str
    create: str


@dataclass(frozen=True, slots=True)
class Schema:
    """`tables` parents first; `before`: what they need, such as types. `left_out` names what is not here."""

    kind: Kind
    tables: tuple[Table, ...]
    before: tuple[str, ...] = ()
    views: tuple[View, ...] = ()
    left_out: tuple[str, ...] = ()

    def chosen(self, names: Sequence[str] | None, field: str = "tables") -> "Schema":
        """The part with these tables; None: all of it. Raises Permanent("no_such_table") naming `{field}.N`."""
        if names is None:
            return self
        known = {table.name for table in self.tables}
        for position, name in enumerate(names):
            if name not in known:
                raise Permanent("no_such_table", f"there is no table {name!r}", field=f"{field}.{position}")
        wanted = set(names)
        return replace(self, tables=tuple(table for table in self.tables if table.name in wanted), views=())


def quote(name: str) -> str:
    """A name as an SQL identifier. https://www.postgresql.org/docs/current/sql-syntax-lexical.html, also SQLite's."""
    return '"' + name.replace('"', '""') + '"'


def literal(text: str) -> str:
    """A text as an SQL string."""
    return "'" + text.replace("'", "''") + "'"


def quoted(names: Iterable[str]) -> str:
    return ", ".join(map(quote, names))


def query_table(query: str, columns: Iterable[Column]) -> Table:
    """What a query returns, as a table called `query`. Of two columns with one name, the second becomes `name_2`."""
    named: dict[str, Column] = {}
    for column in columns:
        same = 1
        while (name := column.name if same == 1 else f"{column.name}_{same}") in named:
            same += 1
        named[name] = replace(column, name=name)
    return Table("query", tuple(named.values()), query=query)


def in_load_order(tables: Iterable[Table]) -> tuple[Table, ...]:
    """Parents before children, otherwise by name. Of a cycle, the table that waits for the fewest others goes first."""
    left = {table.name: table for table in sorted(tables, key=lambda table: table.name)}
    ordered: list[Table] = []
    while left:
        waits = {name: len(_parents(table) & left.keys()) for name, table in left.items()}
        fewest = min(waits.values())
        ready = [name for name in left if waits[name] == fewest]
        ordered += [left.pop(name) for name in (ready if fewest == 0 else ready[:1])]
    return tuple(ordered)


def _parents(table: Table) -> set[str]:
    return {key.parent for key in table.foreign_keys} - {table.name}
