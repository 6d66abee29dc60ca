"""`extract` and `backup` that take many invocations. Time passes by being looked at: see `tests/long_jobs.py`."""

import csv
import io
import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import cast

import pytest
from arro3.io import read_parquet

from shared.databases.postgres import reader
from shared.errors import LongshoreError
from shared.outcomes import Partial
from shared.payloads.results import ProcessResult
from tests.databases import Jobs, ask_postgres, ask_sqlite, make_sqlite
from tests.long_jobs import LongJobs

FORMS = ("csv", "jsonl", "parquet")
TABLES = ["orders", "lines", "log"]
NUMBERS = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {}) "
SQLITE = f"""
CREATE TABLE orders (id INTEGER PRIMARY KEY, note TEXT, total REAL);
CREATE TABLE lines (sku, n INTEGER, x TEXT, PRIMARY KEY (sku, n)) WITHOUT ROWID;
CREATE TABLE log (rowid TEXT, at INTEGER);
INSERT INTO orders {NUMBERS.format(6000)} SELECT i * 7919 % 6000, 'note "' || i || '", é', i / 8.0 FROM n;
INSERT INTO lines {NUMBERS.format(2500)} SELECT CASE i % 4 WHEN 0 THEN i WHEN 1 THEN 't''' || i / 9
    WHEN 2 THEN CAST('b' || i AS BLOB) ELSE i / 3.0 END, i, 'x' FROM n;
INSERT INTO log {NUMBERS.format(1500)} SELECT 'same', 1 FROM n;
"""
POSTGRES = """
CREATE TABLE orders (id bigint PRIMARY KEY, note text, total numeric);
CREATE TABLE lines (sku text, n integer, at timestamptz, x text, PRIMARY KEY (sku, at, n));
CREATE TABLE log (word text, at integer);
INSERT INTO orders SELECT i, repeat('note "é', 50) || i, i / 8.0 FROM generate_series(0, 5999) i
    ORDER BY md5(i::text);
INSERT INTO lines SELECT CASE i % 3 WHEN 0 THEN 'Ä''' WHEN 1 THEN 'a\\' ELSE 'B,' END || i % 50, i % 7,
    timestamptz '2024-01-01 00:00:00.000001+02' + i * interval '1 s', 'x' FROM generate_series(1, 2500) i;
INSERT INTO log SELECT 'same', 1 FROM generate_series(1, 1500);
"""


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)])
def shop(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return make_sqlite(tmp_path / "shop.db", SQLITE)
    url = str(request.getfixturevalue("new_postgres")())
    ask_postgres(url, POSTGRES)
    return url


def rows(jobs: Jobs, result: ProcessResult | Partial, form: str) -> dict[str, Counter[str]]:
    """What all the files of a result hold, by table."""
    assert isinstance(result, ProcessResult)
    found = {table: Counter[str]() for table in TABLES}
    for file in cast("list[dict[str, str]]", result.data["files"]):
        name = file["url"].rpartition("/")[2]
        if table := name.partition(".")[0] if name.partition(".")[0] in found else "":
            found[table].update(map(str, _rows(form, jobs.body(file["url"]))))
    return found


def _rows(form: str, body: bytes) -> list[object]:
    match form:
        case "csv":
            return list(csv.reader(io.StringIO(body.decode())))[1:]  # type: ignore[return-value]  # read alone
        case "parquet":
            read = read_parquet(io.BytesIO(body)).read_all()
            return list(zip(*(read.column(name).to_pylist() for name in read.schema.names), strict=True))
    return [json.loads(line) for line in body.splitlines()]


def change(url: str, statement: str) -> None:
    if url.startswith("sqlite"):
        make_sqlite(Path(url.removeprefix("sqlite:///")), statement)
    else:
        ask_postgres(url, statement)


def failing(world: LongJobs, kind: str, **fields: object) -> LongshoreError:
    with pytest.raises(LongshoreError) as caught:
        world.run(kind, **fields)
    return caught.value


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("kind", ["extract", "backup"])
def test_a_job_of_many_invocations_reads_the_same_rows_as_one_of_one(shop: str, kind: str, form: str) -> None:
    """However short they are: in the shortest, there is time for one range of one table."""
    field = {"output_format": form} if kind == "extract" else {"format": form, "options": {"compress": False}}
    whole = LongJobs()
    expected = rows(whole.jobs, whole.run(kind, database=shop, tables=TABLES, **field), form)
    assert [sum(counts.values()) for counts in expected.values()] == [6000, 2500, 1500]
    assert whole.invocations == 1
    for invocation_s in (5, 8):
        world = LongJobs(invocation_s)
        result = world.run(kind, database=shop, tables=TABLES, **field)
        assert rows(world.jobs, result, form) == expected
        assert isinstance(result, ProcessResult)
        assert world.invocations > 1
        assert (result.records_processed, result.data["snapshots"]) == (10_000, world.invocations)


@pytest.mark.parametrize("form", FORMS)
def test_a_run_that_is_killed_anywhere_is_gone_on_with_from_the_last_checkpoint(shop: str, form: str) -> None:
    whole = LongJobs()
    expected = rows(whole.jobs, whole.run("extract", database=shop, tables=TABLES, output_format=form), form)
    look, deaths = 0, 1
    while deaths:
        look += 1 if shop.startswith("sqlite") else 3
        world = LongJobs(8)
        world.clock.kills_at = look
        result = world.run("extract", database=shop, tables=TABLES, output_format=form)
        assert rows(world.jobs, result, form) == expected, f"killed at look {look}"
        deaths = world.deaths
    assert look > 20


def test_a_run_that_cannot_say_how_far_it_came_is_done_again(shop: str) -> None:
    whole, world = LongJobs(), LongJobs(8)
    expected = rows(whole.jobs, whole.run("extract", database=shop, tables=TABLES), "csv")
    assert rows(world.jobs, world.run("extract", answers_lost=True, database=shop, tables=TABLES), "csv") == expected


@pytest.mark.postgres
def test_a_large_table_of_postgres_goes_along_its_key_from_the_start(
    shop: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So that nothing of the first invocation is given up. What is large, is made small here."""
    monkeypatch.setattr(reader, "LARGE_BYTES", 0)
    world = LongJobs(8)
    world.between = lambda number: parts.append(sum("orders" in key for key in world.jobs.bodies))
    parts: list[int] = []
    world.run("extract", database=shop, tables=["orders"])
    assert parts[0] == 1


@pytest.mark.parametrize(("form", "kind"), [("csv", "extract"), ("jsonl", "backup")])
def test_what_changes_meanwhile_neither_doubles_nor_loses_what_is_there_all_the_time(
    shop: str, form: str, kind: str
) -> None:
    """Rows that are updated move, in PostgreSQL; those that come and go may be in it or not."""

    def meddle(number: int) -> None:
        change(shop, f"UPDATE orders SET total = -{number} WHERE id % 5 = 0")
        change(shop, f"DELETE FROM orders WHERE id = {number * 7 + 1}")
        change(shop, f"INSERT INTO orders VALUES ({-number}, 'new', 0), ({7000 + number}, 'new', 0)")

    world = LongJobs(5, between=meddle)
    field = {"output_format": form} if kind == "extract" else {"format": form, "options": {"compress": False}}
    result = world.run(kind, database=shop, tables=["orders"], **field)
    found = rows(world.jobs, result, form)["orders"]
    ids = Counter(int(text.split("'")[1] if form == "csv" else text.split(":")[1].split(",")[0]) for text in found)
    gone = {number * 7 + 1 for number in range(1, world.invocations)}
    assert world.invocations > 2
    assert set(ids.values()) == {1}
    assert set(range(6000)) - gone <= ids.keys() <= {*range(-world.invocations, 6000), *range(7000, 7500)}


def test_each_file_of_a_long_table_is_one_of_its_form(shop: str) -> None:
    world = LongJobs(8)
    result = world.run("extract", database=shop, tables=["orders"], output_format="json", output_path="out/all.json")
    assert isinstance(result, ProcessResult)
    files = cast("list[dict[str, str]]", result.data["files"])
    names = [file["url"].split("/", 7)[-1] for file in files]
    assert names == ["out/all.json", *(f"out/all.part-{number}.json" for number in range(2, len(names) + 1))]
    assert len(names) > 1
    assert sum(len(json.loads(world.jobs.body(file["url"]))) for file in files) == 6000


def test_a_long_sql_file_makes_its_table_once(tmp_path: Path) -> None:
    world = LongJobs(3)
    url = make_sqlite(tmp_path / "shop.db", SQLITE)
    options = {"include_schema": True}
    result = world.run("extract", database=url, tables=["lines"], output_format="sql", options=options)
    assert isinstance(result, ProcessResult)
    files = cast("list[dict[str, str]]", result.data["files"])
    script = "".join(world.jobs.body(file["url"]).decode() for file in files)
    copy = make_sqlite(tmp_path / "copy.db", f"BEGIN; {script} COMMIT;")
    assert len(files) > 1
    everything = "SELECT * FROM lines ORDER BY sku, n"
    assert ask_sqlite(copy, everything) == ask_sqlite(url, everything)


# --- what cannot be gone on with --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"query": "SELECT * FROM orders"}, "query"),
        ({"query": "SELECT * FROM orders", "output_format": "parquet"}, "query"),
        ({"tables": TABLES, "options": {"compression": "zip"}}, "options.compression"),
    ],
)
def test_what_must_be_done_at_once_says_so_when_time_is_over(shop: str, fields: dict[str, object], field: str) -> None:
    error = failing(LongJobs(3), "extract", database=shop, **fields)
    assert (type(error).__name__, error.code, error.field) == ("Permanent", "too_large", field)
    LongJobs().run("extract", database=shop, **fields)


@pytest.mark.postgres
def test_a_table_without_a_key_gets_an_invocation_of_its_own_and_must_fit(new_postgres: Callable[[], str]) -> None:
    url = new_postgres()
    ask_postgres(url, POSTGRES)
    ask_postgres(url, "INSERT INTO log SELECT repeat('x', 300), i FROM generate_series(1, 5000) i")
    error = failing(LongJobs(4), "backup", database=url)
    assert (error.code, error.field) == ("too_large", "tables")
    assert "log" in error.message
    world = LongJobs(18)
    result = world.run("backup", database=url)
    assert isinstance(result, ProcessResult)
    assert result.records_processed == 15_000
    assert world.invocations > 1


def test_a_table_that_is_altered_between_two_invocations_ends_the_job(shop: str) -> None:
    world = LongJobs(8)
    world.between = lambda number: number == 1 and change(shop, "ALTER TABLE lines ADD COLUMN extra text")
    error = failing(world, "extract", database=shop, tables=TABLES)
    assert (error.code, error.field) == ("table_changed", "tables")
