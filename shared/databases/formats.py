"""Rows out of text files: CSV, JSON lines, and the INSERT statements that we write. Nothing of a file is ever executed.

A file is taken in blocks that end where a row ends; a block's rows are found by one regular expression or one JSON
decoder, and converted column by column. Only a block that does not fit as a whole is looked at row by row.

CSV is RFC 4180 with a header: nothing between two commas is NULL, "" is an empty text. In a `typed` file (SQLite's)
quotes also tell texts from numbers, and \\x0aff without quotes is a blob. In JSON lines {"$hex": "0aff"} is a blob.
"""

import codecs
import csv
import io
import json
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import chain
from operator import itemgetter
from typing import Final, cast

from shared.databases.engine import Form, Row, Value
from shared.errors import Permanent

RECORD_CHARS_MAX: Final = 64 << 20

Block = list[Row | str]
"""Rows; a text instead of a row says why it could not be read."""

Convert = Callable[[Sequence[str]], Sequence[Value]]
Decode = Callable[[str], object]

_CSV_VALUE: Final = r'("[^"]*+(?:""[^"]*+)*+"|[^",\r\n]*+)'
_CSV_RECORD: Final = re.compile(r'(?:"[^"]*+"|[^"\n]++)*+\n|.+', re.DOTALL)
_SQL_VALUE: Final = r"(X?'[^']*+(?:''[^']*+)*+'|[^',()\s;]++)"
_SQL_RECORD: Final = re.compile(r"(?:'[^']*+'|[^'\n]++)*+\n|.+", re.DOTALL)
_NAME: Final = r'"((?:[^"]|"")+)"'
_SQL_HEAD: Final = re.compile(rf"INSERT INTO (?:{_NAME}\.)?{_NAME} \((.*?)\) VALUES \(")


@dataclass(frozen=True, slots=True)
class TextFile:
    """`columns` as the file names them; `blocks` of whole rows without a header; `read` makes rows of a block."""

    columns: list[str]
    blocks: Iterator[str]
    read: Callable[[str], Block]


def open_text(form: Form, pieces: Iterator[bytes], name: str, *, typed: bool, floats: bool) -> TextFile:
    """`pieces` of the file, uncompressed. `floats`: JSON's fractions as float, else as the text they are (exact).

    Raises Permanent("corrupt_artifact") where the file is not of this form at all.
    """
    blocks = _blocks(_texts(pieces, name), _QUOTE[form], name)
    first = next(blocks, "")
    match form:
        case "csv":
            head = _CSV_RECORD.match(first)
            columns = next(csv.reader(io.StringIO(head[0])), []) if head else []
            if not all(columns) or not head:
                raise _corrupt(name, "it does not begin with a CSV header")
            read = partial(_matched, _csv_row(len(columns)), _CSV_RECORD, _csv_typed if typed else _csv_texts)
            return TextFile(columns, chain([first[head.end() :]], blocks), read)
        case "sql":
            found = _SQL_HEAD.match(first)
            if first and not found:
                raise _corrupt(name, "it does not begin with an INSERT as we write it")
            columns = [part.replace('""', '"') for part in re.findall(_NAME, found[3])] if found else []
            row = _sql_row(found[0] if found else "", len(columns))
            return TextFile(columns, chain([first], blocks), partial(_matched, row, _SQL_RECORD, _sql_values))
        case "jsonl":
            decode = json.JSONDecoder(parse_float=float if floats else str).decode
            columns = _keys(first, decode)
            return TextFile(columns, chain([first], blocks), partial(_objects, columns, decode))


def unhexed(value: object) -> Value:
    """A JSON value as a database takes it: {"$hex": …} is a blob, other objects and arrays are JSON texts."""
    if isinstance(value, dict) and value.keys() == {"$hex"}:
        return bytes.fromhex(value["$hex"])
    return json.dumps(value, ensure_ascii=False) if isinstance(value, dict | list) else cast("Value", value)


# --- blocks -----------------------------------------------------------------------------------------------------------

_QUOTE: Final[dict[Form, str]] = {"csv": '"', "sql": "'", "jsonl": ""}


def _texts(pieces: Iterator[bytes], name: str) -> Iterator[str]:
    decoder = codecs.getincrementaldecoder("utf-8-sig")()
    try:
        for piece in pieces:
            yield decoder.decode(piece)
        yield decoder.decode(b"", final=True)
    except UnicodeDecodeError:
        raise _corrupt(name, "it is not UTF-8") from None


def _blocks(texts: Iterator[str], quote: str, name: str) -> Iterator[str]:
    """Texts cut after the last newline outside quotes; the last block gets one if it has none."""
    held = ""
    for text in texts:
        held += text
        end = _last_break(held, quote) + 1
        if end:
            yield held[:end]
            held = held[end:]
        if len(held) > RECORD_CHARS_MAX:
            raise _corrupt(name, "a quote never ends, or a row is too long")
    if held:
        yield held + "\n"


def _last_break(text: str, quote: str) -> int:
    """Where the last newline is that has an even number of quotes before it; -1 if there is none."""
    end = text.rfind("\n")
    while quote and end >= 0 and text.count(quote, 0, end) % 2:
        end = text.rfind("\n", 0, text.rfind(quote, 0, end))
    return end


# --- rows -------------------------------------------------------------------------------------------------------------


def _csv_row(columns: int) -> re.Pattern[str]:
    return re.compile(",".join([_CSV_VALUE] * columns) + r"\r?\n|(.)", re.DOTALL)


def _sql_row(head: str, columns: int) -> re.Pattern[str]:
    return re.compile(re.escape(head) + ", ".join([_SQL_VALUE] * columns) + r"\);\n|(.)", re.DOTALL)


def _matched(row: re.Pattern[str], record: re.Pattern[str], convert: Convert, block: str) -> Block:
    """The last group of `row` catches a character that belongs to no row."""
    found = row.findall(block)
    *columns, strays = zip(*found, strict=True) if found else [()]
    whole = None if any(strays) else _converted(convert, columns)
    if whole is not None:
        return whole
    return [_matched_one(row, text, convert) for text in record.findall(block) if text.strip() or row.groups == 2]


def _converted(convert: Convert, columns: Iterable[Sequence[str]]) -> Block | None:
    """None if some value is bad."""
    try:
        return list(zip(*map(convert, columns), strict=True))
    except ValueError:
        return None


def _matched_one(row: re.Pattern[str], record: str, convert: Convert) -> Row | str:
    found = row.fullmatch(record)
    if not found or found[row.groups]:
        return "not as many values as columns, or a stray quote"
    try:
        return tuple(convert([value])[0] for value in found.groups()[:-1])
    except ValueError as error:
        return str(error)


def _objects(columns: list[str], decode: Decode, block: str) -> Block:
    lines = block.split("\n")[:-1]
    whole = _all_objects(columns, decode, lines)
    if whole is not None:
        return whole
    return [_object(columns, decode, line) for line in lines if line.strip()]


def _all_objects(columns: list[str], decode: Decode, lines: list[str]) -> Block | None:
    """None if some line is not an object with these keys, and no others."""
    try:
        objects = cast("list[dict[str, Value]]", list(map(decode, lines)))
        values = [_scalars(name, list(map(itemgetter(name), objects)), lines) for name in columns]
        same_keys = sum(map(len, objects)) == len(columns) * len(objects)
        return list(zip(*values, strict=True)) if same_keys else None
    except (ValueError, KeyError, TypeError, RecursionError):
        return None


def _object(columns: list[str], decode: Decode, line: str) -> Row | str:
    """A key that is not there is NULL; one that no row of the first block has is refused."""
    try:
        found = decode(line)
    except (ValueError, RecursionError):
        return "not JSON"
    if not isinstance(found, dict):
        return "not a JSON object"
    if unknown := found.keys() - set(columns):
        return f"unknown key {min(unknown)!r}"
    return tuple(_scalar(name, found.get(name), line) for name in columns)


def _scalars(name: str, values: list[Value], lines: list[str]) -> list[Value]:
    if {dict, list}.isdisjoint(map(type, values)):
        return values
    return [_scalar(name, value, line) for value, line in zip(values, lines, strict=True)]


def _scalar(name: str, value: object, line: str) -> Value:
    """What is nested is read again from its line, for the fractions inside are to stay numbers."""
    return unhexed(json.loads(line)[name] if isinstance(value, dict | list) else value)


def _keys(block: str, decode: Decode) -> list[str]:
    """Of the first block's objects, in the order they come up."""
    found: dict[str, None] = {}
    for line in block.split("\n"):
        try:
            row = decode(line)
        except (ValueError, RecursionError):
            continue  # told about when its turn comes
        if isinstance(row, dict):
            found |= dict.fromkeys(row)
    return list(found)


# --- values -----------------------------------------------------------------------------------------------------------


def _csv_texts(values: Sequence[str]) -> Sequence[Value]:
    return [None if v == "" else v[1:-1].replace('""', '"') if v[0] == '"' else v for v in values]


def _csv_typed(values: Sequence[str]) -> Sequence[Value]:
    return _numbers(values) or [_csv_value(value) for value in values]


def _csv_value(value: str) -> Value:
    if value == "":
        return None
    if value[0] == '"':
        return value[1:-1].replace('""', '"')
    return bytes.fromhex(value[2:]) if value.startswith("\\x") else _number(value)


_INTEGER: Final = re.compile(r"-?\d+")
_SQL_WORDS: Final[dict[str, Value]] = {"NULL": None, "true": True, "false": False}


def _sql_values(values: Sequence[str]) -> Sequence[Value]:
    return _numbers(values) or [_sql_value(value) for value in values]


def _sql_value(value: str) -> Value:
    if value[0] == "'":
        return value[1:-1].replace("''", "'")
    if value in _SQL_WORDS:
        return _SQL_WORDS[value]
    return bytes.fromhex(value[2:-1]) if value.startswith("X'") else _number(value)


def _number(value: str) -> int | float:
    try:
        return int(value)
    except ValueError:
        return float(value)


def _numbers(values: Sequence[str]) -> list[int] | list[float] | None:
    """All of a column at once, if it is all integers or all fractions. (2.0 may have been the integer 2.)"""
    try:
        if values and _INTEGER.fullmatch(values[0]):
            return list(map(int, values))
        fractions = list(map(float, values))
    except ValueError:
        return None
    return None if any(map(float.is_integer, fractions)) else fractions


def _corrupt(name: str, why: str) -> Permanent:
    return Permanent("corrupt_artifact", f"{name}: {why}")
