"""`data_sync`: only what differs is written, whatever happens meanwhile."""

import json
import tracemalloc
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from shared.outcomes import Partial
from shared.payloads.results import ProcessResult
from tests.databases import Jobs, ask_postgres, ask_sqlite, make_sqlite
from tests.long_jobs import LongJobs

TABLE = "CREATE TABLE items (id INTEGER PRIMARY KEY, name TEXT, price NUMERIC(10, 2), CHECK (price >= 0));"
OURS = f"{TABLE} INSERT INTO items VALUES (1, 'as it is', 1.5), (2, 'changed', 2), (3, 'new', NULL), (9, 'new', 9);"
THEIRS = f"{TABLE} INSERT INTO items VALUES (1, 'as it is', 1.50), (2, 'old', 2), (5, 'theirs alone', 5);"
SYNCED = [(1, "as it is", 1.5), (2, "changed", 2), (3, "new", None), (9, "new", 9)]
MANY = """CREATE TABLE items (id TEXT PRIMARY KEY, n INTEGER);
INSERT INTO items WITH RECURSIVE g(i) AS (SELECT {start} UNION ALL SELECT i + {step} FROM g WHERE i + {step} <= 9000)
    SELECT 'Ä' || i, i / {divisor} FROM g;"""
Make = Callable[..., str]
EITHER = ["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)]


@pytest.fixture
def jobs() -> Jobs:
    return Jobs()


def maker(kind: str, request: pytest.FixtureRequest, tmp_path: Path) -> Make:
    def sqlite(script: str) -> str:
        return make_sqlite(tmp_path / f"{len(list(tmp_path.iterdir()))}.db", script)

    def postgres(script: str) -> str:
        url = str(request.getfixturevalue("new_postgres")())
        ask_postgres(url, script)
        return url

    return sqlite if kind == "sqlite" else postgres


@pytest.fixture(params=EITHER)
def make_source(request: pytest.FixtureRequest, tmp_path: Path) -> Make:
    return maker(request.param, request, tmp_path)


@pytest.fixture(params=EITHER)
def make_target(request: pytest.FixtureRequest, tmp_path: Path) -> Make:
    return maker(request.param, request, tmp_path)


@pytest.fixture
def make(tmp_path: Path, request: pytest.FixtureRequest) -> Make:
    return maker("sqlite", request, tmp_path)


def ask(url: str, query: str) -> list[tuple[object, ...]]:
    return (ask_sqlite if url.startswith("sqlite") else ask_postgres)(url, query)


def contents(url: str) -> list[tuple[object, ...]]:
    return ask(url, "SELECT * FROM items ORDER BY id")


def fields(source: str, target: str, **options: object) -> dict[str, Any]:  # Any: of any payload
    return {"source": source, "target": target, "table": "items", "options": options}


def counts(result: object) -> tuple[object, ...]:
    assert isinstance(result, ProcessResult)
    return tuple(result.data[name] for name in ("inserted", "updated", "deleted", "unchanged"))


# --- what is written --------------------------------------------------------------------------------------------------


def test_what_differs_is_written_and_the_second_time_nothing(jobs: Jobs, make_source: Make, make_target: Make) -> None:
    source, target = make_source(OURS), make_target(THEIRS)
    result = jobs.run("data_sync", **fields(source, target, delete=True))
    assert counts(result) == (2, 1, 1, 1)
    assert (contents(target), contents(source)) == (SYNCED, SYNCED)
    assert counts(jobs.run("data_sync", **fields(source, target, delete=True))) == (0, 0, 0, 4)


def test_what_the_source_does_not_have_stays_unless_it_is_to_be_deleted(jobs: Jobs, make: Make) -> None:
    source, target = make(OURS), make(THEIRS)
    assert counts(jobs.run("data_sync", **fields(source, target))) == (2, 1, 0, 1)
    assert (5, "theirs alone", 5) in contents(target)


def test_a_row_that_is_the_same_is_not_touched(jobs: Jobs, make: Make, make_target: Make) -> None:
    log = "CREATE TABLE log (id INTEGER);"
    sqlite = "CREATE TRIGGER seen AFTER UPDATE ON items BEGIN INSERT INTO log VALUES (new.id); END;"
    postgres = "CREATE RULE seen AS ON UPDATE TO items DO ALSO INSERT INTO log VALUES (new.id);"
    target = make_target(THEIRS + log)
    ask(target, sqlite) if target.startswith("sqlite") else ask(target, postgres)
    jobs.run("data_sync", **fields(make(OURS), target))
    assert ask(target, "SELECT id FROM log") == [(2,)]


@pytest.mark.parametrize("moved", [3, 9_000])
def test_a_row_that_would_go_with_its_old_parent_is_with_its_new_one(
    jobs: Jobs, make: Make, make_target: Make, moved: int
) -> None:
    """In the page of the parent that is deleted, or far behind it."""
    tree = "CREATE TABLE items (id INTEGER PRIMARY KEY, n INTEGER REFERENCES items (id) ON DELETE CASCADE);"
    others = "WITH RECURSIVE g(i) AS (SELECT 10 UNION ALL SELECT i + 1 FROM g WHERE i < 8000) SELECT i, NULL FROM g"
    rows = "INSERT INTO items VALUES {parents}; INSERT INTO items {others}; INSERT INTO items VALUES ({moved}, {n});"
    source = make(tree + rows.format(parents="(2, NULL)", others=others, moved=moved, n=2))
    target = make_target(tree + rows.format(parents="(1, NULL), (2, NULL)", others=others, moved=moved, n=1))
    jobs.run("data_sync", **fields(source, target, delete=True))
    assert contents(target) == contents(source)


@pytest.mark.postgres
def test_who_may_only_update_can_sync_what_only_changed(
    jobs: Jobs, make: Make, new_postgres: Callable[[], str]
) -> None:
    target, role = new_postgres(), f"updater_{uuid.uuid4().hex}"
    ask(target, THEIRS)
    ask(target, f"CREATE ROLE {role} LOGIN; GRANT SELECT, UPDATE ON items TO {role};")
    source = make(f"{TABLE} INSERT INTO items VALUES (1, 'other', 1.5), (2, 'changed', 2), (5, 'theirs alone', 5);")
    result = jobs.run("data_sync", **fields(source, target.replace("//postgres@", f"//{role}@")))
    assert counts(result) == (0, 2, 0, 1)


def test_columns_are_mapped_and_others_left_alone(jobs: Jobs, make: Make, make_target: Make) -> None:
    theirs = "CREATE TABLE shelf (code INTEGER PRIMARY KEY, title TEXT, note TEXT DEFAULT 'n');"
    target = make_target(theirs + "INSERT INTO shelf VALUES (1, 'old', 'kept');")
    columns = {"id": "code", "name": "title"}
    result = jobs.run("data_sync", **fields(make(OURS), target), target_table="shelf", columns=columns)
    assert counts(result) == (3, 1, 0, 0)
    found = ask(target, "SELECT * FROM shelf ORDER BY code")
    assert found[:2] == [(1, "as it is", "kept"), (2, "changed", "n")]


def test_a_key_of_several_columns_is_compared_column_by_column(
    jobs: Jobs, make_source: Make, make_target: Make
) -> None:
    table = "CREATE TABLE items (id INTEGER NOT NULL, day TEXT NOT NULL, n INTEGER, PRIMARY KEY (day, id));"
    rows = ", ".join(f"({i}, '{day}', {i})" for i in (-2, 1, 10, 9) for day in ("Z", "a", "ä", "a b", "", "'"))
    source = make_source(f"{table} INSERT INTO items VALUES {rows.replace(chr(39) * 3, chr(39) * 4)};")
    target = make_target(f"{table} INSERT INTO items VALUES (10, 'a', 0), (10, 'ab', 0);")
    assert counts(jobs.run("data_sync", **fields(source, target, delete=True))) == (23, 1, 1, 0)
    query = "SELECT id, day, n FROM items"
    assert set(ask(target, query)) == set(ask(source, query))


@pytest.mark.parametrize("key", [["id"], ["day", "id"]])
def test_a_column_that_takes_other_keys_for_this_one_loses_no_other_row(jobs: Jobs, make: Make, key: list[str]) -> None:
    """To the target's own equality, `a` is `A`."""
    ours = "CREATE TABLE items (id TEXT, day TEXT, n INTEGER); INSERT INTO items VALUES"
    source = make(f"{ours} ('a', 'x', 1), ('b', 'x', 2), ('B', 'x', 3)")
    loose = "CREATE TABLE items (id TEXT COLLATE NOCASE, day TEXT, n INTEGER); INSERT INTO items VALUES"
    target = make(f"{loose} ('a', 'x', 1), ('A', 'x', 1), ('b', 'x', 2), ('B', 'x', 9)")
    assert counts(jobs.run("data_sync", **fields(source, target, delete=True), key=key)) == (0, 1, 1, 2)
    assert set(contents(target)) == set(contents(source))


# --- what is the same -------------------------------------------------------------------------------------------------


@pytest.mark.postgres
@pytest.mark.parametrize(
    ("values", "types"),
    [
        (("1.50", 1.5), ("REAL", "numeric")),
        (("0.1", 0.1), ("REAL", "numeric(10, 2)")),
        (("0.1", 0.1), ("REAL", "real")),
        (("1.5", "1.50"), ("", "numeric")),
        (("true", 1), ("INTEGER", "boolean")),
        (("2024-02-29 12:00:00+00", "2024-02-29T13:00:00+01:00"), ("TEXT", "timestamptz")),
        (("2024-02-29 12:00:00", "2024-02-29T12:00:00"), ("TEXT", "timestamp")),
        (("2024-02-29", "2024-02-29T00:00:00"), ("TEXT", "date")),
        (('{"a": 1, "b": [1.50]}', '{"b":[1.5],"a":1}'), ("TEXT", "jsonb")),
        (("\\x00ff", b"\x00\xff"), ("BLOB", "bytea")),
        (("A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11", "A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11"), ("TEXT", "uuid")),
        ((None, None), ("TEXT", "text")),
        (("5", 5), ("", "text")),
        (("NaN", "NaN"), ("TEXT", "float8")),
    ],
)
def test_the_same_value_is_the_same_in_either_database(
    jobs: Jobs, tmp_path: Path, new_postgres: Callable[[], str], values: tuple[object, object], types: tuple[str, str]
) -> None:
    (theirs, ours), (sqlite_type, type_) = values, types
    made = f"CREATE TABLE items (id INTEGER PRIMARY KEY, v {sqlite_type})"
    source, target = make_sqlite(tmp_path / "s.db", made, {"items": [(1, ours)]}), new_postgres()
    value = "NULL" if theirs is None else f"'{theirs}'"
    ask(target, f"CREATE TABLE items (id int PRIMARY KEY, v {type_}); INSERT INTO items VALUES (1, {value})")
    assert counts(jobs.run("data_sync", **fields(source, target))) == (0, 0, 0, 1)
    assert counts(jobs.run("data_sync", **fields(target, source))) == (0, 0, 0, 1)
    ask(target, "TRUNCATE items")
    assert counts(jobs.run("data_sync", **fields(source, target))) == (1, 0, 0, 0)
    assert counts(jobs.run("data_sync", **fields(source, target))) == (0, 0, 0, 1)


@pytest.mark.postgres
def test_every_page_of_a_target_is_read_once_however_its_keys_are_sorted(
    jobs: Jobs, make: Make, new_postgres: Callable[[], str]
) -> None:
    """A sort of the rest for each page would cost as much as there are pages."""
    source, target = make(MANY.format(start=1, step=1, divisor=1)), new_postgres()
    ask(target, "CREATE TABLE items (id text PRIMARY KEY, n int)")
    jobs.run("data_sync", **fields(source, target))
    scans = "SELECT seq_scan + idx_scan FROM pg_stat_user_tables WHERE relname = 'items'"
    ((before,),) = ask(target, scans)
    assert counts(jobs.run("data_sync", **fields(source, target))) == (0, 0, 0, 9000)
    ((after,),) = ask(target, scans)
    assert int(str(after)) - int(str(before)) <= 3


@pytest.mark.postgres
def test_what_the_target_rounds_is_not_written_again(jobs: Jobs, make: Make, new_postgres: Callable[[], str]) -> None:
    source, target = (
        make("CREATE TABLE items (id INTEGER PRIMARY KEY, v); INSERT INTO items VALUES (1, 1.006)"),
        new_postgres(),
    )
    ask(target, "CREATE TABLE items (id int PRIMARY KEY, v numeric(9, 2))")
    assert counts(jobs.run("data_sync", **fields(source, target))) == (1, 0, 0, 0)
    assert counts(jobs.run("data_sync", **fields(source, target))) == (0, 0, 0, 1)


@pytest.mark.parametrize(
    ("one", "other"), [("1", "2"), ("NULL", "''"), ("'a'", "'A'"), ("x'00'", "x'01'"), ("1", "'1'")]
)
def test_other_values_are_told_apart(jobs: Jobs, make: Make, one: str, other: str) -> None:
    table = "CREATE TABLE items (id INTEGER PRIMARY KEY, v); INSERT INTO items VALUES"
    source, target = make(f"{table} (1, {one})"), make(f"{table} (1, {other})")
    assert counts(jobs.run("data_sync", **fields(source, target))) == (0, 1, 0, 0)
    assert contents(target) == contents(source)


# --- bad rows ---------------------------------------------------------------------------------------------------------


def test_a_row_that_the_target_refuses_is_told_and_the_others_go_on(jobs: Jobs, make_target: Make, make: Make) -> None:
    bad = OURS.replace(", CHECK (price >= 0)", "") + "UPDATE items SET price = -1 WHERE id IN (2, 3);"
    target = make_target(THEIRS)
    outcome = jobs.run_partly("data_sync", **fields(make(bad), target))
    assert counts(outcome.result) == (1, 0, 0, 1)
    assert sorted((error.code, error.message[:5]) for error in outcome.errors) == [
        ("constraint_violation", "key 2"),
        ("constraint_violation", "key 3"),
    ]
    assert contents(target) == [SYNCED[0], (2, "old", 2), (5, "theirs alone", 5), SYNCED[3]]
    error = jobs.fail("data_sync", **fields(make(bad), make_target(THEIRS), errors_max=1))
    assert error.code == "too_many_errors"


def test_a_row_without_a_key_is_left_out_and_told(jobs: Jobs, make: Make) -> None:
    table = "CREATE TABLE items (id TEXT PRIMARY KEY, n);"
    source, target = make(table + "INSERT INTO items VALUES (NULL, 1), ('a', 2)"), make(table)
    outcome = jobs.run_partly("data_sync", **fields(source, target))
    assert [(error.code, error.field) for error in outcome.errors] == [("bad_key", "id")]
    assert contents(target) == [("a", 2)]


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"table": "nobody"}, ("no_such_table", "table")),
        ({"target_table": "nobody"}, ("no_such_table", "target_table")),
        ({"columns": {"id": "id", "name": "nobody"}}, ("no_such_column", "columns")),
        ({"columns": {"name": "name"}}, ("no_key", "key")),
        ({"key": ["nobody"]}, ("no_key", "key")),
        ({"key": ["price"]}, ("duplicate_key", "key")),
        ({"source": "sqlite:///nowhere.db"}, ("no_such_database", "source")),
        ({"target": "postgresql://nobody@127.0.0.1:1/x"}, ("database_unreachable", "target")),
        ({"target": "secret://none"}, ("no_such_secret", "target")),
    ],
)
def test_what_cannot_be_done_is_told_and_changes_nothing(
    jobs: Jobs, make: Make, change: dict[str, object], expected: tuple[str, str]
) -> None:
    target = make(THEIRS)
    same_price = OURS + "UPDATE items SET price = 1;"
    error = jobs.fail("data_sync", **(fields(make(same_price), target) | change))
    assert (error.code, error.field) == expected
    assert contents(target) == [(1, "as it is", 1.5), (2, "old", 2), (5, "theirs alone", 5)]


def test_one_file_is_not_synced_with_itself(jobs: Jobs, make: Make) -> None:
    source = make(OURS)
    again = f"{source.rpartition('/')[0]}/../{Path(source).parent.name}/{Path(source).name}"
    assert jobs.fail("data_sync", **fields(source, again)).code == "same_database"


def test_tables_that_sort_their_keys_in_other_ways_are_refused(jobs: Jobs, make: Make) -> None:
    source = make("CREATE TABLE items (id INTEGER PRIMARY KEY); INSERT INTO items VALUES (9), (10)")
    target = make("CREATE TABLE items (id TEXT PRIMARY KEY); INSERT INTO items VALUES ('9'), ('10')")
    assert jobs.fail("data_sync", **fields(source, target)).code == "key_order"


# --- dry runs ---------------------------------------------------------------------------------------------------------


def test_a_dry_run_tells_what_it_would_write_and_writes_nothing(jobs: Jobs, make_target: Make, make: Make) -> None:
    target = make_target(THEIRS)
    result = jobs.run("data_sync", **fields(make(OURS), target, delete=True, dry_run=True))
    assert counts(result) == (2, 1, 1, 1)
    assert result.artifact is not None
    lines = [json.loads(line) for line in jobs.body(result.artifact.url).splitlines()]
    assert [(line["change"], line["key"]["id"]) for line in lines] == [
        ("delete", 5),
        ("update", 2),
        ("insert", 3),
        ("insert", 9),
    ]
    assert (lines[1]["before"], lines[1]["after"]) == ({"name": "old"}, {"name": "changed"})
    assert (5, "theirs alone", 5) in contents(target)
    with pytest.raises(Exception, match="longshore_fence"):
        ask(target, "SELECT * FROM longshore_fence")


def test_a_dry_run_of_many_invocations_tells_the_first_differences_only(make: Make) -> None:
    world = LongJobs(3)
    source, target = make(MANY.format(start=1, step=1, divisor=1)), make(MANY.format(start=1, step=3, divisor=2))
    result = world.run("data_sync", **fields(source, target, dry_run=True, differences_max=2500))
    assert isinstance(result, ProcessResult)
    assert result.artifact is not None
    assert (world.invocations > 2, counts(result)[0], result.artifact.records) == (True, 6000, 2500)
    assert world.jobs.body(result.artifact.url).count(b"\n") == 2500


@pytest.mark.postgres
def test_wide_rows_of_a_target_are_not_held_by_the_thousand(
    jobs: Jobs, make: Make, new_postgres: Callable[[], str]
) -> None:
    wide = "INSERT INTO items WITH RECURSIVE g(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM g WHERE i < 150) SELECT i, "
    table, target = "CREATE TABLE items (id INTEGER PRIMARY KEY, t TEXT);", new_postgres()
    source = make(f"{table} {wide} replace(hex(zeroblob(500000)), '0', 'x') FROM g;")
    ask(target, f"{table} {wide} repeat('x', 1000000) FROM g;")
    tracemalloc.start()
    try:
        assert counts(jobs.run("data_sync", **fields(source, target))) == (0, 0, 0, 150)
        held_bytes = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert held_bytes < 80_000_000


# --- many invocations -------------------------------------------------------------------------------------------------


def test_a_sync_that_is_killed_anywhere_ends_the_same(make: Make, make_target: Make) -> None:
    source, there = make(MANY.format(start=1, step=1, divisor=1)), MANY.format(start=1, step=3, divisor=2)
    if not (target := make_target(there)).startswith("sqlite"):
        ask(target, "CREATE TABLE fresh AS SELECT * FROM items")
    expected = sorted(contents(source))
    look, deaths = 0, 1
    while deaths:
        look += 2
        world = LongJobs(4)
        target = make_target(there) if target.startswith("sqlite") else target
        if not target.startswith("sqlite"):
            ask(target, "TRUNCATE items; INSERT INTO items SELECT * FROM fresh; DROP TABLE IF EXISTS longshore_fence")
        world.clock.kills_at = world.clock.looks + look
        result = world.run("data_sync", **fields(source, target))
        assert sorted(contents(target)) == expected, f"killed at look {look}"
        assert counts(result) == (6000, 3000, 0, 0)
        deaths = world.deaths
    assert look > 8


def test_a_target_of_more_rows_than_the_source_is_gone_on_with_where_both_were_compared(make: Make) -> None:
    source, target = make(MANY.format(start=1, step=3, divisor=2)), make(MANY.format(start=1, step=1, divisor=1))
    world = LongJobs(4)
    result = world.run("data_sync", **fields(source, target, delete=True))
    assert (counts(result), world.invocations > 2) == ((0, 3000, 6000, 0), True)
    assert contents(target) == contents(source)


def test_a_run_that_is_killed_after_its_commit_counts_nothing_twice(make: Make) -> None:
    source, target = make(MANY.format(start=1, step=1, divisor=1)), make(MANY.format(start=1, step=3, divisor=2))
    world = LongJobs(4)
    result = world.run("data_sync", answers_lost=True, **fields(source, target))
    assert (counts(result), world.invocations > 2) == ((6000, 3000, 0, 0), True)


def test_errors_of_all_invocations_are_in_the_answer(make: Make) -> None:
    source, target = make(MANY.format(start=1, step=1, divisor=1)), make(MANY.format(start=1, step=3, divisor=2))
    ask(target, "CREATE TRIGGER no BEFORE INSERT ON items WHEN new.n % 100 = 50 BEGIN SELECT raise(ABORT, 'no'); END")
    world = LongJobs(4)
    outcome = world.run("data_sync", **fields(source, target))
    assert isinstance(outcome, Partial)
    assert isinstance(outcome.result, ProcessResult)
    assert (len(outcome.errors), outcome.result.data["rows_left_out"], world.invocations > 1) == (60, 60, True)
    assert outcome.result.artifact is not None
    assert world.jobs.body(outcome.result.artifact.url).count(b"\n") == 60
