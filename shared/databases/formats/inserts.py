"""INSERT statements as we write them, one a row. They are read, never executed."""

import re
from collections.abc import Iterator, Sequence
from itertools import chain
from typing import Final

from shared.databases.engine import Value
from shared.databases.formats.blocks import RECORD_CHARS_MAX, Block, TextFile, corrupt, skipped
from shared.databases.formats.values import number, numbers, rows_of

_NAME: Final = r'"(?:[^"]|"")+"'
_HEAD: Final = re.compile(rf"INSERT INTO (?:{_NAME}\.)?{_NAME} \(({_NAME}(?:, {_NAME})*)\) VALUES \(")
_LITERAL: Final = r"(X?'[^']*+(?:''[^']*+)*+'|[^',()\s;]++)"
_WORDS: Final[dict[str, Value]] = {"NULL": None, "true": True, "false": False}


def open_inserts(texts: Iterator[str], name: str, skip_chars: int) -> TextFile:
    first, head = "", None
    while head is None and len(first) < RECORD_CHARS_MAX and (text := next(texts, None)) is not None:
        first += text
        head = _HEAD.match(first)
    if first and not head:
        raise corrupt(name, "it does not begin with an INSERT as we write it")
    columns = [part[1:-1].replace('""', '"') for part in re.findall(_NAME, head[1])] if head else []
    row = re.compile(re.escape(head[0] if head else "") + ", ".join([_LITERAL] * len(columns)) + r"\);\n")
    rest = skipped(chain([first], texts), skip_chars)
    return TextFile(columns, ((len(text), text) for text in rest), _inserts(row, rest, name))


def _inserts(row: re.Pattern[str], texts: Iterator[str], name: str) -> Iterator[tuple[int, Block]]:
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
        whole = rows_of(_values, zip(*found, strict=True))
        if whole is None or len(held) > RECORD_CHARS_MAX:
            raise corrupt(name, "a value or a statement is none that we write")
        yield end, whole
    if held:
        raise corrupt(name, "a statement is none that we write, or has no end")


def _values(values: Sequence[str]) -> Sequence[Value]:
    return numbers(values) or [_value(value) for value in values]


def _value(value: str) -> Value:
    if value[0] == "'":
        return value[1:-1].replace("''", "'")
    if value in _WORDS:
        return _WORDS[value]
    return bytes.fromhex(value[2:-1]) if value.startswith("X'") else number(value)
