"""How the server writes rows down: expressions for COPY, by PostgreSQL's own name of a column's type."""

import re
from typing import Final

from shared.databases.schema import Column, Table, literal, quote, quoted

_JSON_AS_IT_IS: Final = frozenset(
    {"bool", "int2", "int4", "int8", "float4", "float8", "numeric", "text", "varchar", "bpchar", "uuid"}
)
_SQL_BARE: Final = frozenset({"bool", "int2", "int4", "int8"})
_TYPED: Final = {
    "bool": "bool",
    "int2": "int16",
    "int4": "int32",
    "int8": "int64",
    "float4": "float32",
    "float8": "float64",
    "bytea": "bytes",
}
_CASTS: Final = {"date": "date", "timestamp": "timestamp", "timestamptz": "timestamptz"}
_DECIMAL_DIGITS_MAX: Final = 38


def csv_select(table: Table) -> str:
    """`true` and `false`, which more programs understand than `t` and `f`."""
    return table.selecting(
        f"{reference}::text" if column.base == "bool" else reference
        for column, reference in zip(table.columns, table.references, strict=True)
    )


def json_select(table: Table, *, exact: bool) -> str:
    """One JSON object per row. Exactly: what JSON has no type for is a string, as the server reads it back.

    (A jsonb `null` and no jsonb at all would otherwise be the same, and an array's bounds would be lost.)
    """
    values = (
        f"{reference}{'::text' if exact and column.base not in _JSON_AS_IT_IS else ''} AS {quote(column.name)}"
        for column, reference in zip(table.columns, table.references, strict=True)
    )
    return f'SELECT row_to_json("the row".*)::text FROM ({table.selecting(values)}) AS "the row"'


def insert_select(table: Table) -> str:
    """One INSERT per row."""
    head = f"INSERT INTO {table.identifier} ({quoted(table.column_names)}) VALUES ("
    values = " || ', ' || ".join(map(_insert_value, table.columns, table.references))
    return table.selecting([f"{literal(head)} || {values} || ');'"])


def typed_select(table: Table) -> tuple[str, list[str]]:
    """A SELECT for a binary COPY, and PostgreSQL's types of what it returns."""
    types = [column.base if column.base in _TYPED else "text" for column in table.columns]
    pairs = zip(table.references, types, strict=True)
    return table.selecting(f"{ref}::text" if kind == "text" else ref for ref, kind in pairs), types


def parquet_type(column: Column, *, exact: bool) -> str:
    """In the words of `shared/databases/parquet.py`. Exactly: a text, where Parquet's type holds less than ours."""
    if column.base in _TYPED:
        return _TYPED[column.base]
    digits = re.search(r"\((\d+),(\d+)\)", column.type) if column.base == "numeric" else None
    if digits and int(digits[1]) <= _DECIMAL_DIGITS_MAX and not exact:
        return f"decimal({digits[1]},{digits[2]})"
    return "text" if exact else _CASTS.get(column.base, "text")


def _insert_value(column: Column, reference: str) -> str:
    """(The server's own `quote_literal` would double backslashes, in a syntax that only PostgreSQL has.)"""
    text = f"{reference}::text"
    quote_, two = literal("'"), literal("''")
    as_text = f"{quote_} || replace({text}, {quote_}, {two}) || {quote_}"
    return f"coalesce({text if column.base in _SQL_BARE else as_text}, 'NULL')"
