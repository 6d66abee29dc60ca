"""`restore` in many invocations. Time passes by being looked at: see `tests/long_jobs.py`."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from shared.databases import writing
from shared.databases.engine import Writer
from shared.databases.fence import leave_position, pass_fence
from shared.errors import LongshoreError, Transient
from shared.outcomes import Partial, Proceed
from shared.payloads.results import ProcessResult
from tests.databases import ask_postgres, ask_sqlite, make_sqlite, manifest_url
from tests.every_value import (
    make_every_postgres_value,
    make_every_sqlite_value,
    postgres_contents,
    sqlite_contents,
)
from tests.long_jobs import LongJobs

FORMS = ("csv", "jsonl", "parquet", "sql")
TABLES = """
CREATE TABLE events (id INTEGER PRIMARY KEY, note TEXT NOT NULL, total NUMERIC);
CREATE TABLE visits (id INTEGER PRIMARY KEY, event INTEGER REFERENCES events (id), at TEXT);
"""
SQLITE = f"""
{TABLES}
CREATE INDEX by_note ON events (note);
CREATE INDEX by_total ON events (total);
INSERT INTO events WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 3000)
    SELECT i, 'note "é", ' || char(10) || i || printf('%.*c', 300, 'x'), i / 8.0 FROM n;
INSERT INTO visits SELECT id, id / 2 + 1, NULL FROM events;
CREATE TABLE ticks (id INTEGER PRIMARY KEY AUTOINCREMENT);
INSERT INTO ticks VALUES (7);
"""
POSTGRES = f"""
{TABLES}
CREATE INDEX by_note ON events (note);
CREATE INDEX by_total ON events (total);
INSERT INTO events SELECT i, E'note "é", \\n' || i || repeat('x', 300), i / 8.0 FROM generate_series(1, 3000) i;
INSERT INTO visits SELECT id, id / 2 + 1, NULL FROM events;
CREATE TABLE ticks (id serial PRIMARY KEY);
INSERT INTO ticks VALUES (7);
"""
Make = Callable[[str], str]


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)])
def make(request: pytest.FixtureRequest, tmp_path: Path) -> Make:
    """Each call makes a database of one kind; the script has its words for both kinds."""
    numbers = iter(range(100))

    def sqlite(script: str) -> str:
        return make_sqlite(tmp_path / f"{next(numbers)}.db", script)

    def postgres(script: str) -> str:
        url = str(request.getfixturevalue("new_postgres")())
        ask_postgres(url, POSTGRES if script == SQLITE else script) if script else None
        return url

    return sqlite if request.param == "sqlite" else postgres


def ask(url: str, query: str) -> list[tuple[object, ...]]:
    return (ask_sqlite if url.startswith("sqlite") else ask_postgres)(url, query)


def empty(url: str) -> None:
    if url.startswith("sqlite"):
        Path(url.removeprefix("sqlite:///")).unlink()
    else:
        ask(url, "DROP SCHEMA public CASCADE")
        ask(url, "CREATE SCHEMA public")


def contents(url: str) -> object:
    return sqlite_contents(url) if url.startswith("sqlite") else postgres_contents(url)


def backed_up(world: LongJobs, source: str, form: str = "csv", **options: object) -> str:
    """→ the URL of its manifest"""
    length, world.invocation_s = world.invocation_s, 1 << 40
    result = world.run("backup", database=source, format=form, options=options)
    world.invocation_s = length
    assert isinstance(result, ProcessResult)
    return manifest_url(result)


@pytest.mark.parametrize("form", FORMS)
def test_a_restore_of_many_invocations_ends_as_one_of_one(make: Make, form: str) -> None:
    source = make(SQLITE)
    for invocation_s in (3, 6):
        world = LongJobs(invocation_s)
        url, target = backed_up(world, source, form), make("")
        result = world.run("restore", database=target, backup_url=url, options={"batch_size": 700})
        assert contents(target) == contents(source)
        assert isinstance(result, ProcessResult)
        assert (result.records_processed, world.invocations > 2) == (6001, True)


@pytest.mark.parametrize("form", FORMS)
def test_a_restore_that_is_killed_anywhere_ends_the_same(make: Make, form: str) -> None:
    source, target = make(SQLITE), make("")
    expected = contents(source)
    look, deaths = 0, 1
    while deaths:
        look += 2 if target.startswith("sqlite") else 5
        world = LongJobs(8)
        url = backed_up(world, source, form)
        empty(target)
        world.clock.kills_at = world.clock.looks + look
        world.run("restore", database=target, backup_url=url, options={"batch_size": 700})
        assert contents(target) == expected, f"killed at look {look}"
        deaths = world.deaths
    assert look > 15


@pytest.mark.parametrize("form", FORMS)
def test_a_run_that_is_killed_after_its_commit_doubles_nothing(make: Make, form: str) -> None:
    """What the fence says counts; the job's checkpoint is one commit behind, each time."""
    source, world = make(SQLITE), LongJobs(5)
    url, target = backed_up(world, source, form), make("")
    world.run("restore", answers_lost=True, database=target, backup_url=url)
    assert contents(target) == contents(source)


@pytest.mark.parametrize("form", FORMS)
def test_a_backup_of_many_parts_is_restored_like_one_of_one(make: Make, form: str) -> None:
    source, world = make(SQLITE), LongJobs(3)
    result = world.run("backup", database=source, format=form)
    assert isinstance(result, ProcessResult)
    manifest = json.loads(world.jobs.body(manifest_url(result)))
    assert {table["table"]: len(table["more"]) > 0 for table in manifest["tables"]}["events"]
    assert 1 + len(manifest["later_snapshots"]) == result.data["snapshots"] == world.invocations
    whole, parts = make(""), make("")
    world.run("restore", database=parts, backup_url=manifest_url(result))
    assert contents(parts) == contents(source)
    world.invocation_s = 1 << 40
    world.run("restore", database=whole, backup_url=manifest_url(result))
    assert world.invocations == 1
    assert contents(whole) == contents(source)


@pytest.mark.parametrize("form", FORMS)
def test_every_sqlite_value_comes_through_many_invocations(tmp_path: Path, form: str) -> None:
    source, target = make_every_sqlite_value(tmp_path / "source.db"), f"sqlite:///{tmp_path}/target.db"
    world = LongJobs(4)
    result = world.run("backup", database=source, format=form)
    assert isinstance(result, ProcessResult)
    world.run("restore", database=target, backup_url=manifest_url(result))
    assert sqlite_contents(target) == sqlite_contents(source)


@pytest.mark.postgres
@pytest.mark.parametrize("form", FORMS)
def test_every_postgres_value_comes_through_many_invocations(new_postgres: Callable[[], str], form: str) -> None:
    source, target = make_every_postgres_value(new_postgres()), new_postgres()
    world = LongJobs(8)
    result = world.run("backup", database=source, format=form)
    assert isinstance(result, ProcessResult)
    assert world.invocations > 1
    world.run("restore", database=target, backup_url=manifest_url(result))
    assert postgres_contents(target) == postgres_contents(source)


def test_a_row_whose_parent_came_later_than_its_table_was_read_is_left_out_if_it_may(make: Make) -> None:
    """Of a backup of several snapshots; every file of it is as good as any."""
    source, world = make(SQLITE), LongJobs(3)
    change = lambda script: make_sqlite(Path(source[10:]), script) if source[:6] == "sqlite" else ask(source, script)  # noqa: E731  two words
    world.between = lambda number: (
        number == 2
        and [
            change("INSERT INTO events VALUES (-5, 'late', 0);"),
            change("INSERT INTO visits VALUES (9999, -5, NULL);"),
        ]
    )
    result = world.run("backup", database=source)
    assert isinstance(result, ProcessResult)
    target, world.invocation_s = make(""), 1 << 40
    partial = world.run(
        "restore", database=target, backup_url=manifest_url(result), options={"skip_errors": True, "validate": False}
    )
    assert isinstance(partial, Partial)
    assert [(error.table, error.field) for error in partial.errors] == [("visits", "event")]
    assert ask(target, "SELECT count(*), max(id) FROM visits") == [(3000, 3000)]


def test_rows_are_added_once_to_what_is_there(make: Make) -> None:
    """One table's file, without a manifest, into a table with rows of its own."""
    source, world = make(SQLITE), LongJobs(3)
    url = backed_up(world, source, "csv", compress=False).replace("manifest.json", "events.csv")
    target = make(TABLES + "INSERT INTO events VALUES (-1, 'mine', 0);")
    world.run("restore", answers_lost=True, database=target, backup_url=url, tables=["events"])
    assert world.invocations > 2
    assert ask(target, "SELECT * FROM events WHERE id > 0 ORDER BY id") == ask(
        source, "SELECT * FROM events ORDER BY id"
    )
    assert ask(target, "SELECT count(*) FROM events") == [(3001,)]


def test_bad_rows_of_many_invocations_are_told_as_of_one(make: Make) -> None:
    told = {}
    source = make(SQLITE)
    for invocation_s in (1 << 40, 4):
        world = LongJobs(invocation_s)
        url = backed_up(world, source, "jsonl", compress=False).replace("manifest.json", "events.jsonl")
        key = url.removeprefix("s3://memory/")
        world.jobs.bodies[key] = world.jobs.bodies[key].replace(b'{"id":', b'{"id":-')
        lines = world.jobs.bodies[key].splitlines(keepends=True)
        for number in range(0, 3000, 20):
            lines[number] = b"no json\n" if number % 40 else lines[1]
        world.jobs.bodies[key] = b"".join(lines)
        target = make(TABLES)
        partial = world.run(
            "restore", database=target, backup_url=url, tables=["events"], options={"skip_errors": True}
        )
        assert isinstance(partial, Partial)
        assert isinstance(partial.result, ProcessResult)
        rows = ask(target, "SELECT count(*), sum(id), min(note) FROM events")
        lines = sorted(world.jobs.body(manifest_url(partial.result)).splitlines())
        assert (len(lines), len(partial.errors)) == (150, 100)
        told[invocation_s] = (lines, rows, partial.result.data, partial.result.records_processed)
    assert world.invocations > 1
    assert told[4] == told[1 << 40]


def test_checksums_are_looked_at_once_whatever_it_takes(make: Make) -> None:
    """And a file that was damaged meanwhile is found out when it is loaded."""
    source, world = make(SQLITE), LongJobs(3)
    result = world.run("backup", database=source)
    assert isinstance(result, ProcessResult)
    stream, read = world.jobs.ports.objects.stream, list[str]()

    def counted(key: str) -> object:
        read.append(key)
        world.clock()
        return stream(key)

    world.jobs.ports.objects.stream = counted  # type: ignore[method-assign, assignment]  # the world is slow
    world.run("restore", database=make(""), backup_url=manifest_url(result))
    parts = [key for key in dict.fromkeys(read) if key.endswith(".gz")]
    assert len(parts) > 2
    assert read.index(parts[-1]) < [place for place, key in enumerate(read) if key == parts[0]][1]


# --- what must stay together ------------------------------------------------------------------------------------------

TREE = "CREATE TABLE tree (id INTEGER PRIMARY KEY, up INTEGER REFERENCES tree (id), x TEXT);"


def test_rows_that_refer_to_later_ones_are_committed_with_them(make: Make) -> None:
    """However short time is: a commit in between would be refused."""
    body = "id,up,x\n" + "".join(f"{i},{5001 - i},{'x' * 200}\n" for i in range(1, 5001))
    world, target = LongJobs(3), make(TREE)
    world.jobs.bodies["artifacts/default/job_0/1-0/tree.csv"] = body.encode()
    url = "s3://memory/artifacts/default/job_0/1-0/tree.csv"
    world.run("restore", database=target, backup_url=url, tables=["tree"])
    assert ask(target, "SELECT count(*), sum(up) FROM tree") == [(5000, 5000 * 5001 // 2)]


def test_a_restore_that_fits_one_invocation_is_one_transaction(make: Make) -> None:
    """Nobody sees a part of it: it is refused at its last step, and nothing is there."""
    source, world = make(SQLITE), LongJobs()
    url = backed_up(world, source)
    key = url.removeprefix("s3://memory/")
    world.jobs.bodies[key] = world.jobs.bodies[key].replace(b'"rows": 3000', b'"rows": 3001')
    target = make("")
    with pytest.raises(LongshoreError, match="rows, and the manifest says"):
        world.run("restore", database=target, backup_url=url)
    assert all("longshore" not in str(row) for row in schema_of(target))
    assert schema_of(target) == []


def schema_of(url: str) -> list[tuple[object, ...]]:
    if url.startswith("sqlite"):
        return ask(url, "SELECT name FROM sqlite_schema")
    return ask(url, "SELECT tablename FROM pg_tables WHERE schemaname = 'public'")


# --- the fence --------------------------------------------------------------------------------------------------------


def restoring(world: LongJobs, epoch: int, target: str, url: str, *, seconds: int = 1 << 40) -> Awaitable[object]:
    """One run of one and the same job."""
    ends_at = (world.clock.looks + seconds) * 1000
    return world.jobs.start(
        "restore", job_id="job_x", epoch=epoch, ends_at=ends_at, database=target, backup_url=url, tables=["events"]
    )


def test_of_two_runs_of_one_job_the_old_one_is_refused_whatever_it_does(make: Make) -> None:
    """Each with a connection of its own. The old one wakes up when the new one has committed the first part."""
    source, world = make(SQLITE), LongJobs()
    url, target = backed_up(world, source, compress=False).replace("manifest.json", "events.csv"), make(TABLES)

    async def story() -> None:
        assert isinstance(await restoring(world, 2, target, url, seconds=3), Proceed)
        before = ask(target, "SELECT count(*) FROM events")
        with pytest.raises(Transient, match="fenced"):
            await restoring(world, 1, target, url)
        assert ask(target, "SELECT count(*) FROM events") == before
        assert (0,) < before[0] < (3000,)
        assert isinstance(await restoring(world, 3, target, url), ProcessResult)

    asyncio.run(story())
    assert ask(target, "SELECT count(*) FROM events") == [(3000,)]


def test_of_two_runs_at_the_same_time_the_later_waits_and_goes_on_where_the_old_one_stops(make: Make) -> None:
    """The old one holds the fence's lock while its transaction is open: it commits before the new one has begun."""
    source, world = make(SQLITE), LongJobs()
    url, target = backed_up(world, source, compress=False).replace("manifest.json", "events.csv"), make(TABLES)
    stream, rivals = world.jobs.ports.objects.stream, list[asyncio.Future[object]]()

    async def slow(key: str) -> AsyncIterator[bytes]:
        """The first reader of rows, inside his transaction, is overtaken."""
        if not rivals:
            rivals.append(asyncio.ensure_future(restoring(world, 3, target, url)))
            for _ in range(200):  # time enough to get to the lock, not a moment to sleep
                await asyncio.to_thread(ask, target, "SELECT count(*) FROM events")
            assert not rivals[0].done()
        async for chunk in stream(key):
            yield chunk

    async def story() -> tuple[object, object]:
        assert isinstance(await restoring(world, 1, target, url, seconds=3), Proceed)
        world.jobs.ports.objects.stream = slow  # type: ignore[method-assign]  # the world is slow
        old = await restoring(world, 2, target, url, seconds=3)
        return old, await rivals[0]

    old, new = asyncio.run(story())
    assert isinstance(old, Proceed)
    assert isinstance(new, ProcessResult)
    assert new.records_processed == 3000
    assert ask(target, "SELECT count(*) FROM events") == [(3000,)]


def test_a_commit_is_refused_if_the_fence_has_gone_on(make: Make) -> None:
    """Even if somebody broke the lock that should have kept others out."""
    target = make("")

    def outlived(database: Writer) -> None:
        fence = pass_fence(database, "job_x", 1)
        database.execute("UPDATE longshore_fence SET epoch = 2")
        leave_position(database, fence, "mine")

    async def story() -> None:
        async with writing(target) as database:
            await database.run(outlived)

    with pytest.raises(Transient, match="fenced"):
        asyncio.run(story())


def test_a_fence_that_is_dropped_under_way_ends_the_job(make: Make) -> None:
    """Rather than load again what is there."""
    source, world = make(SQLITE), LongJobs(5)
    url, target = backed_up(world, source), make("")
    world.between = lambda _: ask(target, "DROP TABLE IF EXISTS longshore_fence")
    with pytest.raises(LongshoreError, match="fence_lost"):
        world.run("restore", database=target, backup_url=url)


@pytest.mark.postgres
def test_where_there_can_be_no_fence_a_restore_takes_one_transaction(new_postgres: Callable[[], str]) -> None:
    source, target, world = new_postgres(), new_postgres(), LongJobs(3)
    ask_postgres(source, POSTGRES)
    ask_postgres(target, TABLES)
    ask_postgres(target, "REVOKE CREATE ON SCHEMA public FROM PUBLIC")
    ask_postgres(target, "GRANT ALL ON events, visits TO locked")
    url = backed_up(world, source, include_schema=False)
    world.jobs.ports.secrets.values["default/shop"] = target.replace("postgres@", "locked:right@")  # type: ignore[attr-defined]  # in memory
    world.invocation_s = 12
    world.run("restore", database="secret://shop", backup_url=url, options={"validate": False}, tables=["events"])
    assert (world.invocations, ask_postgres(target, "SELECT count(*) FROM events")) == (1, [(3000,)])
