"""The demonstration: it proves what it says, and cannot say so when it is not true."""

import gzip
import json
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from infra.cli.app import run
from infra.demo.run import prove


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A demonstration that has run, at a tenth of its size."""
    directory = tmp_path_factory.mktemp("demo")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(directory)
        patch.setenv("LONGSHORE_ENDPOINT", "http://127.0.0.1:9")  # where jobs go is not where it takes place
        assert run(["demo", "--scale", "0.1", "--json"]) == 0
    return directory / ".longshore" / "demo"


def test_everything_is_proved_and_left_for_people_to_look_at(home: Path) -> None:
    assert [check.difference for check in prove(home)] == [None, None, None, None]
    backup = home / "out" / "backup"
    manifest = json.loads((backup / "manifest.json").read_text())
    assert sum(table["rows"] for table in manifest["tables"]) == 41_000
    assert {table["file"]["name"] for table in manifest["tables"]} <= {path.name for path in backup.iterdir()}
    assert "run_settled" in (home / "cloud.log").read_text()


def test_one_changed_cell_is_found(home: Path) -> None:
    with closing(sqlite3.connect(home / "restored.db")) as connection:
        connection.execute("UPDATE order_lines SET quantity = quantity + 1 WHERE order_id = 77 AND line_no = 2")
        connection.commit()
    *_, restored, _ = prove(home)
    assert restored.difference is not None
    assert restored.difference.startswith("order_lines, row ")
    assert "column quantity" in restored.difference


def test_one_row_missing_from_an_extract_is_found(home: Path) -> None:
    path = home / "out" / "order_lines" / "order_lines.csv.gz"
    header_and_rows = gzip.decompress(path.read_bytes()).splitlines(keepends=True)
    path.write_bytes(gzip.compress(b"".join(header_and_rows[:-1])))
    _, extracted, *_ = prove(home)
    assert extracted.difference is not None
    assert extracted.difference.startswith(f"order_lines, row {len(header_and_rows) - 1:,}: ")
    assert extracted.difference.endswith("became None")


def test_a_film_of_another_size_or_length_is_found(home: Path) -> None:
    film = next((home / "out" / "film").rglob("film-240p.mp4"))
    film.write_bytes(next((home / "out" / "film").rglob("film-144p.mp4")).read_bytes())
    *_, proof = prove(home)
    assert proof.difference == "film-240p.mp4: 144 pixels high, 4.0 s"
