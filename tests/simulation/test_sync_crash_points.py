"""`data_sync` and `report` at every crash point: the same rows, the same counts, the same bytes."""

import json
from pathlib import Path

from infra.testing import Longshore
from shared.payloads.data_sync import DataSyncOptions, DataSyncPayload
from shared.payloads.report import ReportPayload
from tests.databases import ask_sqlite, make_sqlite

TABLE = "CREATE TABLE items (id INTEGER PRIMARY KEY, name TEXT);"
OURS = f"{TABLE} INSERT INTO items VALUES (1, 'same'), (2, 'changed'), (3, 'new');"
THEIRS = f"{TABLE} INSERT INTO items VALUES (1, 'same'), (2, 'old'), (4, 'gone');"


def test_a_sync_writes_and_counts_once(longshore: Longshore, tmp_path: Path) -> None:
    source, target = make_sqlite(tmp_path / "source.db", OURS), make_sqlite(tmp_path / "target.db", THEIRS)

    def check(kit: Longshore) -> None:
        (row,) = kit.world.jobs.rows.values()
        result = json.loads(kit.world.objects.bodies[row.result or ""])["data"]["result"]
        assert result["data"] == {"inserted": 1, "updated": 1, "deleted": 1, "unchanged": 1}
        assert ask_sqlite(target, "SELECT * FROM items") == ask_sqlite(source, "SELECT * FROM items")
        for file in tmp_path.glob("target.db*"):
            file.unlink()
        make_sqlite(tmp_path / "target.db", THEIRS)

    options = DataSyncOptions(delete=True)
    longshore.crash_points(DataSyncPayload(source=source, target=target, table="items", options=options), check)


def test_a_report_is_the_same_bytes(longshore: Longshore, tmp_path: Path) -> None:
    source = make_sqlite(tmp_path / "source.db", OURS)
    seen: list[bytes] = []

    def check(kit: Longshore) -> None:
        seen.append(next(body for key, body in kit.world.objects.bodies.items() if key.endswith("report.html")))
        assert seen[-1] == seen[0]

    payload = ReportPayload(title="Items", database=source, query="SELECT * FROM items", output_format="html")
    longshore.crash_points(payload, check)
