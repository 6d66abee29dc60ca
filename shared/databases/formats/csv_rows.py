"""CSV: RFC 4180 with a header. Nothing between two commas is NULL, `""` is an empty text.

In a `typed` file (out of SQLite) quotes also tell texts from numbers, and \x0aff without quotes is a blob.
"""

import csv
import io
import re
from collections.abc import Iterator, Sequence
from itertools import chain
from typing import Final

from shared.databases.engine import Row, Value
from shared.databases.formats.blocks import Block, TextFile, corrupt, skipped
from shared.databases.formats.values import Convert, number, numbers, rows_of

_CELL: Final = r'("[^"]*+(?:""[^"]*+)*+"|[^",\r\n]*+)'
_RECORD: Final = re.compile(r'(?:"[^"]*+"|[^"\n]++)*+\n|.+', re.DOTALL)
_BLANK_LINE: Final = re.compile(r"^\r?\n", re.MULTILINE)


def open_csv(blocks: Iterator[str], name: str, skip_chars: int, *, typed: bool) -> TextFile:
    first = next(blocks, "")
    head = _RECORD.match(first)
    columns = next(csv.reader(io.StringIO(head[0])), []) if head else []
    if not columns or not all(columns) or len(set(columns)) < len(columns) or not head:
        raise corrupt(name, "it does not begin with a CSV header that names each column once")
    row = re.compile(",".join([_CELL] * len(columns)) + r"\r?\n|(.)", re.DOTALL)
    tidy = _without_blank_lines if len(columns) > 1 else str
    rest = ((len(block), tidy(block)) for block in skipped(chain([first[head.end() :]], blocks), skip_chars))
    convert = _typed if typed else _texts
    return TextFile(columns, rest, ((chars, _matched(row, convert, block)) for chars, block in rest))


def _without_blank_lines(block: str) -> str:
    """In a file of one column, a blank line is a NULL; in others, nothing."""
    if _BLANK_LINE.search(block) is None:
        return block
    return "".join(record for record in _RECORD.findall(block) if record.strip("\r\n"))


def _matched(row: re.Pattern[str], convert: Convert, block: str) -> Block:
    """The last group of `row` catches a character that belongs to no row."""
    found = row.findall(block)
    *columns, strays = zip(*found, strict=True) if found else [()]
    whole = None if any(strays) else rows_of(convert, columns)
    if whole is not None:
        return whole
    return [_matched_one(row, text, convert) for text in _RECORD.findall(block)]


def _matched_one(row: re.Pattern[str], record: str, convert: Convert) -> Row | str:
    found = row.fullmatch(record)
    if not found or found[row.groups]:
        return "not as many values as columns, or a stray quote"
    try:
        return tuple(convert([value])[0] for value in found.groups()[:-1])
    except ValueError as error:
        return str(error)


def _texts(values: Sequence[str]) -> Sequence[Value]:
    return [None if v == "" else v[1:-1].replace('""', '"') if v[0] == '"' else v for v in values]


def _typed(values: Sequence[str]) -> Sequence[Value]:
    return numbers(values) or [
        None if v == "" else v[1:-1].replace('""', '"') if v[0] == '"' else _bare(v) for v in values
    ]


def _bare(value: str) -> Value:
    return bytes.fromhex(value[2:]) if value.startswith("\\x") else number(value)
