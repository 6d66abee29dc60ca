"""Rows per second and peak memory of reading and loading a table, ours against the bare library path, in turns.

Every measurement is a process of its own, since memory is the process's. Ours is the whole path of a job: thread,
chunks, counts, checksum. The library path is the shortest program that makes or loads such a file, with no promises.
SQLite's seconds are the CPU's, which a busy machine does not change; PostgreSQL's server is another process, so there
they are the clock's.
"""

import asyncio
import csv
import io
import json
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, Final, cast

import psycopg
from isal import igzip, isal_zlib

from infra.local.container import peak_memory_mb
from shared.databases import reading, writing
from shared.databases.export import Format, export
from shared.databases.load import Plan, restore
from shared.databases.rows import Source
from tests.bench.postgres import postgres

ROUNDS: Final = 3
ROWS: Final = 200_000
ROWS_MANY: Final = 5_000_000
RATIO_MIN: Final = 0.7
MEMORY_MAX_MB: Final = 256

COLUMNS: Final = "id customer_id sku name price qty note ok created data"
SQLITE_TABLE: Final = """CREATE TABLE orders (id INTEGER PRIMARY KEY, customer_id INTEGER, sku TEXT, name TEXT,
    price REAL, qty INTEGER, note TEXT, ok BOOLEAN, created TEXT, data BLOB)"""
SQLITE_ROWS: Final = """INSERT INTO orders
    WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {rows})
    SELECT i, abs(random()) % 1000000, 'SKU-' || (i % 99999), 'Größe "L" ☃ ' || (i % 77),
    abs(random() % 100000) / 1000.0, i % 9,
    iif(i % 3, NULL, 'note, with comma' || char(10) || 'and line'), i % 2, '2024-01-01T10:00:00Z',
    iif(i % 10, NULL, x'0001ff') FROM n"""
POSTGRES_TABLE: Final = """CREATE TABLE orders (id bigint PRIMARY KEY, customer_id integer, sku text, name text,
    price numeric(10, 3), qty integer, note text, ok boolean, created timestamptz, data bytea)"""
POSTGRES_ROWS: Final = """INSERT INTO orders SELECT i, (random() * 1e6)::int, 'SKU-' || (i % 99999),
    'Größe "L" ☃ ' || (i % 77), (random() * 100)::numeric(10, 3), i % 9,
    CASE WHEN i % 3 = 0 THEN E'note, with comma\\nand line' END, i % 2 = 0, now(),
    CASE WHEN i % 10 = 0 THEN '\\x0001ff'::bytea END FROM generate_series(1, {rows}) i"""


# --- ours -------------------------------------------------------------------------------------------------------------


def ours_read(url: str, file: Path, form: str) -> None:
    """As `extract` and `backup` do it, into a local file."""

    async def read() -> None:
        with file.open("wb") as sink:

            async def write(chunk: bytes) -> None:
                sink.write(chunk)

            async with reading(url) as database:
                table = (await database.run(lambda reader: reader.schema())).tables[0]
                format_, tell = cast("Format", form), lambda _: None
                await database.run(
                    export, database.outlet(write), table, format_, "gzip", exact=form != "csv", tell=tell
                )

    asyncio.run(read())


def ours_load(url: str, file: Path, form: str) -> None:
    """As `restore` does it."""

    async def chunks() -> AsyncIterator[bytes]:
        with file.open("rb") as source:
            while chunk := source.read(8 << 20):
                yield chunk

    async def load() -> None:
        kind = "sqlite" if url.startswith("sqlite") else "postgresql"
        source = Source("orders", file.name, cast("Any", form), "gzip" if form != "parquet" else "none", kind)  # type: ignore[arg-type]
        plan = Plan((source,), None, overwrite=False, verify=False, batch_rows=5_000)
        async with writing(url) as database:
            await database.run(restore, plan, lambda _: database.inlet(chunks()), None, lambda _: None)
            await database.run(lambda writer: writer.commit())

    asyncio.run(load())


# --- the libraries alone ----------------------------------------------------------------------------------------------


def bare_sqlite_read(url: str, file: Path, form: str) -> None:
    """fetchmany, the standard library's encoder, isal."""
    names = COLUMNS.split()

    def jsonl(rows: list[tuple[Any, ...]]) -> str:
        return "".join(
            json.dumps({k: v.hex() if type(v) is bytes else v for k, v in zip(names, row, strict=True)}) + "\n"
            for row in rows
        )

    def as_csv(rows: list[tuple[Any, ...]]) -> str:
        text = io.StringIO()
        csv.writer(text).writerows(rows)
        return text.getvalue()

    encode = {"csv": as_csv, "jsonl": jsonl}[form]
    gzip = isal_zlib.compressobj(1, wbits=31)
    with closing(sqlite3.connect(url.removeprefix("sqlite:///"))) as connection, file.open("wb") as sink:
        cursor = connection.execute("SELECT * FROM orders")
        while rows := cursor.fetchmany(5_000):
            sink.write(gzip.compress(encode(rows).encode()))
        sink.write(gzip.flush())


def bare_sqlite_load(url: str, file: Path, form: str) -> None:
    """isal, the standard library's decoder, executemany; what is empty is taken for NULL."""
    insert = f"INSERT INTO orders VALUES ({', '.join('?' * len(COLUMNS.split()))})"
    with closing(sqlite3.connect(url.removeprefix("sqlite:///"))) as connection, _lines(file) as lines:
        if form == "csv":
            reader = csv.reader(lines)
            next(reader)
            connection.executemany(insert, (tuple(value or None for value in row) for row in reader))
        else:
            connection.executemany(insert, (_values(json.loads(line)) for line in lines))
        connection.commit()


def bare_postgres_read(url: str, file: Path, form: str) -> None:
    """COPY, isal."""
    what = {"csv": "orders", "jsonl": "(SELECT row_to_json(o) FROM orders o)"}[form]
    options = "(FORMAT csv, HEADER)" if form == "csv" else ""
    gzip = isal_zlib.compressobj(1, wbits=31)
    with psycopg.connect(url) as connection, file.open("wb") as sink:
        with connection.cursor().copy(f"COPY {what} TO STDOUT {options}") as copy:
            for data in copy:
                sink.write(gzip.compress(data))
        sink.write(gzip.flush())


def bare_postgres_load(url: str, file: Path, form: str) -> None:
    """isal, and COPY of the file as it is, or the standard library's decoder and COPY by rows."""
    with psycopg.connect(url) as connection:
        if form == "csv":
            with (
                igzip.open(file) as source,
                connection.cursor().copy("COPY orders FROM STDIN (FORMAT csv, HEADER)") as copy,
            ):
                while chunk := source.read(256 * 1024):
                    copy.write(chunk)
        else:
            with _lines(file) as lines, connection.cursor().copy("COPY orders FROM STDIN") as copy:
                for line in lines:
                    copy.write_row(tuple(json.loads(line).values()))


@contextmanager
def _lines(file: Path) -> Iterator[io.TextIOBase]:
    with igzip.open(file, "rt", encoding="utf-8", newline="") as lines:
        yield lines


def _values(row: dict[str, Any]) -> tuple[Any, ...]:
    return tuple(str(value) if isinstance(value, dict) else value for value in row.values())


# --- measuring --------------------------------------------------------------------------------------------------------

PATHS: Final[dict[str, Callable[[str, Path, str], None]]] = {
    "ours_sqlite_read": ours_read,
    "bare_sqlite_read": bare_sqlite_read,
    "ours_sqlite_load": ours_load,
    "bare_sqlite_load": bare_sqlite_load,
    "ours_postgresql_read": ours_read,
    "bare_postgresql_read": bare_postgres_read,
    "ours_postgresql_load": ours_load,
    "bare_postgresql_load": bare_postgres_load,
}


class Bench:
    """Makes the tables and files in `home`, and runs each path in a process of its own."""

    def __init__(self, home: Path, postgres_url: str, rows: int) -> None:
        self.rows = rows
        self._home = home
        self._postgres_url = postgres_url
        with closing(sqlite3.connect(home / f"{rows}.db")) as connection:
            connection.execute(SQLITE_TABLE)
            connection.execute(SQLITE_ROWS.format(rows=rows))
            connection.commit()
        with psycopg.connect(postgres_url, autocommit=True) as postgres:
            postgres.execute("DROP TABLE IF EXISTS orders")
            postgres.execute(POSTGRES_TABLE)
            postgres.execute(POSTGRES_ROWS.format(rows=rows))
            postgres.execute("VACUUM ANALYZE orders")
            postgres.execute("DROP DATABASE IF EXISTS target")
            postgres.execute("CREATE DATABASE target")

    def measure(self, who: str, kind: str, act: str, form: str) -> tuple[float, float]:
        """→ (seconds, MB at the peak)"""
        file = self._home / f"{kind}-{self.rows}.{form}"
        url = self._source(kind) if act == "read" else self._empty(kind)
        scratch = file if who == "ours" else file.with_name(f"bare-{file.name}")
        arguments = [f"{who}_{kind}_{act}", url, str(scratch if act == "read" else file), form]
        child = subprocess.run(
            [sys.executable, "-m", "tests.bench.databases", *arguments], check=True, capture_output=True, text=True
        )
        seconds, memory_mb = child.stdout.split()
        return float(seconds), float(memory_mb)

    def _source(self, kind: str) -> str:
        return f"sqlite:///{self._home}/{self.rows}.db" if kind == "sqlite" else self._postgres_url

    def _empty(self, kind: str) -> str:
        if kind == "sqlite":
            path = self._home / "target.db"
            path.unlink(missing_ok=True)
            with closing(sqlite3.connect(path)) as connection:
                connection.execute(SQLITE_TABLE)
            return f"sqlite:///{path}"
        url = self._postgres_url.replace("/postgres?", "/target?")
        with psycopg.connect(url, autocommit=True) as postgres:
            postgres.execute("DROP TABLE IF EXISTS orders")
            postgres.execute(POSTGRES_TABLE)
        return url


def main(*, many: bool = False) -> bool:
    """Print the tables; → did everything hold? `many`: also five million rows, for memory alone (minutes)."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that the server is stopped, too
    with postgres() as (home, url):
        held = _speed(Bench(home, url, ROWS))
        if many:
            held &= _memory(Bench(home, url, ROWS_MANY))
    return held


def _speed(bench: Bench) -> bool:
    held = True
    print(f"{'':34}{'ours':>12}{'library':>12}{'ratio':>8}{'memory':>9}  ({bench.rows:,} rows, best of {ROUNDS})")
    for kind in ("sqlite", "postgresql"):
        for act in ("read", "load"):
            for form in ("csv", "jsonl"):
                pairs = [
                    (bench.measure("ours", kind, act, form), bench.measure("bare", kind, act, form))
                    for _ in range(ROUNDS)
                ]
                ours_s, bare_s = (min(pair[who][0] for pair in pairs) for who in (0, 1))
                memory_mb = max(ours[1] for ours, _ in pairs)
                held &= bare_s / ours_s >= RATIO_MIN and memory_mb < MEMORY_MAX_MB
                speeds = f"{bench.rows / ours_s:>8,.0f} r/s{bench.rows / bare_s:>8,.0f} r/s"
                print(f"{kind + ' ' + act + ' ' + form + '.gz':34}{speeds}{bare_s / ours_s:8.2f}{memory_mb:6.0f} MB")
    return held & _memory(bench, ("parquet",))


def _memory(bench: Bench, forms: tuple[str, ...] = ("csv", "jsonl", "parquet")) -> bool:
    held = True
    print(f"{bench.rows:,} rows")
    for kind in ("sqlite", "postgresql"):
        for form in forms:
            for act in ("read", "load"):
                seconds, memory_mb = bench.measure("ours", kind, act, form)
                held &= memory_mb < MEMORY_MAX_MB
                print(f"{kind + ' ' + act + ' ' + form:34}{bench.rows / seconds:>8,.0f} r/s{memory_mb:6.0f} MB")
    return held


def _child(name: str, url: str, file: str, form: str) -> None:
    clock = time.process_time if "sqlite" in name else time.perf_counter
    began_s = clock()
    PATHS[name](url, Path(file), form)
    seconds = clock() - began_s
    print(seconds, peak_memory_mb())


if __name__ == "__main__":
    if len(sys.argv) == 5:
        _child(*sys.argv[1:])
    else:
        sys.exit(not main(many="--many" in sys.argv))
