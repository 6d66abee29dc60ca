"""Extracted files read again, by other means than those that wrote them, and held against the table they came from."""

import csv
import gzip
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import closing
from itertools import zip_longest
from pathlib import Path

from infra.demo.proof import Row, TableProof, Unequal
from shared.databases.schema import quote


def rows_of_parquet(path: Path) -> Iterator[Row]:
    """The columns' names, then the rows."""
    from arro3.io import read_parquet

    reader = read_parquet(path)
    yield tuple(reader.schema.names)
    for batch in reader:
        yield from zip(*(column.to_pylist() for column in batch.columns), strict=True)


def rows_of_csv_gz(path: Path) -> Iterator[Row]:
    """The columns' names, then the rows, all as texts."""
    with gzip.open(path, "rt", encoding="utf-8", newline="") as file:
        yield from map(tuple, csv.reader(file))


def prove_extracted(database: Path, table: str, rows: Iterable[Row]) -> TableProof:
    """Does a file hold the whole table, in the table's order? Raises Unequal at the first difference."""
    with closing(sqlite3.connect(database)) as connection:
        cursor = connection.execute(f"SELECT * FROM {quote(table)}")  # noqa: S608  # quoted
        names = tuple(name for name, *_ in cursor.description)
        read = iter(rows)
        if (header := next(read, ())) != names:
            raise Unequal(f"{table}: columns {names} became {header}")
        count = 0
        for count, (was, became) in enumerate(zip_longest(cursor, read), 1):
            if was is None or became is None or not all(map(_same, was, became)):
                raise Unequal(f"{table}, row {count:,}: {was} became {became}")
    return TableProof(table, count, len(names))


def _same(value: object, cell: object) -> bool:
    """A CSV holds texts, and nothing for NULL."""
    if isinstance(cell, str) and not isinstance(value, str):
        return cell == "" if value is None else isinstance(value, int | float) and type(value)(cell) == value
    return type(value) is type(cell) and value == cell
