"""The database jobs at every crash point: the same files, the same rows."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from handlers.jobs.backup import backup
from infra.testing import Longshore
from shared.job import RESULT_NAME
from shared.outcomes import Done
from shared.payloads.backup import BackupPayload
from shared.payloads.base import Payload
from shared.payloads.bulk_import import BulkColumn, BulkImportPayload
from shared.payloads.extract import ExtractPayload
from shared.payloads.restore import RestorePayload
from shared.payloads.results import ProcessResult

ROWS = [(number, "x" * number) for number in range(50)]


@pytest.fixture
def shop(tmp_path: Path) -> str:
    with closing(sqlite3.connect(tmp_path / "shop.db")) as connection, connection:
        connection.execute("CREATE TABLE orders(id INTEGER PRIMARY KEY, note TEXT)")
        connection.executemany("INSERT INTO orders VALUES (?, ?)", ROWS)
    return f"sqlite:///{tmp_path / 'shop.db'}"


def files(kit: Longshore) -> dict[str, bytes]:
    """Of the run that settled the job; a manifest tells its own time."""
    (row,) = kit.world.jobs.rows.values()
    prefix = (row.result or "").removesuffix(RESULT_NAME)
    mine = {key.removeprefix(prefix): body for key, body in kit.world.objects.bodies.items() if key.startswith(prefix)}
    return {name: b"" if name in {RESULT_NAME, "manifest.json"} else body for name, body in mine.items()}


@pytest.mark.parametrize("kind", ["extract", "backup"])
def test_a_job_that_reads_leaves_the_same_files(longshore: Longshore, shop: str, kind: str) -> None:
    payloads: dict[str, Payload] = {
        "extract": ExtractPayload(database=shop, tables=("orders",)),
        "backup": BackupPayload(database=shop),
    }
    seen: list[dict[str, bytes]] = []

    def check(kit: Longshore) -> None:
        seen.append(files(kit))
        assert len(seen[-1]) > 1
        assert seen[-1] == seen[0]

    longshore.crash_points(payloads[kind], check)


def test_a_restore_writes_every_row_once(longshore: Longshore, shop: str, tmp_path: Path) -> None:
    made = longshore.perform(backup, BackupPayload(database=shop))
    assert isinstance(made, Done)
    assert isinstance(made.result, ProcessResult)
    assert made.result.artifact is not None

    def check(_kit: Longshore) -> None:
        with closing(sqlite3.connect(tmp_path / "copy.db")) as connection:
            assert connection.execute("SELECT * FROM orders ORDER BY id").fetchall() == ROWS
        for file in tmp_path.glob("copy.db*"):
            file.unlink()

    target = f"sqlite:///{tmp_path / 'copy.db'}"
    longshore.crash_points(RestorePayload(database=target, backup_url=made.result.artifact.url), check)


def test_an_import_writes_every_row_once(longshore: Longshore, tmp_path: Path) -> None:
    key = "artifacts/default/uploads/x/rows.csv"
    longshore.world.objects.bodies[key] = "".join(
        f"{number},{note}\n" for number, note in [("id", "note"), *ROWS]
    ).encode()
    path = tmp_path / "copy.db"

    def check(_kit: Longshore) -> None:
        with closing(sqlite3.connect(path)) as connection:
            assert connection.execute("SELECT id, coalesce(note, '') FROM orders").fetchall() == ROWS
        for file in tmp_path.glob("copy.db*"):
            file.unlink()

    payload = BulkImportPayload(
        source=f"s3://{longshore.ports.objects.bucket}/{key}",
        database=f"sqlite:///{path}",
        table="orders",
        columns={"id": BulkColumn(type="integer"), "note": BulkColumn()},
        create=True,
    )
    longshore.crash_points(payload, check)
