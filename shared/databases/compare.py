"""When values of two databases are the same, and which of two keys comes first.

What is compared is what the target would hold, so that a sync that is run again finds nothing to do: a number is a
number however it is written, rounded as the target's column rounds; a moment with a zone is a moment; JSON is what it
says. Keys are stricter, for both databases must sort them alike: numbers, then texts by code points, then bytes.
"""

import json
import re
import struct
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from decimal import ROUND_HALF_UP, Context, Decimal, InvalidOperation
from typing import Final

from shared.databases.engine import Value
from shared.databases.schema import Column, Kind, literal, quote
from shared.errors import Permanent

Comparable = str | int | bytes | Decimal | None
Compare = Callable[[Value], Comparable]
"""Two values are the same if it makes the same of them."""

KeyPart = tuple[int, int | Decimal | str | bytes]
Key = tuple[KeyPart, ...]
"""(0, number), (1, text) or (2, bytes) for each of its columns: it sorts as both databases do."""

Meaning = str
_EXACT: Final = Context(prec=10_000)
_PRECEDENCE: Final = ("moment", "local", "date", "json", "uuid", "bool", "number", "text", "plain")
_POSTGRES: Final[dict[str, Meaning]] = {
    **dict.fromkeys(("int2", "int4", "int8", "numeric", "float4", "float8"), "number"),
    **dict.fromkeys(("json", "jsonb"), "json"),
    "timestamptz": "moment",
    "timestamp": "local",
    "date": "date",
    "uuid": "uuid",
    "bool": "bool",
    "bytea": "plain",
}
_AFFINITIES: Final = (("INT", "number"), ("CHAR|CLOB|TEXT", "text"), ("BLOB|^$", "plain"), ("", "number"))
"""https://www.sqlite.org/datatype3.html#determination_of_column_affinity"""

_IN_ORDER: Final = frozenset({"int2", "int4", "int8", "numeric", "float4", "float8", "bool", "bytea", "uuid"})
"""PostgreSQL's types that are sorted as they are; anything else is by its text."""


def comparing(source: Column, source_kind: Kind, target: Column, target_kind: Kind) -> Compare:
    """For a pair of columns."""
    meaning = _meaning(source, source_kind, target, target_kind)
    if meaning == "number" and "float4" in (source.base, target.base):
        return lambda value: _number(_single(value))
    if meaning == "number":
        return _rounding(target)
    return _COMPARE[meaning]


def key_part(source: Column, source_kind: Kind, target: Column, target_kind: Kind) -> Callable[[Value], KeyPart]:
    """For a pair of key columns. What it returns raises Permanent("bad_key") for a value that has no place."""
    numeric = _meaning(source, source_kind, target, target_kind) in ("number", "bool")

    def part(value: Value) -> KeyPart:
        if type(value) is int:  # as most are
            return 0, value
        found = _number(value) if numeric or not isinstance(value, str) else value
        if isinstance(found, bytes):
            return 2, found
        if isinstance(found, str):
            return 1, found
        if found is None or (isinstance(found, Decimal) and not found.is_finite()):
            raise Permanent("bad_key", "neither NULL nor an infinite number can be a key", field="key")
        return 0, found

    return part


def sorting(column: Column, kind: Kind, table: str = "k") -> str:
    """The SQL that a table is sorted by to be in the order of `Key`."""
    name = f"{table}.{quote(column.name)}"
    if kind == "sqlite":
        return f"{name} COLLATE BINARY"
    return name if column.base in _IN_ORDER else f'{name}::text COLLATE "C"'


def key_literal(part: KeyPart, kind: Kind) -> str:
    """The SQL for one column of a key."""
    value = part[1]
    if isinstance(value, bytes):
        return f"X'{value.hex()}'" if kind == "sqlite" else f"'\\x{value.hex()}'"
    if isinstance(value, str):
        return literal(value)
    return f"{value}" if kind == "sqlite" else f"'{value}'"


def key_json(key: Key) -> str:
    return json.dumps([[rank, value.hex() if isinstance(value, bytes) else str(value)] for rank, value in key])


def key_of(text: str) -> Key:
    """What `key_json` was given."""
    return tuple((rank, _FROM_TEXT[rank](value)) for rank, value in json.loads(text))


def plain_key(key: Sequence[KeyPart]) -> str:
    """For a message."""
    return ", ".join(value.hex() if isinstance(value, bytes) else str(value) for _, value in key)


_FROM_TEXT: Final[tuple[Callable[[str], int | Decimal | str | bytes], ...]] = (
    lambda text: int(text) if text.lstrip("-").isdigit() else Decimal(text),
    str,
    bytes.fromhex,
)


def _meaning(source: Column, source_kind: Kind, target: Column, target_kind: Kind) -> Meaning:
    pair = {_of_column(source, source_kind), _of_column(target, target_kind)}
    return next(meaning for meaning in _PRECEDENCE if meaning in pair)


def _of_column(column: Column, kind: Kind) -> Meaning:
    if kind == "postgresql":
        return _POSTGRES.get(column.base, "text")
    return next(meaning for pattern, meaning in _AFFINITIES if re.search(pattern, column.type.upper()))


def _rounding(target: Column) -> Compare:
    """As PostgreSQL's `numeric(P,S)` rounds; other columns hold what they are given."""
    scale = re.search(r",(\d+)\)", target.type) if target.base == "numeric" else None
    if scale is None:
        return _number
    unit = Decimal(1).scaleb(-int(scale[1]))

    def rounded(value: Value) -> Comparable:
        number = _number(value)
        if not isinstance(number, Decimal) or not number.is_finite():
            return number
        try:
            return number.quantize(unit, ROUND_HALF_UP, _EXACT)
        except InvalidOperation:  # more digits than any column has: as it is
            return number

    return rounded


def _single(value: Value) -> Value:
    try:
        return struct.unpack("f", struct.pack("f", value))[0] if isinstance(value, float) else value
    except OverflowError:
        return value


def _number(value: Value) -> Comparable:
    """A fraction by its shortest text: 0.1 is the numeric 0.1."""
    if isinstance(value, bool):
        return int(value)
    if isinstance(value, float):
        return Decimal(repr(value)) if value == value else "NaN"  # noqa: PLR0124  NaN alone is not itself
    if isinstance(value, str):
        try:
            number = Decimal(value)
        except InvalidOperation:
            return value
        return "NaN" if number.is_nan() else number
    return value


def _text(value: Value) -> Comparable:
    if value is None or isinstance(value, str):
        return value
    return f"\\x{value.hex()}" if isinstance(value, bytes) else str(value)


def _bool(value: Value) -> Comparable:
    words = {"t": 1, "true": 1, "f": 0, "false": 0}
    return words.get(value.lower(), value) if isinstance(value, str) else _number(value)


def _uuid(value: Value) -> Comparable:
    return value.lower() if isinstance(value, str) else _text(value)


def _json(value: Value) -> Comparable:
    if not isinstance(value, str):
        return _text(value)
    try:
        return json.dumps(
            json.loads(value, parse_float=Decimal, parse_int=Decimal), sort_keys=True, default=_json_number
        )
    except (ValueError, RecursionError):
        return value


def _json_number(value: Decimal) -> dict[str, str]:
    """1.50 and 1.5 are one number; "1.5" is none."""
    return {"$number": str(value.normalize(_EXACT))}


def _date(value: Value) -> Comparable:
    return value[:10] if isinstance(value, str) else _text(value)


def _moment(value: Value) -> Comparable:
    """Without a zone it is in UTC, as our connections are."""
    moment = _datetime(value)
    if moment is None:
        return _text(value)
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC).isoformat()


def _local(value: Value) -> Comparable:
    """PostgreSQL's `timestamp` drops a zone unread."""
    moment = _datetime(value)
    return _text(value) if moment is None else moment.replace(tzinfo=None).isoformat()


def _datetime(value: Value) -> datetime | None:
    try:
        return datetime.fromisoformat(value) if isinstance(value, str) else None
    except ValueError:
        return None


def _plain(value: Value) -> Comparable:
    return _number(value) if isinstance(value, float) else value


_COMPARE: Final[dict[Meaning, Compare]] = {
    "moment": _moment,
    "local": _local,
    "date": _date,
    "json": _json,
    "uuid": _uuid,
    "bool": _bool,
    "text": _text,
    "plain": _plain,
}
