"""`extract`: files that other programs read."""

import csv
import gzip
import io
import json
import zipfile
from collections.abc import Callable
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path

import pytest
import zstandard
from arro3.core import DataType
from arro3.io import read_parquet

from shared.payloads.results import ProcessResult
from tests.databases import Jobs, ask_postgres, make_sqlite, manifest_url

SQLITE = """
CREATE TABLE orders (id INTEGER PRIMARY KEY, note TEXT, total REAL, raw BLOB);
CREATE TABLE people (id INTEGER PRIMARY KEY, name TEXT);
INSERT INTO orders VALUES (1, 'a "b", ☃', 1.5, x'00ff'), (2, '', 2.0, NULL), (3, NULL, NULL, NULL);
INSERT INTO people VALUES (1, 'Ada');
"""
POSTGRES = """
CREATE TABLE events (id integer PRIMARY KEY, ok boolean, price numeric(10, 2), day date, at timestamptz,
    plain timestamp, tags text[], doc jsonb, raw json);
INSERT INTO events VALUES (1, true, 1.50, '2024-02-29', '2024-02-29 12:00:00.5+02', '1969-12-31 23:59:59.999999',
    '{a,NULL}', '{"n": 1.10}', E'{"b":\n2}'), (2, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL);
"""


@pytest.fixture
def jobs() -> Jobs:
    return Jobs()


@pytest.fixture
def source(tmp_path: Path) -> str:
    return make_sqlite(tmp_path / "shop.db", SQLITE)


@pytest.fixture
def events(new_postgres: Callable[[], str]) -> str:
    url = new_postgres()
    ask_postgres(url, POSTGRES)
    return url


def files(jobs: Jobs, result: ProcessResult) -> dict[str, bytes]:
    """The artefacts of a result by their paths below the run's own prefix."""
    listed = result.data["files"]
    assert isinstance(listed, list)
    urls = [str(file["url"]) for file in listed if isinstance(file, dict)]
    return {url.split("/", 7)[-1]: jobs.body(url) for url in urls}


def test_a_table_becomes_a_csv_file_with_a_header(jobs: Jobs, source: str) -> None:
    result = jobs.run("extract", database=source, tables=["orders"])
    assert files(jobs, result) == {
        "orders.csv": 'id,note,total,raw\n1,"a ""b"", ☃",1.5,\\x00ff\n2,"",2.0,\n3,,,\n'.encode()
    }
    assert (result.records_processed, result.tables_processed) == (3, 1)


def test_a_table_becomes_json_lines_or_one_json_array(jobs: Jobs, source: str) -> None:
    expected = [
        {"id": 1, "note": 'a "b", ☃', "total": 1.5, "raw": "\\x00ff"},
        {"id": 2, "note": "", "total": 2.0, "raw": None},
        {"id": 3, "note": None, "total": None, "raw": None},
    ]
    lines = files(jobs, jobs.run("extract", database=source, tables=["orders"], output_format="jsonl"))["orders.jsonl"]
    assert [json.loads(line) for line in lines.splitlines()] == expected
    array = files(jobs, jobs.run("extract", database=source, tables=["orders"], output_format="json"))["orders.json"]
    assert json.loads(array) == expected


def test_an_empty_table_becomes_an_empty_file_of_its_form(jobs: Jobs, tmp_path: Path) -> None:
    url = make_sqlite(tmp_path / "e.db", "CREATE TABLE t (a INTEGER, b)")
    found = {
        form: next(iter(files(jobs, jobs.run("extract", database=url, tables=["t"], output_format=form)).values()))
        for form in ("csv", "json", "jsonl", "sql", "parquet")
    }
    assert (found["csv"], json.loads(found["json"]), found["jsonl"], found["sql"]) == (b"a,b\n", [], b"", b"")
    assert list(read_parquet(io.BytesIO(found["parquet"])).schema.names) == ["a", "b"]


def test_an_sql_file_makes_the_same_table_where_it_is_run(jobs: Jobs, source: str, tmp_path: Path) -> None:
    options = {"include_schema": True}
    result = jobs.run("extract", database=source, tables=["orders"], output_format="sql", options=options)
    script = files(jobs, result)["orders.sql"].decode()
    copy = make_sqlite(tmp_path / "copy.db", script)
    again = jobs.run("extract", database=copy, tables=["orders"], output_format="sql", options=options)
    assert files(jobs, again)["orders.sql"].decode() == script


def test_parquet_has_the_columns_own_types(jobs: Jobs, source: str) -> None:
    result = jobs.run("extract", database=source, tables=["orders"], output_format="parquet")
    table = read_parquet(io.BytesIO(files(jobs, result)["orders.parquet"])).read_all()
    types = [table.schema.field(place).type for place in range(4)]
    assert types == [DataType.int64(), DataType.utf8(), DataType.float64(), DataType.binary()]
    assert table.column("raw").to_pylist() == [b"\x00\xff", None, None]


@pytest.mark.postgres
def test_postgres_types_become_those_of_parquet_and_of_json(jobs: Jobs, events: str) -> None:
    found = files(jobs, jobs.run("extract", database=events, tables=["events"], output_format="parquet"))
    table = read_parquet(io.BytesIO(found["events.parquet"])).read_all()
    first = {name: table.column(name).to_pylist()[0] for name in table.schema.names}
    assert first["price"] == Decimal("1.50")
    assert (first["day"], first["ok"], first["tags"]) == (date(2024, 2, 29), True, "{a,NULL}")
    assert first["at"].astimezone(UTC) == datetime(2024, 2, 29, 10, 0, 0, 500_000, UTC)
    assert first["plain"] == datetime(1969, 12, 31, 23, 59, 59, 999_999)  # noqa: DTZ001  it has no zone
    lines = files(jobs, jobs.run("extract", database=events, tables=["events"], output_format="jsonl"))
    row = json.loads(lines["events.jsonl"].splitlines()[0])
    assert (row["tags"], row["doc"], row["raw"], row["price"]) == (["a", None], {"n": 1.1}, {"b": 2}, 1.5)
    texts = files(jobs, jobs.run("extract", database=events, tables=["events"]))["events.csv"].decode()
    assert next(csv.DictReader(io.StringIO(texts)))["ok"] == "true"


@pytest.mark.postgres
def test_a_value_that_parquet_has_no_room_for_is_refused_with_its_column(jobs: Jobs, events: str) -> None:
    ask_postgres(events, "INSERT INTO events (id, at) VALUES (3, 'infinity')")
    error = jobs.fail("extract", database=events, tables=["events"], output_format="parquet")
    assert (error.code, error.field) == ("bad_value", "at")


@pytest.mark.parametrize(("packing", "suffix", "unpack"), [("gzip", ".gz", gzip.decompress), ("zstd", ".zst", None)])
def test_files_are_packed_as_asked(
    jobs: Jobs, source: str, packing: str, suffix: str, unpack: Callable[[bytes], bytes] | None
) -> None:
    plain = files(jobs, jobs.run("extract", database=source, tables=["orders"]))["orders.csv"]
    packed = files(jobs, jobs.run("extract", database=source, tables=["orders"], options={"compression": packing}))
    body = packed[f"orders.csv{suffix}"]
    assert (unpack or (lambda data: zstandard.ZstdDecompressor().decompressobj().decompress(data)))(body) == plain


def test_a_zip_holds_a_file_per_table(jobs: Jobs, source: str) -> None:
    result = jobs.run(
        "extract", database=source, tables=["orders", "people"], output_path="out/all", options={"compression": "zip"}
    )
    with zipfile.ZipFile(io.BytesIO(files(jobs, result)["out/all.zip"])) as archive:
        assert archive.testzip() is None
        assert archive.namelist() == ["orders.csv", "people.csv"]
        assert archive.read("people.csv") == b'id,name\n1,"Ada"\n'


@pytest.mark.parametrize(
    ("tables", "output_path", "expected"),
    [
        (["orders"], "x/y.csv", ["x/y.csv"]),
        (["orders"], "x/y", ["x/y.csv"]),
        (["people", "orders"], "x", ["x/orders.csv", "x/people.csv"]),
    ],
)
def test_the_output_path_is_a_files_name_or_a_folders(
    jobs: Jobs, source: str, tables: list[str], output_path: str, expected: list[str]
) -> None:
    assert list(files(jobs, jobs.run("extract", database=source, tables=tables, output_path=output_path))) == expected


def test_the_schema_comes_beside_the_data_if_it_is_asked_for(jobs: Jobs, source: str) -> None:
    result = jobs.run("extract", database=source, tables=["people"], options={"include_schema": True})
    schema = json.loads(files(jobs, result)["schema.json"])
    assert [column["name"] for column in schema["tables"][0]["columns"]] == ["id", "name"]
    assert manifest_url(result).endswith("people.csv")


def test_a_name_that_is_no_file_name_gets_one(jobs: Jobs, tmp_path: Path) -> None:
    url = make_sqlite(
        tmp_path / "n.db", 'CREATE TABLE "../a b" (x); CREATE TABLE schema (x); CREATE TABLE "SCHEMA2" (x);'
    )
    result = jobs.run("extract", database=url, tables=["../a b", "schema", "SCHEMA2"], output_format="json")
    assert set(files(jobs, result)) == {"table-1-.._a_b.json", "SCHEMA2.json", "table-3-schema.json"}


# --- queries ----------------------------------------------------------------------------------------------------------


def test_a_query_is_read_like_a_table_and_two_columns_may_share_a_name(jobs: Jobs, source: str) -> None:
    query = "SELECT id, note AS id, total * 2 FROM orders -- of all ;\n WHERE id < 3 ; "
    result = jobs.run("extract", database=source, query=query)
    assert files(jobs, result)["query.csv"].decode().splitlines()[1:] == ['1,"a ""b"", ☃",3.0', '2,"",4.0']


@pytest.mark.postgres
@pytest.mark.parametrize("form", ["csv", "json", "jsonl", "sql", "parquet"])
def test_a_postgres_query_is_read_in_every_form(jobs: Jobs, events: str, form: str) -> None:
    query = "WITH e AS (SELECT id, id, price, count(*) OVER () FROM events) SELECT *, 'x' -- the end"
    result = jobs.run("extract", database=events, query=query + "\nFROM e;", output_format=form)
    body = files(jobs, result)[f"query.{form}"]
    assert result.records_processed == 2
    if form == "csv":
        assert body.decode() == "id,id_2,price,count,?column?\n1,1,1.50,2,x\n2,2,,2,x\n"


WRITES = ["DELETE FROM orders", "DROP TABLE orders", "PRAGMA user_version = 7", "ATTACH 'other.db' AS other", "VACUUM"]
SLIPS = [
    "orders",
    "SELECT 1; DELETE FROM orders",
    "SELECT 1) ; DELETE FROM orders --",
    "WITH x AS (SELECT 1) DELETE FROM orders",
    "SELECT load_extension('x')",
    "SELECT 1 /* ",
    "SELECT 'a",
]


@pytest.mark.parametrize("query", [*WRITES, *SLIPS])
def test_an_sqlite_query_can_only_read(jobs: Jobs, source: str, query: str) -> None:
    before = Path(source.removeprefix("sqlite:///")).read_bytes()
    error = jobs.fail("extract", database=source, query=query)
    assert (error.code, error.field) == ("query_refused", "query")
    assert Path(source.removeprefix("sqlite:///")).read_bytes() == before


POSTGRES_SLIPS = [
    "DELETE FROM events RETURNING *",
    "WITH gone AS (DELETE FROM events RETURNING *) SELECT * FROM gone",
    "SELECT 1; DELETE FROM events",
    "SELECT 1) TO PROGRAM 'touch /tmp/longshore-was-here' --",
    "SELECT 1) AS a, (SELECT 2",
    "events",
    "SELECT * INTO copy FROM events",
    "COPY events TO PROGRAM 'cat'",
    "SET transaction_read_only = off",
    "SELECT 1 /* ",
    "EXPLAIN ANALYZE DELETE FROM events",
    "COMMIT",
    "DO $$ BEGIN DELETE FROM events; END $$",
    "SELECT * FROM events FOR UPDATE",
]
POSTGRES_SLIPS_WHEN_RUN = [
    "SELECT set_config('transaction_read_only', 'off', true), nextval('s')",
    "SELECT nextval('s')",
]


@pytest.mark.postgres
@pytest.mark.parametrize("query", [*POSTGRES_SLIPS, *POSTGRES_SLIPS_WHEN_RUN])
def test_a_postgres_query_can_only_read(jobs: Jobs, events: str, query: str) -> None:
    ask_postgres(events, "CREATE SEQUENCE s")
    error = jobs.fail("extract", database=events, query=query)
    assert (error.code, error.field) == ("query_refused", None if query in POSTGRES_SLIPS_WHEN_RUN else "query")
    assert not Path("/tmp/longshore-was-here").exists()
    assert ask_postgres(events, "SELECT count(*), (SELECT is_called FROM s) FROM events") == [(2, False)]


@pytest.mark.parametrize(
    ("fields", "code", "field"),
    [
        ({"tables": ["orders", "nobody"]}, "no_such_table", "tables.1"),
        ({"query": "SELECT * FROM nobody"}, "no_such_table", "query"),
        ({"query": "SELECT nobody FROM orders"}, "no_such_column", "query"),
        ({"query": "SELEC"}, "query_refused", "query"),
    ],
)
def test_what_is_not_there_is_named(jobs: Jobs, source: str, fields: dict[str, object], code: str, field: str) -> None:
    error = jobs.fail("extract", database=source, **fields)
    assert (error.code, error.field) == (code, field)


def test_a_text_that_is_not_utf_8_is_told(jobs: Jobs, tmp_path: Path) -> None:
    url = make_sqlite(tmp_path / "t.db", "CREATE TABLE t (a TEXT); INSERT INTO t VALUES (CAST(x'ff' AS TEXT));")
    error = jobs.fail("extract", database=url, tables=["t"])
    assert error.code == "bad_text"
