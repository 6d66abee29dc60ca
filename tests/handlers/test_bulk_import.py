"""`bulk_import`: good rows and bad ones, in every mode, into either kind of database."""

import asyncio
import gzip
import json
import sqlite3
from collections.abc import Callable
from contextlib import closing
from functools import partial
from itertools import count
from pathlib import Path

import psycopg
import pytest
import zstandard
from aiohttp import web

from shared.databases import compression
from shared.databases.bulk import files
from shared.errors import InvalidInput, LongshoreError, Permanent
from shared.memory.ports import memory_ports
from shared.net import transfer
from shared.outcomes import Partial, Proceed
from shared.payloads import read_payload
from shared.payloads.results import RowError
from tests.databases import Jobs, ask_postgres, ask_sqlite, make_sqlite
from tests.https import loopback, serving
from tests.long_jobs import GlancedAt, LongJobs

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
    assert (len(outcome.errors), outcome.count) == (100, 250)
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
    } in lines(jobs, error.message.partition("see ")[2].partition(", first ")[0])
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


# --- modes ------------------------------------------------------------------------------------------------------------

OLD = "id,Full name,born,member,score\n1,Ada,,,1\n2,Bob,,,2\n"
NEW = "id,Full name,born,member,score\n2,Bobby,,,\n3,Cy,,,3\n3,Cyrus,,,4\n"


def test_an_upsert_changes_by_key_and_the_last_row_counts(jobs: Jobs, database: str, ask: Ask) -> None:
    for body in (OLD, NEW, NEW):
        jobs.run("bulk_import", database=database, mode="upsert", key=["id"], **given(jobs, body))
    assert ask("SELECT id, name, CAST(score AS integer) FROM people ORDER BY id") == [
        (1, "Ada", 1),
        (2, "Bobby", None),
        (3, "Cyrus", 4),
    ]


def test_a_replacement_keeps_what_belongs_to_the_table(jobs: Jobs, database: str, ask: Ask) -> None:
    jobs.run("bulk_import", database=database, **given(jobs, OLD))
    run(database, "CREATE VIEW named AS SELECT name FROM people")
    outcome = jobs.run_partly("bulk_import", database=database, mode="replace", **given(jobs, NEW))
    assert [(error.line, error.code) for error in outcome.errors] == [(4, "constraint_violation")]
    assert ask("SELECT * FROM named ORDER BY name") == [("Bobby",), ("Cy",)]
    assert outcome.result is not None
    assert outcome.result.model_dump()["records_processed"] == 2
    assert stages(database, ask) == []


def test_a_table_that_others_refer_to_is_not_replaced(jobs: Jobs, database: str, ask: Ask) -> None:
    jobs.run("bulk_import", database=database, key=["id"], **given(jobs, OLD))
    run(
        database,
        "CREATE TABLE pets (owner bigint REFERENCES people (id) ON DELETE CASCADE)",
        "INSERT INTO pets VALUES (1)",
    )
    assert jobs.fail("bulk_import", database=database, mode="replace", **given(jobs, NEW)).code == "table_in_use"
    assert ask("SELECT count(*) FROM pets") == [(1,)]


def test_a_replacement_that_fails_leaves_the_old_rows(jobs: Jobs, database: str, ask: Ask) -> None:
    jobs.run("bulk_import", database=database, **given(jobs, OLD))
    error = jobs.fail("bulk_import", database=database, mode="replace", errors_max=0, **given(jobs, NEW))
    assert error.code == "too_many_errors"
    assert ask("SELECT name FROM people ORDER BY id") == [("Ada",), ("Bob",)]


@pytest.mark.parametrize(
    ("options", "code"),
    [
        ({"mode": "upsert", "key": ["name"]}, "no_unique_key"),
        ({"columns": COLUMNS | {"score": {"type": "number", "unique": True}}}, "no_unique_key"),
        ({"columns": COLUMNS | {"extra": {}}}, "no_such_column"),
        ({"table": "nobody", "create": False}, "no_such_table"),
        ({"table": 'x" (id); DROP TABLE people; --', "create": False}, "no_such_table"),
    ],
)
def test_a_table_that_does_not_fit_is_refused(
    jobs: Jobs, database: str, ask: Ask, options: dict[str, object], code: str
) -> None:
    jobs.run("bulk_import", database=database, **given(jobs, OLD))
    assert jobs.fail("bulk_import", database=database, **given(jobs, GOOD) | options).code == code
    assert ask("SELECT count(*) FROM people") == [(2,)]


# --- files that are no good -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"", "empty_file"),
        (gzip.compress(b""), "empty_file"),
        (b"\n\n", "empty_file"),
        (b"id,name\n1,Ada\n", "missing_column"),
        (b"id,id,Full name,born,member,score\n", "missing_column"),
        (gzip.compress(GOOD.encode())[:-9], "corrupt_artifact"),
        (b"id,Full name,born,member,score\n1," + b"x" * (files.ROW_CHARS_MAX + 2), "corrupt_artifact"),
        (b'id,Full name,born,member,score\n1,"' + b'x\n","' * (files.ROW_CHARS_MAX // 2), "corrupt_artifact"),
        (gzip.compress(b"id,Full name,born,member,score\n" + b"1" * (64 << 20)), "corrupt_artifact"),
    ],
    ids=[
        "no_bytes",
        "packed_nothing",
        "blank",
        "no_column",
        "a_name_twice",
        "cut_off",
        "long_row",
        "open_quote",
        "bomb",
    ],
)
def test_a_file_that_is_none_fails_the_job(jobs: Jobs, tmp_path: Path, body: bytes, code: str) -> None:
    url = make_sqlite(tmp_path / "target.db", "")
    error = jobs.fail("bulk_import", database=url, **given(jobs, body))
    assert error.code == code
    assert ask_sqlite(url, "SELECT name FROM sqlite_schema WHERE name = 'people'") == []


@pytest.mark.parametrize("line", [b"1,Ada,,,\n", b"\n"])
def test_a_bomb_is_given_up(jobs: Jobs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, line: bytes) -> None:
    monkeypatch.setattr(compression, "BOMB_BYTES_MIN", 1 << 20)
    url = make_sqlite(tmp_path / "target.db", "")
    fields = given(jobs, gzip.compress(b"id,Full name,born,member,score\n" + line * ((4 << 20) // len(line))))
    fields["columns"] = COLUMNS | {"id": {"type": "integer"}}
    assert jobs.fail("bulk_import", database=url, **fields).code == "decompression_bomb"
    assert ask_sqlite(url, "SELECT name FROM sqlite_schema WHERE name = 'people'") == []


def test_what_is_no_text_is_a_bad_row_and_not_a_bad_file(jobs: Jobs, database: str) -> None:
    body = b"id,Full name,born,member,score\n1,A\xe4,,,\n2,A\0,,,\n" + "٣,Ada,,,\n4,Größe,,,\n".encode()
    outcome = jobs.run_partly("bulk_import", database=database, **given(jobs, body))
    assert told(outcome.errors) == [(2, "name", "bad_text"), (3, "name", "bad_text"), (4, "id", "bad_type")]


def test_json_lines_that_are_none_are_bad_rows(jobs: Jobs, database: str) -> None:
    rows = (
        b'{"id": 1, "Full name": "Ada"}',
        b"[1]",
        b"nonsense",
        b'{"id": 2, "Full name": "B"} {"id": 3, "Full name": "C"}',
        b'{"id": 4, "Full name": "\\ud800"}',
        b"[" * 100_000,
        b'{"id": true, "Full name": "D"}',
        b'{"id": 5, "Full name": "E", "score": NaN}',
        b'{"id": {"a": 1}, "Full name": "F"}',
    )
    outcome = jobs.run_partly("bulk_import", database=database, **given(jobs, b"\n".join(rows)))
    assert told(sorted(outcome.errors, key=lambda error: error.line or 0)) == [
        (2, None, "unreadable_row"),
        (3, None, "unreadable_row"),
        (4, None, "unreadable_row"),
        (5, "name", "bad_text"),
        (6, None, "unreadable_row"),
        (7, "id", "bad_type"),
        (8, "score", "bad_type"),
        (9, "id", "bad_type"),
    ]


def test_a_quote_that_never_ends_costs_the_rows_it_swallows_and_no_more(jobs: Jobs, tmp_path: Path) -> None:
    good = "".join(f"{number},Ada,,,\n" for number in range(10, 200_000))
    body = f'id,Full name,born,member,score\n1,"Ada,,,\n{good}'
    outcome = jobs.run_partly("bulk_import", database=make_sqlite(tmp_path / "target.db", ""), **given(jobs, body))
    assert told(outcome.errors) == [(2, None, "unreadable_row")]
    assert outcome.result is not None
    assert outcome.result.model_dump()["records_processed"] > 90_000


def test_another_tenants_file_is_not_there(jobs: Jobs, tmp_path: Path) -> None:
    url = make_sqlite(tmp_path / "target.db", "")
    fields = given(jobs, GOOD) | {"source": "s3://memory/artifacts/other/uploads/x/people"}
    jobs.bodies["artifacts/other/uploads/x/people"] = GOOD.encode()
    assert jobs.fail("bulk_import", database=url, **fields).code == "no_such_artifact"


def test_an_address_inside_is_refused(jobs: Jobs, tmp_path: Path) -> None:
    url = make_sqlite(tmp_path / "target.db", "")
    fields = given(jobs, GOOD) | {"source": "https://127.0.0.1/rows.csv"}
    assert jobs.fail("bulk_import", database=url, **fields).code == "address_refused"


@pytest.mark.parametrize(
    ("status", "location", "code"),
    [
        (403, "", "download_refused"),
        (404, "", "no_such_artifact"),
        (503, "", "download_failed"),
        (302, "https://169.254.169.254/latest/meta-data/", "address_refused"),
        (302, "http://example.org/rows.csv", "download_refused"),
        (200, "", "empty_file"),
    ],
    ids=["expired_link", "gone", "busy", "redirected_inside", "redirected_to_http", "nothing"],
)
def test_a_source_that_gives_no_file_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, status: int, location: str, code: str
) -> None:
    jobs, url = Jobs(), make_sqlite(tmp_path / "target.db", "")

    async def answer(_request: web.Request) -> web.Response:
        return web.Response(status=status, headers={"Location": location} if location else {})

    async def story() -> None:
        async with serving(tmp_path, answer) as (source, tls):
            monkeypatch.setattr(transfer, "download", partial(transfer.download, allowed=loopback, tls=tls))
            await jobs.start("bulk_import", **given(jobs, "") | {"source": source, "database": url})

    with pytest.raises(LongshoreError) as caught:
        asyncio.run(story())
    assert (caught.value.code, caught.value.field) == (code, "source")
    assert ask_sqlite(url, "SELECT name FROM sqlite_schema WHERE name = 'people'") == []


@pytest.mark.parametrize(
    ("database", "code"),
    [
        ("postgresql://nobody@127.0.0.1:1/x", "database_unreachable"),
        ("secret://none", "no_such_secret"),
    ],
)
def test_a_database_that_is_not_there_is_told(jobs: Jobs, database: str, code: str) -> None:
    error = jobs.fail("bulk_import", database=database, **given(jobs, GOOD))
    assert (error.code, error.field) == (code, "database")


def test_a_file_that_changes_between_two_invocations_is_not_gone_on_with(
    jobs: Jobs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = make_sqlite(tmp_path / "target.db", "")
    monkeypatch.setattr(files, "BATCH_ROWS", 25)
    body = "id,Full name,born,member,score\n" + "".join(f"{number},N,,,\n" for number in range(1, 401))
    tags = iter(('"a"', '"a"', '"b"'))

    async def answer(_request: web.Request) -> web.Response:
        return web.Response(body=gzip.compress(body.encode()), headers={"ETag": next(tags)})

    async def story() -> None:
        async with serving(tmp_path, answer) as (source, tls):
            monkeypatch.setattr(transfer, "download", partial(transfer.download, allowed=loopback, tls=tls))
            fields = given(jobs, "") | {"source": source, "database": url}
            clock, checkpoint = GlancedAt(), None
            jobs.ports = memory_ports(clock)
            for epoch in (1, 2):
                outcome = await jobs.start(
                    "bulk_import",
                    job_id="j",
                    epoch=epoch,
                    checkpoint=checkpoint,
                    ends_at=(clock.looks + 5) * 1000,
                    **fields,
                )
                assert isinstance(outcome, Proceed)
                checkpoint = outcome.checkpoint
            with pytest.raises(Permanent, match="source_changed"):
                await jobs.start("bulk_import", job_id="j", epoch=3, checkpoint=checkpoint, **fields)

    asyncio.run(story())
    ((rows,),) = ask_sqlite(url, "SELECT count(*) FROM people")
    assert 0 < rows < 400


# --- payloads ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("field", "options"),
    [
        ("columns.id.pattern", {"columns": {"id": {"pattern": "(a+"}}}),
        ("columns.id.pattern", {"columns": {"id": {"pattern": "(?=a)"}}}),
        ("columns.id.pattern", {"columns": {"id": {"pattern": "a)|(b"}}}),
        ("columns.id", {"columns": {"id": {"min": 1}}}),
        ("columns.id", {"columns": {"id": {"type": "date", "min": "2024-02-31"}}}),
        ("columns.id", {"columns": {"id": {"type": "timestamp", "min": "1700000000"}}}),
        ("columns.id", {"columns": {"id": {"type": "integer", "max": 1.5}}}),
        ("columns.id", {"columns": {"id": {"type": "integer", "enum": ["1"]}}}),
        ("columns", {"columns": {}}),
        ("(the document)", {"mode": "upsert"}),
        ("(the document)", {"key": ["nobody"]}),
        ("source", {"source": "http://example.org/x.csv"}),
        ("source", {"source": "https://ann:secret@example.org/x.csv"}),
    ],
)
def test_a_payload_that_makes_no_sense_is_refused(field: str, options: dict[str, object]) -> None:
    payload = {"type": "bulk_import", "database": "secret://x", "source": URL, "table": "t", "columns": {"id": {}}}
    with pytest.raises(InvalidInput) as caught:
        read_payload(json.dumps(payload | options))
    assert caught.value.field == field


def test_no_pattern_takes_long(jobs: Jobs, tmp_path: Path) -> None:
    columns = {"id": {"pattern": "(a|a)*(a*)*b"}}
    fields = given(jobs, f"id\n{'a' * 50_000}\naab\n") | {"columns": columns}
    outcome = jobs.run_partly("bulk_import", database=make_sqlite(tmp_path / "target.db", ""), **fields)
    assert told(outcome.errors) == [(2, "id", "no_match")]


# --- many invocations -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["insert", "upsert", "replace"])
@pytest.mark.parametrize("answers_lost", [True, False])
def test_no_row_comes_twice_whoever_is_killed_when(
    place: tuple[str, Ask], monkeypatch: pytest.MonkeyPatch, mode: str, *, answers_lost: bool
) -> None:
    """Killed at each look at the clock in turn; or every invocation that goes on dies before it can say so."""
    database, ask = place
    monkeypatch.setattr(files, "BATCH_ROWS", 25)
    body = "id,Full name,born,member,score\n" + "".join(
        f"{number if number % 50 else 'bad'},N{number},,,\n" for number in range(1, 401)
    )
    wanted = [(number,) for number in range(1, 401) if number % 50]
    for kills_at in [-1] if answers_lost else count(1):
        long = LongJobs(invocation_s=5)
        long.clock.kills_at = kills_at
        fields = given(long.jobs, body)
        run(database, "DROP TABLE IF EXISTS people", "DROP TABLE IF EXISTS longshore_fence")
        outcome = long.run("bulk_import", answers_lost=answers_lost, database=database, mode=mode, key=["id"], **fields)
        assert isinstance(outcome, Partial)
        assert long.invocations > 3
        assert ask("SELECT id FROM people ORDER BY id") == wanted
        assert outcome.result is not None
        result = outcome.result.model_dump()
        assert (result["records_processed"], result["data"]["rows_read"]) == (len(wanted), 400)
        assert [error["line"] for error in lines(long.jobs, result["artifact"]["url"])] == list(range(51, 402, 50))
        assert stages(database, ask) == []
        if not long.deaths:
            assert answers_lost or kills_at > 15
            break


def test_an_invocation_that_is_over_does_not_wait_for_what_it_will_not_load(
    place: tuple[str, Ask], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The file never comes to its end; without the break this test has none either."""
    database, ask = place
    monkeypatch.setattr(files, "BATCH_ROWS", 50_000)
    body = "id,Full name,born,member,score\n" + "".join(f"{number},N,,,\n" for number in range(1, 100_000))

    async def answer(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        await response.write(body.encode())
        await over.wait()
        return response

    over = asyncio.Event()

    async def story() -> object:
        async with serving(tmp_path, answer) as (source, tls):
            monkeypatch.setattr(transfer, "download", partial(transfer.download, allowed=loopback, tls=tls))
            clock = GlancedAt()
            jobs = Jobs(clock)
            fields = given(jobs, "") | {"source": source, "database": database}
            outcome = await jobs.start("bulk_import", ends_at=(clock.looks + 2) * 1000, **fields)
            over.set()
            return outcome

    outcome = asyncio.run(story())
    assert isinstance(outcome, Proceed)
    assert ask("SELECT count(*) FROM people") == [(50_000,)]


def test_the_old_rows_are_there_until_all_new_ones_are(place: tuple[str, Ask], monkeypatch: pytest.MonkeyPatch) -> None:
    database, ask = place
    monkeypatch.setattr(files, "BATCH_ROWS", 25)
    seen: list[object] = []
    long = LongJobs(invocation_s=5)
    long.jobs.run("bulk_import", job_id="first", database=database, **given(long.jobs, OLD))
    long.between = lambda _: seen.append(ask("SELECT name FROM people ORDER BY id"))
    body = "id,Full name,born,member,score\n" + "".join(f"{number},N{number},,,\n" for number in range(10, 400))
    long.run("bulk_import", database=database, mode="replace", **given(long.jobs, body))
    assert len(seen) > 2
    assert all(rows == [("Ada",), ("Bob",)] for rows in seen)
    assert ask("SELECT count(*), min(id) FROM people") == [(390, 10)]


def run(database: str, *statements: str) -> None:
    for statement in statements:
        if database.startswith("sqlite"):
            with closing(sqlite3.connect(database.removeprefix("sqlite:///"))) as connection, connection:
                connection.execute(statement)
        else:
            ask_postgres(database, statement)


def stages(database: str, ask: Ask) -> list[tuple[object, ...]]:
    where = "sqlite_schema WHERE name" if database.startswith("sqlite") else "pg_class WHERE relname"
    return ask(f"SELECT 1 FROM {where} LIKE 'longshore_import%'")
