"""Rows out of text files."""

import csv
import io
import json
from collections.abc import Iterator, Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.databases.engine import Form
from shared.databases.formats import Block, blocks, open_text
from shared.errors import Permanent

TEXT = st.text(st.characters(blacklist_categories=["Cs"]) | st.sampled_from(list("\",\n\r\\x0aNUL; '")), max_size=12)


def read(form: Form, body: str | bytes, *, size: int = 7, known: Sequence[str] = "abc", typed: bool = False) -> Block:
    """The rows, the file coming in pieces of `size` bytes."""
    data = body.encode() if isinstance(body, str) else body
    pieces = (data[offset : offset + size] for offset in range(0, len(data), size))
    file = open_text(form, pieces, "file", known=list(known), typed=typed, numbers=True)
    return [row for _, block in file.rows for row in block]


@settings(deadline=None)  # a loaded machine is no fault
@given(rows=st.lists(st.tuples(TEXT, TEXT, TEXT), max_size=8), size=st.integers(1, 40))
def test_csv_is_read_as_the_standard_library_writes_it(rows: list[tuple[str, str, str]], size: int) -> None:
    out = io.StringIO()
    writer = csv.writer(out, quoting=csv.QUOTE_ALL, lineterminator="\n")
    writer.writerows([("a", "b", "c"), *rows])
    assert read("csv", out.getvalue(), size=size) == rows


@settings(deadline=None)  # a loaded machine is no fault
@given(rows=st.lists(st.tuples(TEXT), max_size=8), size=st.integers(1, 40))
def test_json_lines_are_read_however_they_are_cut(rows: list[tuple[str]], size: int) -> None:
    body = "".join(json.dumps({"a": value}, ensure_ascii=False) + "\n" for (value,) in rows)
    assert read("jsonl", body, size=size) == rows


@settings(deadline=None)  # a loaded machine is no fault
@given(
    rows=st.lists(st.tuples(TEXT, st.none() | st.integers() | st.binary(max_size=4)), max_size=8),
    size=st.integers(1, 40),
)
def test_inserts_are_read_however_they_are_cut(rows: list[tuple[str, int | bytes | None]], size: int) -> None:
    def literal(value: str | int | bytes | None) -> str:
        if isinstance(value, str):
            return "'" + value.replace("'", "''") + "'"
        return f"X'{value.hex()}'" if isinstance(value, bytes) else "NULL" if value is None else str(value)

    lines = (f'INSERT INTO "t" ("a", "b""\n") VALUES ({literal(a)}, {literal(b)});\n' for a, b in rows)
    assert read("sql", "".join(lines), size=size) == rows


@pytest.mark.parametrize(
    ("cell", "value"),
    [
        ("", None),
        ('""', ""),
        ("12", 12),
        ("-12", -12),
        ("1.0", 1.0),
        ("1e5", 1e5),
        ("inf", float("inf")),
        ('"12"', "12"),
        ("\\x00fF", b"\x00\xff"),
        ('"\\x00"', "\\x00"),
        ("\\x", b""),
    ],
)
def test_in_a_typed_csv_quotes_tell_texts_from_the_rest(cell: str, value: object) -> None:
    (only,) = read("csv", f"a,b\n{cell},x\n".replace(",x", ',"x"'), typed=True)
    assert only == (value, "x")
    assert type(only[0]) is type(value)


def test_a_column_of_fractions_keeps_its_integers_apart() -> None:
    rows = read("csv", "a\n1.5\n2\n3.0\n", typed=True, size=99)
    assert [repr(row[0]) for row in rows] == ["1.5", "2", "3.0"]


@pytest.mark.parametrize(
    "line",
    ["1,2,3", "1", '1,"2', '1,2"', '"1"2,3', "1,2\r3"],
)
def test_a_csv_line_that_is_no_row_is_told_and_the_others_are_read(line: str) -> None:
    good, *others = read("csv", f"a,b\n0,0\n{line}\n")
    assert good == ("0", "0")
    assert [type(other) for other in others] == [str]


@pytest.mark.parametrize("line", ["{", "[1]", "1", '{"a": 1}, {"a": 2}', '{"z": 1}', '{"a":' + "[" * 9_999])
def test_a_json_line_that_is_no_row_is_told_and_the_others_are_read(line: str) -> None:
    rows = read("jsonl", f'{{"a": 1}}\n{line}\n{{"a": 2}}\n', size=99_999)
    assert (rows[0], type(rows[1]), rows[2]) == ((1,), str, (2,))


def test_a_key_that_is_missing_is_null() -> None:
    assert read("jsonl", '{"a": 1, "b": 2}\n{"b": 3}\n', size=99) == [(1, 2), (None, 3)]


def test_fractions_stay_as_they_are_written_where_numbers_are_not_asked_for() -> None:
    body = b'{"a": 0.10, "b": -0, "c": {"n": 0.10}}\n'
    file = open_text("jsonl", iter([body]), "file", known=["a", "b", "c"], typed=False, numbers=False)
    assert [row for _, block in file.rows for row in block] == [("0.10", "-0", '{"n": 0.1}')]


def test_a_quote_that_never_ends_does_not_fill_the_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(blocks, "RECORD_CHARS_MAX", 1_000)

    def endless() -> Iterator[bytes]:
        yield b'a,b\n1,"'
        while True:
            yield b"x\n" * 100

    file = open_text("csv", endless(), "file", known=[], typed=False, numbers=True)
    with pytest.raises(Permanent, match="corrupt_artifact"):
        list(file.rows)


@pytest.mark.parametrize("body", ["", "\n1,2\n", '"",b\n', "a,a\n1,2\n"])
def test_a_header_names_every_column_once(body: str) -> None:
    assert read("csv", "a,b") == []
    with pytest.raises(Permanent, match="corrupt_artifact"):
        read("csv", body)
