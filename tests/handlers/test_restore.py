"""`restore` when something is wrong: with the files, the rows, the database, or the run itself."""

import asyncio
import bz2
import gzip
import hashlib
import io
import json
import sqlite3
from collections.abc import Callable
from contextlib import closing
from itertools import product
from pathlib import Path

import pytest
import zstandard
from arro3.core import Array, DataType, Table
from arro3.io import write_parquet

from shared.databases.sqlite import writer as sqlite_writer
from shared.errors import Permanent
from shared.payloads.results import ProcessResult
from tests.databases import Jobs, ask_postgres, ask_sqlite, make_sqlite, manifest_url

TABLES = """
CREATE TABLE people (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, age INTEGER CHECK (age >= 0));
CREATE TABLE pets (id INTEGER PRIMARY KEY, owner INTEGER REFERENCES people (id), name TEXT);
"""
POSTGRES_TABLES = """
CREATE TABLE people (id integer PRIMARY KEY, name text NOT NULL UNIQUE, age smallint CHECK (age >= 0));
CREATE TABLE pets (id integer PRIMARY KEY, owner integer REFERENCES people (id), name text);
"""
ROWS = """
INSERT INTO people VALUES (1, 'Ada', 36), (2, 'Grace', NULL);
INSERT INTO pets VALUES (1, 1, 'Byron'), (2, 2, ''), (3, NULL, NULL);
"""
INSERTS = """\
INSERT INTO "people" ("id", "name", "age") VALUES (1, 'Ada', 36);
INSERT INTO "people" ("id", "name", "age") VALUES (2, 'Grace', NULL);
"""
GOOD = "id,name,age\n1,Ada,36\n2,Grace,\n"
Tables = tuple[str, Callable[[str, str], list[tuple[object, ...]]]]
PREFIX = "artifacts/default/job_0/1-x/"


@pytest.fixture
def jobs() -> Jobs:
    return Jobs()


@pytest.fixture
def source(tmp_path: Path) -> str:
    return make_sqlite(tmp_path / "source.db", TABLES + ROWS)


@pytest.fixture
def target(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/target.db"


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)])
def tables(request: pytest.FixtureRequest, tmp_path: Path) -> Tables:
    """Empty `people` and `pets` in either kind of database, and how to ask it."""
    if request.param == "sqlite":
        return make_sqlite(tmp_path / "tables.db", TABLES), ask_sqlite
    url = request.getfixturevalue("new_postgres")()
    ask_postgres(url, POSTGRES_TABLES)
    return url, ask_postgres


def put(jobs: Jobs, name: str, body: str | bytes) -> str:
    """A file among the tenant's artefacts, → its URL."""
    jobs.bodies[PREFIX + name] = body.encode() if isinstance(body, str) else body
    return f"s3://memory/{PREFIX}{name}"


def nothing_is_there(url: str) -> bool:
    path = Path(url.removeprefix("sqlite:///"))
    return not path.exists() or not ask_sqlite(url, "SELECT * FROM sqlite_schema")


# --- damaged files ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("verify", [True, False])
@pytest.mark.parametrize(
    ("form", "damage"), list(product(["csv", "jsonl", "sql", "parquet"], ["cut", "flip", "swap", "empty"]))
)
def test_a_damaged_file_is_named_and_nothing_is_written(
    tmp_path: Path, target: str, form: str, damage: str, verify: bool
) -> None:
    jobs = Jobs()
    source = make_sqlite(tmp_path / "source.db", TABLES + ROWS)
    url = manifest_url(jobs.run("backup", database=source, format=form))
    key = next(key for key in jobs.bodies if "/pets." in key)
    body = jobs.bodies[key]
    middle = len(body) // 2
    jobs.bodies[key] = {
        "cut": body[:-5],
        "flip": body[:middle] + bytes([body[middle] ^ 1]) + body[middle + 1 :],
        "swap": next(body for key, body in jobs.bodies.items() if "/people." in key),
        "empty": b"",
    }[damage]
    error = jobs.fail("restore", database=target, backup_url=url, options={"validate": verify})
    assert error.code == "corrupt_artifact"
    assert "pets" in error.message
    assert nothing_is_there(target)
    assert Path(target.removeprefix("sqlite:///")).exists() is not verify  # validated, it was not even touched


@pytest.mark.parametrize(
    "change",
    [
        lambda body: body[:-10],
        lambda _: b"",
        lambda body: body.replace(b'"format_version": 1', b'"format_version": 2'),
        lambda body: body.replace(b'"pets.jsonl.gz"', b'"../pets.jsonl.gz"'),
        lambda body: body.replace(b'"rows": 3', b'"rows": "3"'),
    ],
)
def test_a_manifest_that_we_did_not_write_is_refused(
    jobs: Jobs, source: str, target: str, change: Callable[[bytes], bytes]
) -> None:
    url = manifest_url(jobs.run("backup", database=source))
    key = url.removeprefix("s3://memory/")
    jobs.bodies[key] = change(jobs.bodies[key])
    assert jobs.fail("restore", database=target, backup_url=url).code == "corrupt_artifact"
    assert nothing_is_there(target)


def test_a_file_with_fewer_rows_than_the_manifest_says_is_refused(jobs: Jobs, source: str, target: str) -> None:
    url = manifest_url(jobs.run("backup", database=source))
    key = url.removeprefix("s3://memory/")
    jobs.bodies[key] = jobs.bodies[key].replace(b'"rows": 3', b'"rows": 4')
    error = jobs.fail("restore", database=target, backup_url=url)
    assert (error.code, error.message) == ("corrupt_artifact", "pets.jsonl.gz has 3 rows, and the manifest says 4")
    assert nothing_is_there(target)


@pytest.mark.parametrize("place", [40, -30, -6])
def test_a_parquet_file_that_is_damaged_inside_is_told(jobs: Jobs, source: str, target: str, place: int) -> None:
    """With a checksum to match: somebody made it so."""
    url = manifest_url(jobs.run("backup", database=source, format="parquet"))
    body = next(body for key, body in jobs.bodies.items() if key.endswith("people.parquet"))
    spoil(jobs, "people.parquet", body, body[:place] + b"\xff\xff\xff\xff" + body[place + 4 :])
    assert jobs.fail("restore", database=target, backup_url=url).code == "corrupt_artifact"
    assert nothing_is_there(target)


def test_a_bomb_of_parquet_goes_off_where_it_ends_nobody(
    jobs: Jobs, source: str, target: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = manifest_url(jobs.run("backup", database=source, format="parquet"))
    body = next(body for key, body in jobs.bodies.items() if key.endswith("people.parquet"))
    forged = io.BytesIO()
    columns = [Array([1], DataType.int64()), Array(["x" * (100 << 20)], DataType.utf8()), Array([1], DataType.int64())]
    write_parquet(Table.from_arrays(columns, names=["id", "name", "age"]), forged, compression="zstd(1)")
    spoil(jobs, "people.parquet", body, forged.getvalue())
    manifest = url.removeprefix("s3://memory/")
    sizes = [f'"size_bytes": {len(one)}'.encode() for one in (body, forged.getvalue())]
    jobs.bodies[manifest] = jobs.bodies[manifest].replace(*sizes)
    monkeypatch.setattr("shared.parquet.read.MEMORY_BYTES_MAX", 96 << 20)
    error = jobs.fail("restore", database=target, backup_url=url)
    assert (error.code, error.field) == ("decompression_bomb", "backup_url")
    assert nothing_is_there(target)


def test_another_tenants_backup_does_not_exist(jobs: Jobs, source: str, target: str) -> None:
    url = manifest_url(jobs.run("backup", database=source)).replace("/default/", "/another/")
    error = jobs.fail("restore", database=target, backup_url=url)
    assert isinstance(error, Permanent)
    assert (error.code, error.field) == ("no_such_artifact", "backup_url")


# --- one table's file -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "body", "options"),
    [
        ("people.csv", GOOD, {}),
        ("people.csv", "\ufeff" + GOOD.replace("\n", "\r\n"), {}),
        ("people.csv", "name,id,age\n\nAda,1,36\n\nGrace,2,", {}),
        ("people.csv.gz", gzip.compress(GOOD.encode(), mtime=0), {}),
        ("people.csv.gz", gzip.compress(GOOD[:20].encode(), mtime=0) + gzip.compress(GOOD[20:].encode(), mtime=0), {}),
        ("people.csv.bz2", bz2.compress(GOOD.encode()), {}),
        ("people.csv.zst", zstandard.compress(GOOD.encode()), {}),
        ("people.csv", bz2.compress(GOOD.encode()), {"compression": "bzip2"}),
        ("people.jsonl", '{"id": 1, "name": "Ada", "age": 36}\n\n{"name": "Grace", "id": 2}', {}),
        (
            "people.sql",
            INSERTS,
            {},
        ),
    ],
)
def test_one_tables_file_is_loaded_into_it(
    tables: Tables, name: str, body: str | bytes, options: dict[str, object]
) -> None:
    jobs = Jobs()
    url, ask = tables
    jobs.run("restore", database=url, backup_url=put(jobs, name, body), tables=["people"], options=options)
    assert ask(url, "SELECT * FROM people ORDER BY id") == [(1, "Ada", 36), (2, "Grace", None)]


@pytest.mark.parametrize("skip_errors", [False, True])
def test_in_csv_nothing_is_null_and_quotes_are_an_empty_text(jobs: Jobs, tables: Tables, skip_errors: bool) -> None:
    """In PostgreSQL without `skip_errors`, the server reads the file; otherwise we do."""
    url, ask = tables
    file = put(jobs, "pets.csv", 'id,name\n1,""\n2,\n3,plain\n4,"quoted"\n5," """\n')
    jobs.run("restore", database=url, backup_url=file, tables=["pets"], options={"skip_errors": skip_errors})
    assert ask(url, "SELECT name FROM pets ORDER BY id") == [("",), (None,), ("plain",), ("quoted",), (' "',)]


def test_nested_json_becomes_json_text_with_its_fractions(jobs: Jobs, tables: Tables) -> None:
    url, ask = tables
    body = '{"id": 1, "name": {"a": [1, 2.50]}}\n{"id": 2, "name": ["ß"]}\n{"id": 3, "name": "plain"}\n'
    jobs.run("restore", database=url, backup_url=put(jobs, "pets.jsonl", body), tables=["pets"])
    assert ask(url, "SELECT name FROM pets ORDER BY id") == [('{"a": [1, 2.5]}',), ('["ß"]',), ("plain",)]


@pytest.mark.parametrize(
    ("file", "body", "names", "expected"),
    [
        ("people.csv", GOOD, None, ("table_missing", "tables")),
        ("people.csv", GOOD, ["people", "pets"], ("table_missing", "tables")),
        ("people.csv", GOOD, ["nobody"], ("no_such_table", "tables")),
        ("people.xml", GOOD, ["people"], ("unknown_format", "backup_url")),
        ("people.parquet", GOOD, ["people"], ("unknown_format", "backup_url")),
        ("people.csv", "id,height\n1,2\n", ["people"], ("no_such_column", "columns")),
        ("people.csv", "", ["people"], ("corrupt_artifact", None)),
        ("people.csv", "id,name\n1,\xff\n".encode("latin-1"), ["people"], ("corrupt_artifact", None)),
        ("people.csv.gz", GOOD, ["people"], ("corrupt_artifact", None)),
        ("people.csv.gz", gzip.compress(GOOD.encode(), mtime=0)[:-9], ["people"], ("corrupt_artifact", None)),
        ("people.csv.zst", zstandard.compress(GOOD.encode())[:-3], ["people"], ("corrupt_artifact", None)),
        ("people.csv.bz2", bz2.compress(GOOD.encode())[:-3], ["people"], ("corrupt_artifact", None)),
        ("people.sql", "DROP TABLE people;\n", ["people"], ("corrupt_artifact", None)),
        ("people.sql", INSERTS + "DROP TABLE people;\n", ["people"], ("corrupt_artifact", None)),
        ("people.jsonl", '{"id": 1, "name": "Ada"}\n{"id": 2, "nme": "x"}', ["people"], ("unreadable_row", None)),
        ("people.jsonl", '{"id": 1, "name": "Ada"}\n{"id": 2,\n', ["people"], ("unreadable_row", None)),
    ],
)
def test_a_file_that_cannot_be_loaded_is_refused_and_the_table_stays_as_it_was(
    tables: Tables, file: str, body: str | bytes, names: list[str] | None, expected: tuple[str, str | None]
) -> None:
    jobs = Jobs()
    url, ask = tables
    before = put(jobs, "before.csv", "id,name,age\n7,was here,7\n")
    jobs.run("restore", database=url, backup_url=before, tables=["people"])
    error = jobs.fail("restore", database=url, backup_url=put(jobs, file, body), **({"tables": names} if names else {}))
    assert (error.code, error.field) == expected
    assert ask(url, "SELECT * FROM people") == [(7, "was here", 7)]


# --- bad rows ---------------------------------------------------------------------------------------------------------

BAD = "\n".join(
    [
        "id,name,age",
        "1,Ada,36",
        "2,,3",
        "3,Ada,4",
        "4,Grace,-1",
        '5,"too, many",1,2',
        "6,Joan,50",
        "1,Twice,1",
        "8,Edsger,",
    ]
)


def test_the_first_bad_row_is_named(jobs: Jobs, tables: Tables) -> None:
    url, ask = tables
    rows = [{"id": number, "name": f"n{number}", "age": -1 if number in (77, 80) else 1} for number in range(1, 101)]
    body = "\n".join(map(json.dumps, rows))
    error = jobs.fail("restore", database=url, backup_url=put(jobs, "people.jsonl", body), tables=["people"])
    assert error.code == "constraint_violation"
    assert error.message.startswith("row 77 of table people: ")
    assert ask(url, "SELECT count(*) FROM people") == [(0,)]


def test_the_first_bad_row_of_a_csv_is_named(jobs: Jobs, tables: Tables) -> None:
    """By its number, or where the server reads the file by its line."""
    url, ask = tables
    file = put(jobs, "people.csv", "id,name,age\n1,Ada,36\n2,Grace,-1\n")
    error = jobs.fail("restore", database=url, backup_url=file, tables=["people"])
    assert error.code == "constraint_violation"
    assert error.message.startswith(("row 2 of table people: ", "line 2 after the header of table people: "))
    assert ask(url, "SELECT count(*) FROM people") == [(0,)]


@pytest.mark.parametrize("batch_size", [1, 3, 5_000])
def test_bad_rows_are_left_out_and_each_is_told(jobs: Jobs, tables: Tables, batch_size: int) -> None:
    url, ask = tables
    options = {"skip_errors": True, "batch_size": batch_size}
    partial = jobs.run_partly(
        "restore", database=url, backup_url=put(jobs, "people.csv", BAD), tables=["people"], options=options
    )
    errors = sorted(partial.errors, key=lambda error: error.row or 0)
    assert [(error.row, error.code) for error in errors] == [
        (2, "constraint_violation"),
        (3, "constraint_violation"),
        (4, "constraint_violation"),
        (5, "unreadable_row"),
        (7, "constraint_violation"),
    ]
    assert ask(url, "SELECT id FROM people ORDER BY id") == [(1,), (6,), (8,)]
    assert isinstance(partial.result, ProcessResult)
    assert (partial.result.records_processed, partial.result.data["rows_left_out"]) == (3, 5)
    assert errors[0].field == "name"


def test_all_bad_rows_are_kept_in_a_file_and_the_first_hundred_in_the_answer(jobs: Jobs, target: str) -> None:
    make_sqlite(Path(target.removeprefix("sqlite:///")), TABLES)
    body = "id,name\n" + "".join(f"{number},{'x' if number % 2 else number}\n" for number in range(1_000))
    options = {"skip_errors": True}
    partial = jobs.run_partly(
        "restore", database=target, backup_url=put(jobs, "people.csv", body), tables=["people"], options=options
    )
    assert isinstance(partial.result, ProcessResult)
    told = jobs.body(manifest_url(partial.result)).decode().splitlines()
    assert (len(partial.errors), len(told), partial.result.records_processed) == (100, 499, 501)
    assert json.loads(told[-1])["row"] == 1_000


def test_a_bad_value_is_told_with_its_column(jobs: Jobs, new_postgres: Callable[[], str]) -> None:
    url = new_postgres()
    ask_postgres(url, POSTGRES_TABLES)
    error = jobs.fail(
        "restore", database=url, backup_url=put(jobs, "people.csv", "id,name,age\n1,Ada,old\n"), tables=["people"]
    )
    assert (error.code, error.field) == ("bad_value", "age")


@pytest.mark.parametrize("kind", ["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)])
def test_rows_whose_parents_were_left_out_go_too(
    jobs: Jobs, tmp_path: Path, new_postgres: Callable[[], str], kind: str
) -> None:
    """The row of Ada is spoilt; her pet can't be without her."""
    if kind == "sqlite":
        source, target, ask = make_sqlite(tmp_path / "s.db", TABLES + ROWS), f"sqlite:///{tmp_path}/t.db", ask_sqlite
    else:
        source, target, ask = new_postgres(), new_postgres(), ask_postgres
        ask_postgres(source, POSTGRES_TABLES + ROWS)
    url = manifest_url(jobs.run("backup", database=source, options={"compress": False}))
    spoil(jobs, "people.jsonl", b'"age":36', b'"age":-6')
    partial = jobs.run_partly("restore", database=target, backup_url=url, options={"skip_errors": True})
    assert [(error.table, error.row, error.field) for error in partial.errors] == [
        ("people", 1, None),
        ("pets", None, "owner"),
    ]
    assert ask(target, "SELECT id FROM pets ORDER BY id") == [(2,), (3,)]


def spoil(jobs: Jobs, name: str, old: bytes, new: bytes) -> None:
    """Change a file of the backup and its checksum in the manifest."""
    key = next(key for key in jobs.bodies if key.endswith(name))
    manifest = next(key for key in jobs.bodies if key.endswith("manifest.json"))
    before, after = jobs.bodies[key], jobs.bodies[key].replace(old, new)
    assert before != after
    jobs.bodies[key] = after
    sums = [hashlib.sha256(body).hexdigest().encode() for body in (before, after)]
    jobs.bodies[manifest] = jobs.bodies[manifest].replace(*sums)


# --- the run and the database -----------------------------------------------------------------------------------------


def test_a_run_that_comes_after_one_that_committed_finds_its_outcome(jobs: Jobs, tables: Tables) -> None:
    """As when a worker dies between its commit and its settlement. Without the fence, the rows were there twice."""
    url, ask = tables
    file = (
        put(jobs, "pets.csv", "name\nRex\n") if url.startswith("sqlite") else put(jobs, "pets.csv", "id,name\n1,Rex\n")
    )
    first = jobs.run("restore", job_id="job_1", epoch=1, database=url, backup_url=file, tables=["pets"])
    again = jobs.run("restore", job_id="job_1", epoch=2, database=url, backup_url=file, tables=["pets"])
    assert first == again
    assert ask(url, "SELECT name FROM pets") == [("Rex",)]


def test_a_run_that_lost_its_lease_changes_nothing(jobs: Jobs, source: str, target: str) -> None:
    url = manifest_url(jobs.run("backup", database=source))
    make_sqlite(
        Path(target.removeprefix("sqlite:///")),
        "CREATE TABLE longshore_fence (job_id TEXT PRIMARY KEY, epoch BIGINT NOT NULL, position TEXT);"
        "INSERT INTO longshore_fence VALUES ('job_1', 2, NULL);",
    )
    error = jobs.fail("restore", job_id="job_1", epoch=1, database=target, backup_url=url)
    assert error.code == "fenced"
    assert ask_sqlite(target, "SELECT name FROM sqlite_schema WHERE name = 'people'") == []


@pytest.mark.parametrize("skip_errors", [True, False])
def test_a_full_disk_is_told_and_nothing_remains(
    jobs: Jobs, tmp_path: Path, target: str, monkeypatch: pytest.MonkeyPatch, skip_errors: bool
) -> None:
    rows = [(None, f"{'x' * 1000}{number}", 1) for number in range(500)]
    url = manifest_url(jobs.run("backup", database=make_sqlite(tmp_path / "s.db", TABLES, {"people": rows})))
    connect = sqlite_writer.connect

    def small_disk(path: str, mode: str, *statements: str) -> sqlite3.Connection:
        return connect(path, mode, *statements, "PRAGMA max_page_count = 50")

    monkeypatch.setattr(sqlite_writer, "connect", small_disk)
    error = jobs.fail("restore", database=target, backup_url=url, options={"skip_errors": skip_errors})
    assert error.code == "disk_full"
    assert nothing_is_there(target)


def test_a_cancelled_restore_leaves_nothing(jobs: Jobs, source: str, target: str) -> None:
    """Cancelled while the second table's file is on its way."""
    url = manifest_url(jobs.run("backup", database=source))
    stream = jobs.ports.objects.stream
    seen: list[str] = []

    async def stalling(key: str) -> object:
        seen.append(key)
        if sum("/pets." in key for key in seen) == 2:  # the first time is for its checksum
            task.cancel()
            await asyncio.sleep(3600)
        async for chunk in stream(key):
            yield chunk

    async def cancelled() -> None:
        nonlocal task
        task = asyncio.ensure_future(jobs.start("restore", database=target, backup_url=url))
        with pytest.raises(asyncio.CancelledError):
            await task

    task: asyncio.Future[object]
    jobs.ports.objects.stream = stalling  # type: ignore[method-assign, assignment]  # the world stalls
    asyncio.run(cancelled())
    assert nothing_is_there(target)
    with closing(sqlite3.connect(target.removeprefix("sqlite:///"), timeout=0)) as other:
        other.execute("BEGIN EXCLUSIVE")  # nobody holds it any more
