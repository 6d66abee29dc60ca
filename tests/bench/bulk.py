"""`bulk_import` against a plain COPY (PostgreSQL) or executemany (SQLite) of the same rows, in turns: every cell of the
one is checked, none of the other's.

Each measurement is a process of its own. "core" is by the worker's own CPU seconds: PostgreSQL's server is another
process, which works meanwhile.
"""

import asyncio
import csv
import os
import sqlite3
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import closing
from pathlib import Path
from statistics import median
from typing import Final

import psycopg

from infra.local.container import peak_memory_mb
from shared.databases import writing
from shared.databases.bulk.load import BulkPlace, Import
from shared.databases.place import RowErrors
from shared.databases.progress import unhurried
from shared.payloads.bulk_import import BulkImportPayload
from tests.bench.postgres import postgres

ROWS: Final = 300_000
ROUNDS: Final = 3
ROWS_PER_CORE_MIN: Final = 100_000
MEMORY_MAX_MB: Final = 256

TABLE: Final = """CREATE TABLE orders (id bigint PRIMARY KEY, customer integer, sku text, name text, price numeric,
    qty integer, note text, ok boolean, day date, at timestamp)"""
COLUMNS: Final = {
    "id": {"type": "integer", "required": True, "min": 1},
    "customer": {"type": "integer", "required": True, "min": 0, "max": 1_000_000},
    "sku": {"required": True, "pattern": "SKU-[0-9]+"},
    "name": {"required": True, "max_length": 80},
    "price": {"type": "number", "min": 0},
    "qty": {"type": "integer", "min": 0, "max": 100},
    "note": {"max_length": 500},
    "ok": {"type": "boolean"},
    "day": {"type": "date", "min": "2000-01-01"},
    "at": {"type": "timestamp", "required": True},
}


def write_file(path: Path, rows: int, *, bad: int = 0) -> None:
    """`bad`: every so many-th row has a bad cell. Both as CSV and as JSON lines."""
    with path.open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(COLUMNS)
        for i in range(1, rows + 1):
            price = "much" if bad and i % bad == 0 else f"{i * 7919 % 10**7 / 1000:.3f}"
            note = "note, with comma\nand line" if i % 3 == 0 else ""
            day = f"2024-{i % 12 + 1:02}-{i % 28 + 1:02}"
            values = (i, i * 7919 % 10**6, f"SKU-{i % 99_999}", f"Größe L ☃ {i % 77}", price, i % 9, note)
            writer.writerow((*values, "true" if i % 2 else "false", day, f"{day}T{i % 24:02}:{i % 60:02}:00"))


def ours(url: str, file: Path, mode: str) -> int:
    """As `bulk_import` does it, with a file on disk for one in S3. → rows left out"""
    payload = BulkImportPayload.model_validate(
        {"source": "s3://x/y", "database": "env://X", "table": "orders", "columns": COLUMNS, "mode": mode}
        | {"key": ("id",) if mode == "upsert" else (), "errors_max": 1_000_000}
    )

    async def chunks() -> AsyncIterator[bytes]:
        with file.open("rb") as source:
            while chunk := source.read(1 << 20):
                yield chunk

    async def load() -> int:
        with RowErrors() as errors:
            async with writing(url) as database:
                work = Import(payload, "job_0", BulkPlace(), errors)
                await database.run(work.run, database.inlet(chunks()), lambda _: None, unhurried())
                await database.run(lambda writer: writer.commit())
            return errors.count

    return asyncio.run(load())


def plain_copy(url: str, file: Path, _mode: str) -> int:
    statement = "COPY orders FROM STDIN (FORMAT csv, HEADER)"
    with psycopg.connect(url) as target, file.open("rb") as source, target.cursor().copy(statement) as copy:
        while chunk := source.read(256 * 1024):
            copy.write(chunk)
    return 0


def plain_inserts(url: str, file: Path, _mode: str) -> int:
    with closing(sqlite3.connect(url.removeprefix("sqlite:///"))) as connection, file.open(newline="") as source:
        rows = csv.reader(source)
        next(rows)
        connection.executemany(f"INSERT INTO orders VALUES ({', '.join('?' * len(COLUMNS))})", rows)
        connection.commit()
    return 0


WAYS: Final[dict[str, Callable[[str, Path, str], int]]] = {"ours": ours, "copy": plain_copy, "inserts": plain_inserts}


def measure(way: str, url: str, file: Path, mode: str) -> tuple[float, float, float]:
    """Into an empty table → (seconds by the clock, by the worker's CPU, MB at the peak)"""
    if url.startswith("sqlite"):
        path = Path(url.removeprefix("sqlite:///"))
        path.unlink(missing_ok=True)
        with closing(sqlite3.connect(path)) as connection:
            connection.execute(TABLE)
    else:
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute("DROP TABLE IF EXISTS orders")
            connection.execute(TABLE)
    command = [sys.executable, "-m", "tests.bench.bulk", way, url, str(file), mode]
    child = subprocess.run(command, check=True, capture_output=True, text=True)
    clock_s, cpu_s, memory_mb = map(float, child.stdout.split())
    return clock_s, cpu_s, memory_mb


def main() -> bool:
    """Print the table; → did everything hold?"""
    with postgres() as (home, url):
        write_file(home / "rows.csv", ROWS)
        write_file(home / "bad.csv", ROWS, bad=1_000)
        return _table(home, url)


def _table(home: Path, postgres_url: str) -> bool:
    held = True
    head = f"{'rows/s by the clock':>25}{'per core':>25}{'plain rows/s':>25}{'memory':>9}{'load':>6}"
    print(f"\nthousands, least–median–most of {ROUNDS}; {ROWS:,} rows of {len(COLUMNS)} columns\n{'':31}{head}")
    for kind, url, plain in (
        ("postgresql", postgres_url, "copy"),
        ("sqlite", f"sqlite:///{home}/target.db", "inserts"),
    ):
        for name, mode in (("rows", "insert"), ("bad", "insert"), ("rows", "upsert"), ("rows", "replace")):
            pairs = [
                (measure("ours", url, home / f"{name}.csv", mode), measure(plain, url, home / "rows.csv", mode))
                for _ in range(ROUNDS)
            ]
            clock_s, cpu_s, memory_mb, plain_s = zip(*((*ours, bare[0]) for ours, bare in pairs), strict=True)
            held &= ROWS / min(cpu_s) >= ROWS_PER_CORE_MIN and max(memory_mb) < MEMORY_MAX_MB
            what = f"{kind} {mode}{', 1 in 1,000 bad' if name == 'bad' else ''}"
            rates = "".join(f"{_rates(one):>25}" for one in (clock_s, cpu_s, plain_s))
            print(f"{what:31}{rates}{max(memory_mb):6.0f} MB{os.getloadavg()[0]:6.1f}")
    return held


def _rates(seconds: Sequence[float]) -> str:
    return "–".join(f"{ROWS / one / 1000:,.0f}" for one in (max(seconds), median(seconds), min(seconds)))


def _child(way: str, url: str, file: str, mode: str) -> None:
    clock_s, cpu_s = time.perf_counter(), time.process_time()
    WAYS[way](url, Path(file), mode)
    print(time.perf_counter() - clock_s, time.process_time() - cpu_s, peak_memory_mb())


if __name__ == "__main__":
    if len(sys.argv) == 5:
        _child(*sys.argv[1:])
    else:
        sys.exit(not main())
