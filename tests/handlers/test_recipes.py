"""The recipe import: a note, one job a line, and the same rows however often and however badly it goes."""

import asyncio
import codecs
import gzip
import json
import sqlite3
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import psycopg
import pytest
from aiohttp import web

from handlers.jobs.import_note import import_note
from handlers.jobs.parse_ingredient import parse_ingredient as parse_ingredient_job
from infra.testing import Drained, Longshore
from shared.errors import Permanent
from shared.net.transfer import download
from shared.outcomes import Failed
from shared.payloads.base import Payload
from shared.payloads.import_note import HTML_BYTES_MAX, ImportNotePayload
from shared.payloads.parse_ingredient import LinePlace, ParseIngredientPayload
from shared.recipes import store
from shared.recipes.ingredients import parse_ingredient
from shared.recipes.notes import read_note
from shared.recipes.notes_model import NoteLine
from shared.recipes.saving import saving
from shared.status import Status
from tests.databases import Jobs, ask_postgres, ask_sqlite
from tests.https import loopback, serving
from tests.recipes import LASAGNE

TABLES = {
    "recipe_notes": "SELECT note_id, title, source, created, status FROM recipe_notes ORDER BY 1",
    "recipe_lines": "SELECT note_id, kind, position, block, l.text, formatted, status, pattern FROM recipe_lines l "
    "LEFT JOIN recipe_patterns p ON p.id = pattern_id ORDER BY 1, 2, 3",
    "recipe_segments": "SELECT note_id, line_kind, position, number, kind, rule, starts, ends, text, name, low, high, "
    "unit, base_low, base_high, base_unit FROM recipe_segments LEFT JOIN recipe_ingredients ON id = ingredient_id "
    "ORDER BY 1, 2, 3, 4",
    "recipe_ingredients": "SELECT name FROM recipe_ingredients ORDER BY 1",
    "recipe_patterns": "SELECT pattern FROM recipe_patterns ORDER BY 1",
    "recipe_labels": "SELECT note_id, kind, label, why FROM recipe_labels ORDER BY 1, 2, 3",
}


@pytest.fixture
def cookbook(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'cookbook.db'}"


def contents(url: str) -> dict[str, list[tuple[Any, ...]]]:  # Any: whatever is in a database
    ask = ask_sqlite if url.startswith("sqlite") else ask_postgres
    return {table: ask(url, query) for table, query in TABLES.items()}


def imported(longshore: Longshore, html: str, cookbook: str) -> dict[str, Any]:  # Any: a JSON document
    job = longshore.submit(ImportNotePayload(html=html, database=cookbook))
    longshore.drain()
    assert longshore.job(job).status is Status.SUCCESS, longshore.job(job)
    result = longshore.result(job).data.result
    assert isinstance(result, dict)
    return result


def test_a_note_becomes_a_recipe_one_job_a_line(longshore: Longshore, cookbook: str) -> None:
    job = longshore.submit(ImportNotePayload(html=LASAGNE, database=cookbook))
    assert longshore.drain() == Drained(succeeded=1 + 7 + 3 + 1)
    found = contents(cookbook)
    assert [row[1:] for row in found["recipe_notes"]] == [
        ("Grandma's Lasagne", "https://example.com/lasagne", "2020-01-02 10:11:12 +0000", "complete")
    ]
    assert [row[3:5] for row in found["recipe_lines"]][:5] == [
        ("For the sauce", "1 1/2 lbs ground beef"),
        ("For the sauce", "2 28-oz cans crushed tomatoes"),
        ("For the sauce", "3 cloves garlic, minced"),
        ("For the sauce", "salt to taste"),
        ("For the rest", "12 lasagne noodles"),
    ]
    labels = {row[1:3] for row in found["recipe_labels"]}
    assert labels == {("category", "pasta"), ("tag", "beef"), ("tag", "italian"), ("tag", "sunday")}
    result: Any = longshore.result(job).data.result  # Any: a JSON document
    assert result["data"]["lines"] == {"parsed": 9, "partly": 1}
    assert result["data"]["not_understood"] == ["1 egg (beaten) with 1 tbsp water"]


def test_every_line_can_be_read_again_from_its_segments(longshore: Longshore, cookbook: str) -> None:
    imported(longshore, LASAGNE, cookbook)
    texts: dict[tuple[str, int], str] = {}
    for _, kind, position, _, _, _, starts, ends, text, *_ in contents(cookbook)["recipe_segments"]:
        assert ends - starts == len(text)
        texts[kind, position] = texts.get((kind, position), "") + text
    assert texts == {row[1:3]: row[4] for row in contents(cookbook)["recipe_lines"]}


def test_the_same_note_again_is_a_no_op_that_says_so(longshore: Longshore, cookbook: str) -> None:
    imported(longshore, LASAGNE, cookbook)
    before = contents(cookbook)
    other = LASAGNE.replace("<div>", "<p>").replace("Italian, sunday", "new")
    again = imported(longshore, other, cookbook)
    assert (again["status"], again["data"]["duplicate"]) == ("no-op", True)
    assert contents(cookbook) == before


def test_patterns_are_counted_across_notes_and_once_a_line(longshore: Longshore, cookbook: str) -> None:
    notes = [f"<h1>{name}</h1><ul><li>1 cup {name}</li></ul><ol><li>Eat.</li></ol>" for name in ("rice", "oats")]
    first, second = (imported(longshore, note, cookbook) for note in notes)
    assert {"pattern": "number + unit + ingredient", "uses": 1} in first["data"]["patterns"]
    assert {"pattern": "number + unit + ingredient", "uses": 2} in second["data"]["patterns"]
    place = LinePlace(database=cookbook, note_id=second["data"]["note_id"], position=0)
    longshore.submit(ParseIngredientPayload(text="1 cup oats", save=place))
    assert longshore.drain() == Drained(succeeded=1)
    third = imported(longshore, notes[0].replace("rice", "barley"), cookbook)
    assert {"pattern": "number + unit + ingredient", "uses": 3} in third["data"]["patterns"]


def test_whoever_watches_sees_the_lines_come_in(longshore: Longshore, cookbook: str) -> None:
    job = longshore.submit(ImportNotePayload(html=LASAGNE, database=cookbook))
    longshore.drain()
    told: dict[tuple[str, int, str], None] = {}
    for record in longshore.world.jobs.stream:
        row = record.new
        if row is not None and row.job_id == job.job_id and row.progress:
            progress = json.loads(row.progress)
            told[progress["message"], progress["indent_level"], progress["context"]] = None
    assert list(told) == [
        ("0/7 ingredients", 1, "Grandma's Lasagne"),
        ("4/7 ingredients", 1, "Grandma's Lasagne"),
        ("1/3 instructions", 1, "Grandma's Lasagne"),
        ("3/3 instructions", 1, "Grandma's Lasagne"),
    ]


def test_a_line_that_could_not_be_saved_is_run_again_by_a_redrive(longshore: Longshore, cookbook: str) -> None:
    imported(longshore, "<ul><li>1 egg</li></ul><ol><li>Boil.</li></ol>", cookbook)
    path = cookbook.removeprefix("sqlite:///")
    with sqlite3.connect(path) as connection:
        connection.execute(
            "CREATE TRIGGER no_garlic BEFORE INSERT ON recipe_ingredients WHEN NEW.name = 'garlic' "
            "BEGIN SELECT RAISE(ABORT, 'no garlic'); END"
        )
    connection.close()
    job = longshore.submit(ImportNotePayload(html=LASAGNE, database=cookbook))
    longshore.drain(with_scheduled=True)
    assert longshore.job(job).status is Status.PARTIAL_SUCCESS
    errors = longshore.result(job).data.details["errors"]
    assert errors == [{"table": "ingredients", "row": 2, "code": "constraint_violation", "message": "no garlic"}]
    assert ("importing",) in ask_sqlite(cookbook, "SELECT status FROM recipe_notes")
    with sqlite3.connect(path) as connection:
        connection.execute("DROP TRIGGER no_garlic")
    connection.close()
    longshore.redrive(job)
    drained = longshore.drain(with_scheduled=True)
    assert drained.succeeded == 4, "the runtime's end of its last life; the line, the labels, the note"
    assert set(ask_sqlite(cookbook, "SELECT status FROM recipe_notes")) == {("complete",)}
    assert ask_sqlite(cookbook, "SELECT count(*) FROM recipe_lines WHERE status = 'waiting'") == [(0,)]


def test_an_import_leaves_the_same_rows_wherever_it_is_killed(longshore: Longshore, tmp_path: Path) -> None:
    html = "<h1>Toast</h1><p>2 slices bread or 1 bagel</p>"
    seen: list[object] = []

    def check(_kit: Longshore) -> None:
        seen.append(contents(f"sqlite:///{tmp_path / 'toast.db'}"))
        assert seen[-1] == seen[0]
        for file in tmp_path.glob("toast.db*"):
            file.unlink()

    payload: Payload = ImportNotePayload(html=html, database=f"sqlite:///{tmp_path / 'toast.db'}")
    assert longshore.crash_points(payload, check) > 50
    assert seen[0]


@pytest.mark.postgres
def test_postgres_gets_the_same_rows(longshore: Longshore, cookbook: str, new_postgres: Callable[[], str]) -> None:
    url = new_postgres()
    longshore.put_secret("cookbook", url)
    imported(longshore, LASAGNE, "secret://cookbook")
    imported(longshore, LASAGNE, cookbook)
    assert contents(url) == contents(cookbook)


SPICES = ["anise", "basil", "cumin", "dill", "fennel", "ginger", "mint", "sumac"]
IMPORTS = 8


def imported_beside_others(url: str, number: int) -> None:
    """A whole note, in a thread with an event loop of its own, its lines at once; every other one in reverse."""
    spices = " or ".join(SPICES if number % 2 else reversed(SPICES))
    lines = "".join(f"<li>{cups} cups {spices}</li>" for cups in (1, 2, 3))
    note = read_note(f"<h1>Mix {number}</h1><ul>{lines}</ul><ol><li>Mix.</li></ol>".encode())

    async def story() -> None:
        async with saving(url) as database:
            await database.run(store.create_tables)
            await database.run(store.save_note, note, f"job_{number}")
        await asyncio.gather(*(save(line) for line in note.lines if line.kind == "ingredient"))

    async def save(line: NoteLine) -> None:
        async with saving(url) as database:
            await database.run(
                store.save_line, (note.fingerprint, line.kind, line.position), parse_ingredient(line.text)
            )

    asyncio.run(story())


def import_many(url: str) -> None:
    with ThreadPoolExecutor(IMPORTS) as threads:
        for done in [threads.submit(imported_beside_others, url, number) for number in range(IMPORTS)]:
            done.result()
    found = contents(url)
    assert found["recipe_ingredients"] == [(spice,) for spice in SPICES]
    assert len(found["recipe_patterns"]) == 1
    assert len({row[:3] for row in found["recipe_segments"]}) == IMPORTS * 3
    ask = ask_sqlite if url.startswith("sqlite") else ask_postgres
    assert ask(url, "SELECT count(*) FROM recipe_lines WHERE pattern_id IS NOT NULL") == [(IMPORTS * 3,)]


@pytest.mark.postgres
def test_eight_imports_at_once_find_each_ingredient_once_and_none_waits_in_a_circle(
    new_postgres: Callable[[], str],
) -> None:
    import_many(new_postgres())


@pytest.mark.postgres
def test_ingredients_are_locked_in_one_order(new_postgres: Callable[[], str]) -> None:
    """Held up between the first and the last, neither of two has what the other needs next."""
    url = new_postgres()
    waiting = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
    imported_beside_others(url, 0)
    ask_postgres(url, "TRUNCATE recipe_segments, recipe_ingredients CASCADE")
    with ThreadPoolExecutor(2) as threads, psycopg.connect(url) as holder:
        holder.execute("INSERT INTO recipe_ingredients (name) VALUES (%s)", (SPICES[3],))
        done = [threads.submit(imported_beside_others, url, number) for number in (1, 2)]
        while ask_postgres(url, waiting) < [(6,)] and not any(one.done() for one in done):
            pass
        holder.rollback()
        for one in done:
            one.result()
    assert ask_postgres(url, "SELECT count(*) FROM recipe_ingredients") == [(len(SPICES),)]


def test_eight_imports_at_once_share_a_file(cookbook: str) -> None:
    import_many(cookbook)


@pytest.mark.postgres
@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_one_note_by_two_jobs_at_once_is_one_note(
    longshore: Longshore, cookbook: str, new_postgres: Callable[[], str], kind: str, tmp_path: Path
) -> None:
    """Both begin before either is done; each line is parsed by both."""
    url = cookbook if kind == "sqlite" else new_postgres()
    longshore.put_secret("cookbook", url)
    jobs = [longshore.submit(ImportNotePayload(html=LASAGNE, database="secret://cookbook")) for _ in range(2)]
    longshore.drain()
    assert {longshore.job(job).status for job in jobs} == {Status.SUCCESS}
    alone = f"sqlite:///{tmp_path / 'alone.db'}"
    imported(longshore, LASAGNE, alone)
    assert contents(url) == contents(alone)


@pytest.mark.parametrize(
    ("fields", "code", "field"),
    [
        ({"html": "<html></html>"}, "no_recipe", "html"),
        ({"html": " "}, "no_recipe", "html"),
        ({"html": "<!--"}, "no_recipe", "html"),
        ({"html": "<ul>" + "<li>1 egg" * 1001}, "too_large", "html"),
        ({"html": f"<h3>Ingredients</h3><p>{'x ' * 6000}"}, "too_large", "html"),
        ({"url": "https://127.0.0.1/note.html"}, "address_refused", "url"),
        ({"url": "s3://memory/artifacts/other/note.html"}, "no_such_artifact", "url"),
        ({"html": LASAGNE, "database": "secret://nobodys"}, "no_such_secret", "database"),
        ({"html": LASAGNE, "database": "sqlite:////nowhere/at/all.db"}, "database_unreachable", None),
    ],
    ids=lambda value: str(value)[:40],
)
def test_a_bad_note_ends_its_job_with_a_reason(
    longshore: Longshore, cookbook: str, fields: dict[str, Any], code: str, field: str | None
) -> None:
    outcome = longshore.perform(import_note, ImportNotePayload(**{"database": cookbook, **fields}))
    assert isinstance(outcome, Failed)
    assert (outcome.code, outcome.permanent) == (code, True)
    assert field is None or outcome.field == field


def test_a_public_server_leads_nobody_inside(cookbook: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def answer(_: web.Request) -> web.Response:
        raise web.HTTPFound("https://169.254.169.254/latest")

    async def run() -> None:
        async with serving(tmp_path, answer) as (url, tls):
            monkeypatch.setattr("handlers.jobs.import_note.download", partial(download, allowed=loopback, tls=tls))
            await Jobs().start("import_note", url=url, database=cookbook)

    with pytest.raises(Permanent) as caught:
        asyncio.run(run())
    assert (caught.value.code, caught.value.field) == ("address_refused", "url")


@pytest.mark.parametrize(
    ("body", "code"),
    [(b"", "no_recipe"), (b"<li>1 egg" + b" " * HTML_BYTES_MAX, "too_large"), (b"\x89PNG\r\n\x1a\n\0", "not_a_note")],
)
def test_a_bad_file_is_told_of_as_the_url_that_it_came_from(
    longshore: Longshore, cookbook: str, body: bytes, code: str
) -> None:
    url = longshore.upload("note.html", body)
    outcome = longshore.perform(import_note, ImportNotePayload(url=url, database=cookbook))
    assert isinstance(outcome, Failed)
    assert (outcome.code, outcome.field, outcome.permanent) == (code, "url", True)


@pytest.mark.parametrize("unit", ["<div>", "<!--", "<a b=c ", "&#1", "<ul><li>", "<table>", "]]>", "<p>1 cup x", "</"])
def test_hostile_markup_is_data_and_takes_no_time(unit: str) -> None:
    html = (unit * (HTML_BYTES_MAX // len(unit) + 1))[:HTML_BYTES_MAX].encode()
    with pytest.raises(Permanent, match=r"no_recipe|too_large"):
        read_note(html)


NOTE = "<ul><li>1½ cups “crème”</li></ul><ol><li>Mix.</li></ol>"
DECLARED = '<meta charset="{}">' + NOTE


@pytest.mark.parametrize(
    "html",
    [
        NOTE.encode(),
        NOTE.encode("utf-8-sig"),
        NOTE.encode("utf-16"),
        codecs.BOM_UTF16_BE + NOTE.encode("utf-16-be"),
        NOTE.encode("windows-1252"),
        DECLARED.format("ISO-8859-1").encode("windows-1252"),
    ],
)
def test_a_note_is_read_in_the_encoding_it_is_in(html: bytes) -> None:
    assert read_note(html).lines[0].text == "1½ cups “crème”"


@pytest.mark.parametrize(
    "html",
    [
        DECLARED.format("koi8-r").encode("windows-1252"),
        DECLARED.format("punycode").encode("windows-1252"),
        NOTE.encode("utf-16-le"),
        b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR",
        gzip.compress(NOTE.encode()),
        codecs.BOM_UTF16_LE + b"<li>" + b"\x00\xd8" * 3,
    ],
)
def test_what_is_no_text_or_of_an_unknown_encoding_is_not_guessed_at(html: bytes) -> None:
    with pytest.raises(Permanent, match="UTF-8"):
        read_note(html)


def test_entities_are_not_expanded_and_files_not_read() -> None:
    bomb = "".join(f"<!ENTITY {name} '{f'&{of};' * 10}'>" for of, name in zip("abcdef", "bcdefg", strict=True))
    dtd = f"<!DOCTYPE x [<!ENTITY a 'lol'><!ENTITY file SYSTEM 'file:///etc/passwd'>{bomb}]>"
    note = read_note(f"{dtd}<h3>Ingredients</h3><p>1 cup &g;</p><p>2 &file;</p>".encode())
    assert [line.text for line in note.lines] == ["1 cup &g;", "2 &file;"]


def test_a_line_of_another_text_is_not_written_over(longshore: Longshore, cookbook: str) -> None:
    note_id = imported(longshore, LASAGNE, cookbook)["data"]["note_id"]
    before = contents(cookbook)
    for note, position in ((note_id, 0), (note_id, 99), ("0" * 32, 0)):
        place = LinePlace(database=cookbook, note_id=note, position=position)
        outcome = longshore.perform(parse_ingredient_job, ParseIngredientPayload(text="1 cup poison", save=place))
        assert isinstance(outcome, Failed)
        assert (outcome.code, outcome.permanent) == ("no_such_line", True)
    assert contents(cookbook)["recipe_segments"] == before["recipe_segments"]
