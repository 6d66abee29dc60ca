"""`report`: files for people, that no row can make into anything else."""

import csv
import gzip
import io
import json
import re
import xml.etree.ElementTree as ET
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from arro3.core import Array, DataType, Table
from arro3.io import write_parquet

from shared.payloads import read_payload
from shared.payloads.results import ProcessResult
from tests.databases import Jobs, ask_postgres, make_sqlite

FORMATS = ("xlsx", "csv", "html", "pdf")
SALES = """CREATE TABLE sales (month TEXT, orders INTEGER, revenue NUMERIC, share REAL);
INSERT INTO sales VALUES ('2024-01', 1200, 1000.1, 0.25), ('2024-02', 7, 2000.2, 0.5), ('2024-03', NULL, -3.3, 0.25);"""
HOSTILE = [
    "=1+1",
    "+SUM(A1)",
    "-2+3",
    "@cmd",
    "\t=1",
    "\n=1",
    "\uff1d1+1",
    "\uff20cmd",
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    '#panic() #read("/etc/passwd") *b* $x$ [a] \\',
    "https://example.com",
    "</tbody></table>",
    "Ünï Ж λ 漢 🎉",
    "\x0b\x00\ud7ff",
]
COLUMNS = [
    {"name": "month", "title": "Month"},
    {"name": "orders", "format": "integer", "total": "sum"},
    {"name": "revenue", "format": "decimal", "unit": "€", "total": "sum"},
    {"name": "share", "format": "percent", "digits": 1, "total": "average"},
]
PREFIX = "artifacts/default/job_0/1-x/"


@pytest.fixture
def jobs() -> Jobs:
    return Jobs()


@pytest.fixture
def sales(tmp_path: Path) -> dict[str, Any]:
    """A payload's fields."""
    url = make_sqlite(tmp_path / "sales.db", SALES)
    return {"title": "Sales", "database": url, "query": "SELECT * FROM sales ORDER BY month"}


def body_of(jobs: Jobs, result: ProcessResult) -> bytes:
    assert result.artifact is not None
    return jobs.body(result.artifact.url)


def made(jobs: Jobs, fields: dict[str, Any], form: str, **more: Any) -> bytes:  # Any: of any payload
    return body_of(jobs, jobs.run("report", **fields, output_format=form, **more))


def put(jobs: Jobs, name: str, body: str | bytes) -> str:
    jobs.bodies[PREFIX + name] = body.encode() if isinstance(body, str) else body
    return f"s3://memory/{PREFIX}{name}"


def sheet(body: bytes) -> list[list[tuple[str, str]]]:
    """(kind, value) of each cell: kind is s for texts, n for numbers, b for booleans, f for formulas."""
    space = {"m": "http://schemas.openxmlformats.org/spreadsheetml/2006/main"}
    with zipfile.ZipFile(io.BytesIO(body)) as archive:
        assert archive.testzip() is None
        tree = ET.fromstring(archive.read("xl/worksheets/sheet1.xml"))  # noqa: S314  our own
    return [
        [
            (
                "f"
                if cell.find("m:f", space) is not None
                else {"inlineStr": "s", "b": "b"}.get(cell.get("t", ""), "n"),
                "".join(cell.itertext()),
            )
            for cell in row.findall("m:c", space)
        ]
        for row in tree.iter(f"{{{space['m']}}}row")
    ]


def words(pdf: bytes) -> int:
    return len(re.findall(rb"/Type /Page\b", pdf)) or len(re.findall(rb"/Type/Page\b", pdf))


# --- what is in it ----------------------------------------------------------------------------------------------------


def test_a_csv_has_the_rows_exactly(jobs: Jobs, sales: dict[str, Any]) -> None:
    text = made(jobs, sales, "csv", columns=COLUMNS).decode()
    assert text.splitlines() == [
        "Month,orders,revenue,share",
        "2024-01,1200,1000.1,0.25",
        "2024-02,7,2000.2,0.5",
        "2024-03,,-3.3,0.25",
    ]


def test_a_sheet_has_title_parameters_rows_and_totals(jobs: Jobs, sales: dict[str, Any]) -> None:
    rows = sheet(made(jobs, sales, "xlsx", columns=COLUMNS, parameters={"year": 2024, "all": True}))
    assert rows[:3] == [[("s", "Sales")], [("s", "year"), ("s", "2024")], [("s", "all"), ("s", "true")]]
    assert rows[3] == [("s", "Month"), ("s", "orders"), ("s", "revenue"), ("s", "share")]
    assert rows[4] == [("s", "2024-01"), ("n", "1200"), ("n", "1000.1"), ("n", "0.25")]
    assert rows[7] == [("s", "Total"), ("n", "1207"), ("n", "2997"), ("n", "0.3333333333333333")]


def test_a_page_writes_numbers_for_people(jobs: Jobs, sales: dict[str, Any]) -> None:
    page = made(jobs, sales, "html", columns=COLUMNS, parameters={"year": 2024}).decode()
    assert "<dt>year</dt><dd>2024</dd>" in page
    assert '<td class="n">1,200</td><td class="n">1,000.10 €</td><td class="n">25.0 %</td>' in page
    assert '<tfoot><tr><td>Total</td><td class="n">1,207</td><td class="n">2,997.00 €</td>' in page


def test_a_pdf_has_as_many_pages_as_it_takes(jobs: Jobs, tmp_path: Path) -> None:
    url = make_sqlite(tmp_path / "n.db", "CREATE TABLE n (i)", {"n": [(i,) for i in range(200)]})
    body = made(jobs, {"title": "N", "database": url, "query": "SELECT i FROM n"}, "pdf")
    assert (body[:5], words(body) > 1) == (b"%PDF-", True)


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("kind", ["bar", "line", "pie"])
def test_the_same_rows_make_the_same_bytes(sales: dict[str, Any], form: str, kind: str) -> None:
    query = "SELECT month, orders, abs(revenue) AS revenue FROM sales"
    chart = {"kind": kind, "label": "month", "values": ["revenue"]}
    one, other = (made(Jobs(), sales | {"query": query}, form, chart=chart) for _ in range(2))
    assert one == other


def test_no_file_tells_when_it_was_made(jobs: Jobs, sales: dict[str, Any]) -> None:
    with zipfile.ZipFile(io.BytesIO(made(jobs, sales, "xlsx"))) as archive:
        assert {one.date_time[0] for one in archive.infolist()} == {1980}
        assert set(re.findall(rb">(\d{4})-", archive.read("docProps/core.xml"))) == {b"2000"}
    assert re.findall(rb"/(CreationDate|ModDate)|xmp:(Create|Modify)Date", made(jobs, sales, "pdf")) == []


def test_a_sheets_chart_is_one_of_excels_own(jobs: Jobs, sales: dict[str, Any]) -> None:
    chart = {"kind": "line", "label": "month", "values": ["orders", "revenue"], "title": "How it went"}
    with zipfile.ZipFile(io.BytesIO(made(jobs, sales, "xlsx", chart=chart))) as archive:
        drawn = archive.read("xl/charts/chart1.xml").decode()
    assert re.findall(r"<c:f>([^<]+)</c:f>", drawn) == [
        "Report!$A$4:$A$6", "Report!$B$4:$B$6", "Report!$A$4:$A$6", "Report!$C$4:$C$6",
    ]  # fmt: skip
    assert "<c:lineChart>" in drawn


@pytest.mark.parametrize("kind", ["bar", "line", "pie"])
def test_a_pages_chart_is_well_formed_whatever_the_labels_are(jobs: Jobs, tmp_path: Path, kind: str) -> None:
    rows = [(label, place + 1) for place, label in enumerate(HOSTILE)]
    url = make_sqlite(tmp_path / "h.db", "CREATE TABLE h (label, n)", {"h": rows})
    chart = {"kind": kind, "label": "label", "values": ["n"], "title": "<b>&"}
    fields = {"title": "T", "database": url, "query": "SELECT * FROM h", "chart": chart}
    page = made(jobs, fields, "html").decode()
    drawn = ET.fromstring(page[page.index("<svg") : page.index("</svg>") + 6])  # noqa: S314  our own
    assert {element.tag.rpartition("}")[2] for element in drawn.iter()} <= {"svg", "text", "rect", "line", "path"}
    assert made(Jobs(), fields, "pdf")[:5] == b"%PDF-"


def test_zero_rows_make_a_report_of_none(jobs: Jobs, sales: dict[str, Any]) -> None:
    chart = {"kind": "pie", "label": "month", "values": ["orders"]}
    for form in FORMATS:
        result = jobs.run("report", **sales | {"query": "SELECT * FROM sales LIMIT 0"}, output_format=form, chart=chart,
                          columns=COLUMNS)  # fmt: skip
        assert result.data["rows"] == 0


@pytest.mark.postgres
def test_postgres_numbers_and_dates_are_numbers_and_dates(jobs: Jobs, new_postgres: Callable[[], str]) -> None:
    query = """SELECT sum(i * 1.5) AS n, date '2024-02-29' AS day, timestamptz '2024-02-29 12:00+02' AS at, true AS ok,
        '{"a": 1}'::jsonb AS doc, 12345678901234567890 AS long FROM generate_series(1, 3) i"""
    fields = {"title": "P", "database": new_postgres(), "query": query}
    assert sheet(made(jobs, fields, "xlsx"))[2] == [
        ("n", "9"),
        ("n", "45351"),
        ("n", "45351.41666666666"),
        ("b", "1"),
        ("s", '{"a": 1}'),
        ("s", "12345678901234567890"),
    ]
    assert (
        made(jobs, fields, "csv").decode().splitlines()[1].startswith("9.0,2024-02-29,2024-02-29 10:00:00+00:00,true")
    )
    assert ask_postgres(fields["database"], "SELECT 1") == [(1,)]


# --- earlier results --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "body"),
    [
        ("a.csv", "code,n\n007,1\n008,2.5\n"),
        ("a.csv.gz", gzip.compress(b"code,n\n007,1\n008,2.5\n", mtime=0)),
        ("a.jsonl", '{"code": "007", "n": 1}\n{"n": 2.5, "code": "008"}\n'),
    ],
)
def test_a_file_of_the_tenants_own_is_read_as_it_is(jobs: Jobs, name: str, body: str | bytes) -> None:
    fields = {"title": "F", "files": {"a": put(jobs, name, body)}}
    assert made(jobs, fields, "csv").decode().splitlines() == ["code,n", "007,1", "008,2.5"]


def test_files_are_tables_of_one_query(jobs: Jobs, sales: dict[str, Any]) -> None:
    extracted = jobs.run("extract", database=sales["database"], tables=["sales"], output_format="parquet")
    assert extracted.artifact is not None
    files = {"sales": extracted.artifact.url, "names": put(jobs, "n.csv", "month,name\n2024-01,January\n")}
    query = "SELECT name, orders, revenue FROM sales JOIN names USING (month)"
    assert made(jobs, {"title": "J", "files": files, "query": query}, "csv").decode().splitlines() == [
        "name,orders,revenue",
        "January,1200,1000.1",
    ]


@pytest.mark.parametrize(
    ("name", "body", "expected"),
    [
        ("a.csv", "", ("corrupt_artifact", None)),
        ("a.jsonl", "", ("corrupt_artifact", "files.a")),
        ("a.jsonl", '{"a": 1}\n{"a": \n', ("unreadable_row", "files")),
        ("a.csv", 'a,b\n1,"2\n', ("unreadable_row", "files")),
        ("a.csv.gz", b"no gzip", ("corrupt_artifact", None)),
        ("a.parquet", b"no parquet", ("corrupt_artifact", "files.a")),
        ("a.docx", b"", ("unknown_format", "files.a")),
    ],
)
def test_a_file_that_cannot_be_read_is_told(
    jobs: Jobs, name: str, body: str | bytes, expected: tuple[str, str | None]
) -> None:
    error = jobs.fail("report", title="B", files={"a": put(jobs, name, body)})
    assert (error.code, error.field) == expected


def test_another_tenants_file_does_not_exist(jobs: Jobs) -> None:
    url = put(jobs, "a.csv", "a\n1\n").replace("/default/", "/another/")
    error = jobs.fail("report", title="B", files={"a": url})
    assert (error.code, error.field) == ("no_such_artifact", "files.a")


def test_a_bomb_is_refused_before_the_disk_is_full(jobs: Jobs, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shared.databases.scratch.ROOM_BYTES", 1 << 20)
    body = gzip.compress(b"a\n" + (b"0" * 999 + b"\n") * 2_000)
    error = jobs.fail("report", title="B", files={"a": put(jobs, "a.csv.gz", body)})
    assert (error.code, error.field) == ("too_large", "files")


def test_a_bomb_of_parquet_goes_off_where_it_ends_nobody(jobs: Jobs, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shared.parquet.read.MEMORY_BYTES_MAX", 96 << 20)
    body = io.BytesIO()
    write_parquet(
        Table.from_arrays([Array(["x" * (100 << 20)], DataType.utf8())], names=["a"]), body, compression="zstd(1)"
    )
    error = jobs.fail("report", title="B", files={"a": put(jobs, "a.parquet", body.getvalue())})
    assert (error.code, error.field) == ("decompression_bomb", "files.a")


@pytest.mark.parametrize(
    "query", ["DELETE FROM a", "ATTACH '/etc/passwd' AS x", "SELECT load_extension('x')", "PRAGMA x"]
)
def test_a_query_of_files_can_only_read(jobs: Jobs, query: str) -> None:
    error = jobs.fail("report", title="Q", files={"a": put(jobs, "a.csv", "a\n1\n")}, query=query)
    assert (error.code, error.field) == ("query_refused", "query")


# --- hostile rows -----------------------------------------------------------------------------------------------------


def test_no_text_becomes_a_formula_markup_or_code(jobs: Jobs, tmp_path: Path) -> None:
    url = make_sqlite(tmp_path / "h.db", "CREATE TABLE h (v)", {"h": [(text,) for text in HOSTILE]})
    fields: dict[str, Any] = {
        "title": "<script>=1",
        "database": url,
        "query": "SELECT v FROM h",
        "columns": [{"name": "v", "title": "=HYPERLINK(1)"}],
        "parameters": {"<b>": "=1+1"},
    }
    cells = [cell for row in sheet(made(jobs, fields, "xlsx")) for cell in row]
    assert {kind for kind, _ in cells} == {"s"}
    rows = list(csv.reader(io.StringIO(made(jobs, fields, "csv").decode(), newline="")))
    assert [row[0][0] for row in rows[:9]] == ["'"] * 9
    page = made(jobs, fields, "html").decode()
    assert not re.search(r"<(script|img|b)\b|onerror=alert\(1\)>", page.replace("&gt;", ""))
    assert page.count("</table>") == 1
    assert made(jobs, fields, "pdf")[:5] == b"%PDF-"


def test_numbers_below_zero_stay_numbers_in_csv(jobs: Jobs, sales: dict[str, Any]) -> None:
    assert ",-3.3," in made(jobs, sales, "csv").decode()


def test_what_a_format_has_no_room_for_is_shortened_and_told(jobs: Jobs, tmp_path: Path) -> None:
    url = make_sqlite(tmp_path / "l.db", "CREATE TABLE l (v)", {"l": [("x" * 40_000,), (2**62,), (float("inf"),)]})
    fields: dict[str, Any] = {"title": "L", "database": url, "query": "SELECT v FROM l"}
    result = jobs.run("report", **fields, output_format="xlsx")
    assert result.data["cells_shortened"] == 1
    assert [cell for row in sheet(body_of(jobs, result))[3:] for cell in row] == [("s", str(2**62)), ("s", "inf")]
    assert jobs.run("report", **fields, output_format="pdf").data["cells_shortened"] == 1


def test_what_a_pdf_has_no_glyphs_for_is_told(jobs: Jobs, tmp_path: Path) -> None:
    fine = ["Größe €", "Ελλάδα", "Привет", "→ ½ “x”…", "a\nb\tc", "e\u0301", "a\u200bb\u00adc\ufe0f", "", "שלום"]
    rows = [(text,) for text in [*fine, "日本", "ok 😀", "日"]]
    url = make_sqlite(tmp_path / "g.db", "CREATE TABLE g (v)", {"g": rows})
    fields: dict[str, Any] = {"title": "東京", "database": url, "query": "SELECT v FROM g", "parameters": {"ไทย": "ok"}}
    assert jobs.run("report", **fields, output_format="pdf").data["texts_without_glyphs"] == 5
    assert jobs.run("report", **fields, output_format="html").data["texts_without_glyphs"] == 0
    fields |= {"title": "G", "parameters": {}, "query": "SELECT v FROM g LIMIT 9"}
    assert jobs.run("report", **fields, output_format="pdf").data["texts_without_glyphs"] == 0


@pytest.mark.postgres
@pytest.mark.parametrize(
    "query",
    [
        "WITH gone AS (DELETE FROM sales RETURNING *) SELECT * FROM gone",
        "SELECT * FROM sales; DELETE FROM sales",
        "SELECT 1) AS q; COMMIT; DELETE FROM sales; --",
        "SELECT empty_it()",
        "SELECT * FROM sales FOR UPDATE",
        "COPY sales TO PROGRAM 'true'",
        "SELECT lo_create(0)",
        "SELECT set_config('transaction_read_only', 'off', false), empty_it()",
    ],
)
def test_no_query_can_write(jobs: Jobs, new_postgres: Callable[[], str], query: str) -> None:
    url = new_postgres()
    ask_postgres(url, SALES)
    ask_postgres(url, "CREATE FUNCTION empty_it() RETURNS int LANGUAGE sql AS 'DELETE FROM sales; SELECT 1'")
    assert jobs.fail("report", title="W", database=url, query=query).code == "query_refused"
    assert ask_postgres(url, "SELECT count(*) FROM sales") == [(3,)]


@pytest.mark.parametrize(("form", "rows"), [("html", 20_001), ("pdf", 2_001)])
def test_more_rows_than_a_format_takes_are_refused_and_no_file_is_left(
    jobs: Jobs, sales: dict[str, Any], form: str, rows: int
) -> None:
    query = f"WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {rows}) SELECT i FROM n"
    error = jobs.fail("report", **sales | {"query": query}, output_format=form)
    assert (error.code, error.field) == ("too_large", "output_format")
    assert jobs.bodies == {}


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"columns": [{"name": "nobody"}]}, ("no_such_column", "columns.0")),
        ({"chart": {"kind": "bar", "label": "nobody", "values": ["orders"]}}, ("no_such_column", "chart")),
        ({"chart": {"kind": "pie", "label": "month", "values": ["revenue"]}}, ("bad_value", "chart.values")),
        ({"query": "SELECT * FROM nobody"}, ("no_such_table", "query")),
        ({"query": "DROP TABLE sales"}, ("query_refused", "query")),
        ({"database": "secret://none"}, ("no_such_secret", "database")),
        ({"database": "postgresql://nobody@127.0.0.1:1/x"}, ("database_unreachable", "database")),
        ({"database": "sqlite:///nowhere/to/be/seen.db"}, ("no_such_database", "database")),
    ],
)
def test_what_cannot_be_reported_is_told(
    jobs: Jobs, sales: dict[str, Any], change: dict[str, object], expected: tuple[str, str]
) -> None:
    error = jobs.fail("report", **(sales | {"output_format": "html"} | change))
    assert (error.code, error.field) == expected


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"database": "sqlite:///a"},
        {"database": "sqlite:///a", "files": {"a": "s3://b/c.csv"}, "query": "SELECT 1"},
        {"files": {"a": "s3://b/c.csv", "b": "s3://b/d.csv"}},
        {"files": {"a": "https://example.com/a.csv"}},
        {"files": {"a": "s3://b/c.csv"}, "chart": {"kind": "pie", "label": "a", "values": ["a", "b"]}},
        {"files": {"a": "s3://b/c.csv"}, "columns": [{"name": "a", "unit": '"'}]},
        {"files": {"a": "s3://b/c.csv"}, "name": "../x"},
    ],
)
def test_a_report_that_makes_no_sense_is_refused_at_the_door(fields: dict[str, object]) -> None:
    with pytest.raises(Exception, match="invalid_payload"):
        read_payload(json.dumps({"type": "report", "title": "T", **fields}))
