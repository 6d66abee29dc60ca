"""JSON lines: one object a line, its keys the columns. {"$hex": "0aff"} is a blob."""

import json
from collections.abc import Callable, Iterator, Sequence
from itertools import chain
from operator import itemgetter
from typing import cast

from shared.databases.engine import Row, Value
from shared.databases.formats.blocks import Block, TextFile, skipped

Decode = Callable[[str], object]


def open_jsonl(blocks: Iterator[str], known: Sequence[str], skip_chars: int, *, numbers: bool) -> TextFile:
    decode = (json.JSONDecoder() if numbers else json.JSONDecoder(parse_float=str, parse_int=str)).decode
    first = next(blocks, "")
    keys = _keys(first, decode)
    columns = [name for name in known if name in keys]
    rest = ((len(block), block) for block in skipped(chain([first], blocks), skip_chars))
    return TextFile(columns, rest, ((chars, _objects(columns, decode, block)) for chars, block in rest))


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


def unhexed(value: object) -> object:
    """{"$hex": "0aff"} → the blob; anything else as it is."""
    return bytes.fromhex(value["$hex"]) if isinstance(value, dict) and value.keys() == {"$hex"} else value
