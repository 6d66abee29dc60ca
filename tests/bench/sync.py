"""`data_sync` of a million rows of which one in a hundred differs, in each pairing of databases.

Each measurement is a process of its own. "core" is by the worker's own CPU seconds.
"""

import os
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path
from typing import Final

import psycopg

from infra.local.container import peak_memory_mb
from tests.bench.postgres import postgres
from tests.databases import Jobs

ROWS: Final = 1_000_000
MEMORY_MAX_MB: Final = 256

TABLE: Final = "CREATE TABLE items (id bigint PRIMARY KEY, name text, price numeric, qty integer, note text, day text)"
FILL: Final = """WITH RECURSIVE g(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM g WHERE i < {rows})
    INSERT INTO items SELECT i, 'name ' || (i % 777), i * 7 % 1000 / 4.0,
    i % 9 + CASE WHEN i % 100 = 0 THEN {differs} ELSE 0 END, 'a note of some words', '2024-01-' || (10 + i % 20)
    FROM g"""


def make(url: str, differs: int) -> None:
    fill = FILL.format(rows=ROWS, differs=differs)
    if url.startswith("sqlite"):
        path = Path(url.removeprefix("sqlite:///"))
        path.unlink(missing_ok=True)
        with closing(sqlite3.connect(path)) as connection, connection:
            connection.execute(TABLE)
            connection.execute(fill)
        return
    with psycopg.connect(url, autocommit=True) as target:
        for statement in ("DROP TABLE IF EXISTS items, longshore_fence", TABLE, fill, "ANALYZE items"):
            target.execute(statement)


def main() -> bool:
    """Print the table; → did everything hold?"""
    with postgres() as (home, url):
        one = url.replace(":@", "@")
        with psycopg.connect(one, autocommit=True) as connection:
            connection.execute("CREATE DATABASE other")
        servers = (one, one.replace("/postgres?", "/other?"))
        return _table({"sqlite": (f"sqlite:///{home}/one.db", f"sqlite:///{home}/other.db"), "postgresql": servers})


def _table(urls: dict[str, tuple[str, str]]) -> bool:
    held = True
    print(f"\n{f'{ROWS:,} rows, 1 in 100 differs':40}{'rows/s':>12}{'per core':>12}{'memory':>9}{'load':>7}")
    for source, (source_url, _) in urls.items():
        make(source_url, 0)
        for target, (_, target_url) in urls.items():
            make(target_url, 1)
            command = [sys.executable, "-m", "tests.bench.sync", source_url, target_url]
            child = subprocess.run(command, check=True, capture_output=True, text=True)
            clock_s, cpu_s, memory_mb = map(float, child.stdout.split())
            held &= memory_mb < MEMORY_MAX_MB
            rates = f"{ROWS / clock_s:12,.0f}{ROWS / cpu_s:12,.0f}"
            print(f"{f'{source} to {target}':40}{rates}{memory_mb:6.0f} MB{os.getloadavg()[0]:7.1f}")
    return held


def _child(source: str, target: str) -> None:
    clock_s, cpu_s = time.perf_counter(), time.process_time()
    result = Jobs().run("data_sync", source=source, target=target, table="items", options={"delete": True})
    assert (result.data["updated"], result.data["unchanged"]) == (ROWS // 100, ROWS - ROWS // 100)
    print(time.perf_counter() - clock_s, time.process_time() - cpu_s, peak_memory_mb())


if __name__ == "__main__":
    if len(sys.argv) == 3:
        _child(*sys.argv[1:])
    else:
        sys.exit(not main())
