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
_BLANK_LINE: Final = re.compile(r"^\r?\n", re.MULTILINE)
_SQL_VALUE: Final = r"(X?'[^']*+(?:''[^']*+)*+'|[^',()\s;]++)"
_NAME: Final = r'"(?:[^"]|"")+"'
_SQL_HEAD: Final = re.compile(rf"INSERT INTO (?:{_NAME}\.)?{_NAME} \(({_NAME}(?:, {_NAME})*)\) VALUES \(")


@dataclass(frozen=True, slots=True)
class TextFile:
    """`columns` as the file names them. Take either the `rows`, or the `blocks` of text that they are read from."""

    columns: list[str]
    blocks: Iterator[str]
    rows: Iterator[Block]


def open_text(
    form: Form, pieces: Iterator[bytes], name: str, *, known: Sequence[str], typed: bool, numbers: bool
) -> TextFile:
    """`pieces` of the file, uncompressed. `known`: the table's columns, of which JSON lines may name some.

    `typed`: CSV out of SQLite. `numbers`: JSON's as int and float; otherwise as the text they are, exactly.
    Raises Permanent("corrupt_artifact") where the file is not of this form at all.
    """
    texts = _texts(pieces, name)
    match form:
        case "csv":
            return _open_csv(_blocks(texts, '"', name), name, _csv_typed if typed else _csv_texts)
        case "jsonl":
            decoder = json.JSONDecoder() if numbers else json.JSONDecoder(parse_float=str, parse_int=str)
            return _open_jsonl(_blocks(texts, "", name), decoder.decode, known)
        case "sql":
            return _open_sql(texts, name)


def unhexed(value: object) -> object:
    """{"$hex": "0aff"} → the blob; anything else as it is."""
    return bytes.fromhex(value["$hex"]) if isinstance(value, dict) and value.keys() == {"$hex"} else value


# --- blocks -----------------------------------------------------------------------------------------------------------


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


# --- CSV --------------------------------------------------------------------------------------------------------------


def _open_csv(blocks: Iterator[str], name: str, convert: Convert) -> TextFile:
    first = next(blocks, "")
    head = _CSV_RECORD.match(first)
    columns = next(csv.reader(io.StringIO(head[0])), []) if head else []
    if not columns or not all(columns) or len(set(columns)) < len(columns) or not head:
        raise _corrupt(name, "it does not begin with a CSV header that names each column once")
    row = re.compile(",".join([_CSV_VALUE] * len(columns)) + r"\r?\n|(.)", re.DOTALL)
    rest: Iterator[str] = chain([first[head.end() :]], blocks)
    rest = map(_without_blank_lines, rest) if len(columns) > 1 else rest
    return TextFile(columns, rest, map(partial(_matched, row, convert), rest))


def _without_blank_lines(block: str) -> str:
    """In a file of one column, a blank line is a NULL; in others, nothing."""
    if _BLANK_LINE.search(block) is None:
        return block
    return "".join(record for record in _CSV_RECORD.findall(block) if record.strip("\r\n"))


def _matched(row: re.Pattern[str], convert: Convert, block: str) -> Block:
    """The last group of `row` catches a character that belongs to no row."""
    found = row.findall(block)
    *columns, strays = zip(*found, strict=True) if found else [()]
    whole = None if any(strays) else _converted(convert, columns)
    if whole is not None:
        return whole
    return [_matched_one(row, text, convert) for text in _CSV_RECORD.findall(block)]


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


# --- JSON lines -------------------------------------------------------------------------------------------------------


def _open_jsonl(blocks: Iterator[str], decode: Decode, known: Sequence[str]) -> TextFile:
    first = next(blocks, "")
    keys = _keys(first, decode)
    columns = [name for name in known if name in keys]
    rest = chain([first], blocks)
    return TextFile(columns, rest, map(partial(_objects, columns, decode), rest))


def _objects(columns: list[str], decode: Decode, block: str) -> Block:
    lines = block.split("\n")[:-1]
    whole = _all_objects(columns, decode, lines)
    if whole is not None:
        return whole
    return [_object(columns, decode, line) for line in lines if line.strip()]


def _all_objects(columns: list[str], decode: Decode, lines: list[str]) -> Block | None:
    """All lines as one JSON array. None if some line is not one object with these keys, and no others."""
    try:
        objects = cast("list[dict[str, object]]", decode(f"[{','.join(lines)}]"))
        values = [_scalars(name, list(map(itemgetter(name), objects)), lines) for name in columns]
        same_keys = sum(map(len, objects)) == len(columns) * len(lines)
        return list(zip(*values, strict=True)) if same_keys and len(objects) == len(lines) else None
    except (ValueError, KeyError, TypeError, RecursionError):
        return None


def _object(columns: list[str], decode: Decode, line: str) -> Row | str:
    """A key that is not there is NULL."""
    try:
        found = decode(line)
    except (ValueError, RecursionError):
        return "not JSON"
    if not isinstance(found, dict):
        return "not a JSON object"
    if unknown := found.keys() - set(columns):
        return f"{min(unknown)!r} is no column, or none of the first rows has it"
    return tuple(_scalars(name, [found.get(name)], [line])[0] for name in columns)


def _scalars(name: str, values: list[object], lines: list[str]) -> list[Value]:
    if {dict, list}.isdisjoint(map(type, values)):
        return cast("list[Value]", values)
    return [
        _nested(name, value, line) if isinstance(value, dict | list) else cast("Value", value)
        for value, line in zip(values, lines, strict=True)
    ]


def _nested(name: str, value: object, line: str) -> Value:
    """A blob; or JSON text, read again from its line, for the fractions inside are to stay numbers."""
    blob = unhexed(value)
    return blob if isinstance(blob, bytes) else json.dumps(json.loads(line)[name], ensure_ascii=False)


def _keys(block: str, decode: Decode) -> set[str]:
    found: set[str] = set()
    for line in block.split("\n"):
        try:
            row = decode(line)
        except (ValueError, RecursionError):
            continue  # told about when its turn comes
        if isinstance(row, dict):
            found |= row.keys()
    return found


# --- INSERT statements ------------------------------------------------------------------------------------------------


def _open_sql(texts: Iterator[str], name: str) -> TextFile:
    first, head = "", None
    while head is None and len(first) < RECORD_CHARS_MAX and (text := next(texts, None)) is not None:
        first += text
        head = _SQL_HEAD.match(first)
    if first and not head:
        raise _corrupt(name, "it does not begin with an INSERT as we write it")
    columns = [part[1:-1].replace('""', '"') for part in re.findall(_NAME, head[1])] if head else []
    row = re.compile(re.escape(head[0] if head else "") + ", ".join([_SQL_VALUE] * len(columns)) + r"\);\n")
    rest = chain([first], texts)
    return TextFile(columns, rest, _inserts(row, rest, name))


def _inserts(row: re.Pattern[str], texts: Iterator[str], name: str) -> Iterator[Block]:
    """Any name may be in the statement: rows are found by trying to match the next one, not by looking for its end."""
    held = ""
    for text in texts:
        held += text
        found = []
        end = 0
        while match := row.match(held, end):
            found.append(match.groups())
            end = match.end()
        held = held[end:]
        whole = _converted(_sql_values, zip(*found, strict=True))
        if whole is None or len(held) > RECORD_CHARS_MAX:
            raise _corrupt(name, "a value or a statement is none that we write")
        yield whole
    if held:
        raise _corrupt(name, "a statement is none that we write, or has no end")


# --- values -----------------------------------------------------------------------------------------------------------


def _csv_texts(values: Sequence[str]) -> Sequence[Value]:
    return [None if v == "" else v[1:-1].replace('""', '"') if v[0] == '"' else v for v in values]


def _csv_typed(values: Sequence[str]) -> Sequence[Value]:
    return _numbers(values) or [
        None if v == "" else v[1:-1].replace('""', '"') if v[0] == '"' else _csv_bare(v) for v in values
    ]


def _csv_bare(value: str) -> Value:
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
    """All of a column at once, if it is all integers or all fractions."""
    try:
        if values and _INTEGER.fullmatch(values[0]):
            return list(map(int, values))
        fractions = list(map(float, values))
    except ValueError:
        return None
    integral = (text for text, fraction in zip(values, fractions, strict=True) if fraction.is_integer())
    return None if any(map(_INTEGER.fullmatch, integral)) else fractions


def _corrupt(name: str, why: str) -> Permanent:
    return Permanent("corrupt_artifact", f"{name}: {why}")
