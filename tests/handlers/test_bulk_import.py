"""`bulk_import`: good rows and bad ones, in every mode, into either kind of database."""

import gzip
import json
import sqlite3
from collections.abc import Callable
from pathlib import Path

import psycopg
import pytest
import zstandard

from shared.payloads.results import RowError
from tests.databases import Jobs, ask_postgres, ask_sqlite, make_sqlite

FILE = "artifacts/default/uploads/x/people"
URL = f"s3://memory/{FILE}"
COLUMNS = {
    "id": {"type": "integer", "required": True, "unique": True, "min": 1},
    "name": {"source": "Full name", "required": True, "max_length": 10},
    "born": {"type": "date", "min": "1800-01-01"},
    "member": {"type": "boolean"},
    "score": {"type": "number", "max": 10},
}
GOOD = 'id,Full name,born,extra,member,score\n1,Ada,1815-12-10,x,yes,9.5\n2,"Grace, ""H""",,,,\n'
Ask = Callable[[str], list[tuple[object, ...]]]


@pytest.fixture
def jobs() -> Jobs:
    return Jobs()


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[str, Ask]:
    """An empty database, and how to ask it."""
    if request.param == "sqlite":
        url = make_sqlite(tmp_path / "target.db", "")
        return url, lambda query: ask_sqlite(url, query)
    url = str(request.getfixturevalue("new_postgres")())
    return url, lambda query: ask_postgres(url, query)


@pytest.fixture
def database(place: tuple[str, Ask]) -> str:
    return place[0]


@pytest.fixture
def ask(place: tuple[str, Ask]) -> Ask:
    return place[1]


def given(jobs: Jobs, body: str | bytes) -> dict[str, object]:
    jobs.bodies[FILE] = body.encode() if isinstance(body, str) else body
    return {"source": URL, "table": "people", "columns": COLUMNS, "create": True}


def told(errors: object) -> list[tuple[int | None, str | None, str]]:
    return [(error.line, error.field, error.code) for error in errors if isinstance(error, RowError)]  # type: ignore[attr-defined]


def lines(jobs: Jobs, url: str) -> list[dict[str, object]]:
    return [json.loads(line) for line in jobs.body(url).splitlines()]


# --- good files -------------------------------------------------------------------------------------------------------


def test_a_file_becomes_a_table_of_its_types(jobs: Jobs, database: str, ask: Ask) -> None:
    result = jobs.run("bulk_import", database=database, **given(jobs, GOOD))
    assert result.records_processed == 2
    assert result.data["columns_ignored"] == ["extra"]
    rows = ask("SELECT id, name, CAST(born AS text), member, CAST(score AS text) FROM people ORDER BY id")
    assert rows == [(1, "Ada", "1815-12-10", True, "9.5"), (2, 'Grace, "H"', None, None, None)]


@pytest.mark.parametrize(
    "pack", [gzip.compress, zstandard.ZstdCompressor().compress, bytes, lambda body: b"\xef\xbb\xbf" + body]
)
def test_what_a_file_is_packed_in_is_seen(jobs: Jobs, database: str, ask: Ask, pack: Callable[[bytes], bytes]) -> None:
    jobs.run("bulk_import", database=database, **given(jobs, pack(GOOD.encode())))
    assert ask("SELECT count(*) FROM people") == [(2,)]


def test_json_lines_keep_exact_numbers_empty_texts_and_nested_values(jobs: Jobs, database: str, ask: Ask) -> None:
    body = (
        '{"id": 1, "note": "", "at": "2024-01-01T10:00:00Z", "data": {"b": [1, 2.5]}, "price": 0.1}\n\n'
        '{"note": "tab\\t and \\\\N \\n", "id": 2, "price": 12345678901234567890.123, "data": "x"}\n'
        '{"id": 3, "note": null, "data": null, "more": 1, "price": 1e2}\n'
    )
    columns = {
        "id": {"type": "integer"},
        "note": {},
        "at": {"type": "timestamp"},
        "data": {"type": "json"},
        "price": {"type": "number"},
    }
    jobs.run("bulk_import", database=database, **given(jobs, body) | {"columns": columns})
    assert ask("SELECT note, CAST(data AS text) FROM people ORDER BY id") == [
        ("", '{"b": [1, 2.5]}'),
        ("tab\t and \\N \n", '"x"'),
        (None, None),
    ]
    if database.startswith("postgres"):
        assert ask("SELECT CAST(price AS text) FROM people WHERE id = 2") == [("12345678901234567890.123",)]


@pytest.mark.parametrize(
    ("body", "options"),
    [
        ("1;Ada;;;\n", {"header": False, "delimiter": ";"}),
        ("id\tFull name\tborn\tmember\tscore\n1\tAda\tNULL\t-\t\n", {"delimiter": "\t", "nulls": ["", "NULL", "-"]}),
        ("score,Full name,born,member,id\r\n,Ada,,,1\r\n\r\n", {}),
    ],
)
def test_files_of_other_habits_are_read(
    jobs: Jobs, database: str, ask: Ask, body: str, options: dict[str, object]
) -> None:
    jobs.run("bulk_import", database=database, **given(jobs, body), **options)
    assert ask("SELECT * FROM people") == [(1, "Ada", None, None, None)]


# --- bad rows ---------------------------------------------------------------------------------------------------------

BAD = """\
id,Full name,born,member,score
x1,Ada,,,
2,,,,
3,Wolfeschlegelsteinhausen,,,
4,Bob,1815-02-30,,
5,Bob,1799-12-31,,
6,Bob,,maybe,
7,Bob,,,10.01
8,Bob,,,1e999
0,"line
break",,,nan
9,Bob
10,"Bob"s,,,
99999999999999999999,Bob,,,
11,Good,,,
"""


def test_every_bad_row_is_told_by_line_column_and_reason(jobs: Jobs, database: str, ask: Ask) -> None:
    outcome = jobs.run_partly("bulk_import", database=database, **given(jobs, BAD))
    assert told(sorted(outcome.errors, key=lambda error: error.line or 0)) == [
        (2, "id", "bad_type"),
        (3, "name", "missing"),
        (4, "name", "too_long"),
        (5, "born", "bad_type"),
        (6, "born", "out_of_range"),
        (7, "member", "bad_type"),
        (8, "score", "out_of_range"),
        (9, "score", "out_of_range"),
        (10, "id", "out_of_range"),
        (12, None, "unreadable_row"),
        (13, None, "unreadable_row"),
        (14, "id", "out_of_range"),
    ]
    assert ask("SELECT id FROM people") == [(11,)]
    result = outcome.result
    assert result is not None
    assert result.model_dump()["data"]["rows_left_out"] == 12


def test_the_first_hundred_are_told_and_all_are_in_a_file(jobs: Jobs, database: str) -> None:
    body = GOOD + "".join(f"{number},,,,,\n" for number in range(10, 260))
    outcome = jobs.run_partly("bulk_import", database=database, **given(jobs, body))
    assert len(outcome.errors) == 100
    assert outcome.result is not None
    file = lines(jobs, outcome.result.model_dump()["artifact"]["url"])
    assert [error["line"] for error in file] == list(range(4, 254))


def test_more_bad_rows_than_allowed_leave_nothing(jobs: Jobs, database: str, ask: Ask) -> None:
    error = jobs.fail("bulk_import", database=database, errors_max=3, **given(jobs, BAD))
    assert error.code == "too_many_errors"
    assert "more than 3 bad rows" in error.message
    assert {
        "line": 2,
        "table": "people",
        "field": "id",
        "code": "bad_type",
        "message": "'x1' is not an integer",
    } in lines(jobs, error.message.rpartition("see ")[2])
    with pytest.raises((sqlite3.Error, psycopg.Error), match="people"):
        ask("SELECT count(*) FROM people")


def test_rows_that_the_database_alone_finds_bad_are_told_too(jobs: Jobs, database: str, ask: Ask) -> None:
    jobs.run("bulk_import", database=database, **given(jobs, GOOD))
    body = "id,Full name,born,member,score\n" + "".join(f"{number},N{number},,,\n" for number in (3, 1, 4, 5, 4, 6))
    outcome = jobs.run_partly("bulk_import", database=database, **given(jobs, body))
    assert [(error.line, error.code) for error in outcome.errors] == [
        (3, "constraint_violation"),
        (6, "constraint_violation"),
    ]
    assert ask("SELECT id FROM people ORDER BY id") == [(1,), (2,), (3,), (4,), (5,), (6,)]
