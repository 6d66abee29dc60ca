"""What a column's cells must be, a whole column at a time.

A column is a list of `Rule`s; each one judges any number of cells at once, and is asked about one alone only to tell
which of them are bad. A rule may count on those before it. Equal cells are judged once.
"""

import json
import math
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Final, TypeVar

from shared.payloads.bulk_import import DATE, TIMESTAMP, BulkColumn, ColumnType, full_match

Cells = Sequence[str | None]
Holds = Callable[[Collection[str]], bool]
V = TypeVar("V", int, float, date, datetime)

INTEGER_MAX: Final = (1 << 63) - 1
FLOAT_MAX: Final = 1.7976931348623157e308
SHOWN_CHARS: Final = 40


@dataclass(frozen=True, slots=True)
class Rule:
    """`holds` of all these cells? It may raise ValueError or RecursionError for no."""

    code: str
    words: str
    holds: Holds

    def passes(self, cells: Collection[str]) -> bool:
        try:
            return self.holds(cells)
        except (ValueError, RecursionError):
            return False


@dataclass(frozen=True, slots=True)
class Fault:
    """Of one cell."""

    code: str
    message: str


@dataclass(frozen=True, slots=True)
class Column:
    """`name` in the table, `source` in the file."""

    name: str
    source: str
    type: ColumnType
    required: bool
    rules: tuple[Rule, ...]

    def faults(self, cells: Cells) -> dict[int, Fault]:
        """Place → what is wrong there."""
        distinct: set[str | None] = set(cells)
        missing = None in distinct
        distinct.discard(None)
        values: set[str] = distinct  # type: ignore[assignment]  # without None
        bad: dict[str | None, Fault] = {}
        if missing and self.required:
            bad[None] = Fault("missing", "is required")
        if not all(one.passes(values) for one in self.rules):
            bad |= {cell: fault for cell in values if (fault := self._fault(cell))}
        return {place: bad[cell] for place, cell in enumerate(cells) if cell in bad} if bad else {}

    def _fault(self, cell: str) -> Fault | None:
        for one in self.rules:
            if not one.passes((cell,)):
                shown = cell if len(cell) <= SHOWN_CHARS else f"{cell[:SHOWN_CHARS]}…"
                return Fault(one.code, f"{shown.encode(errors='replace').decode()!r} {one.words}")
        return None


def column(name: str, rule: BulkColumn, *, key: bool) -> Column:
    """Part of a key is required."""
    rules = (*_TYPES[rule.type], *_bounds(rule), *_texts(rule))
    return Column(name, rule.source or name, rule.type, required=rule.required or key, rules=rules)


def _bounds(rule: BulkColumn) -> Iterator[Rule]:
    if rule.min is None and rule.max is None:
        return
    words = " and ".join(
        f"{word} {bound}" for word, bound in (("at least", rule.min), ("at most", rule.max)) if bound is not None
    )
    yield Rule("out_of_range", f"must be {words}", _within(rule))


def _within(rule: BulkColumn) -> Holds:
    match rule.type:
        case "integer":
            return _between(int, rule.min, rule.max)
        case "number":
            return _between(float, rule.min, rule.max)
        case "timestamp":
            return _between(_instant, rule.min, rule.max)
        case _:
            return _between(_day, rule.min, rule.max)


def _between(read: Callable[[str | int | float], V], low: str | float | None, high: str | float | None) -> Holds:
    least, most = None if low is None else read(low), None if high is None else read(high)

    def holds(cells: Collection[str]) -> bool:
        values = list(map(read, cells))
        return not values or ((least is None or least <= min(values)) and (most is None or max(values) <= most))

    return holds


def _texts(rule: BulkColumn) -> Iterator[Rule]:
    if rule.max_length is not None:
        most = rule.max_length
        yield Rule(
            "too_long", f"has more than {most:,} characters", lambda cells: max(map(len, cells), default=0) <= most
        )
    if rule.enum is not None:
        allowed = frozenset(rule.enum)
        yield Rule("not_allowed", "is none of the allowed values", allowed.issuperset)
    if rule.pattern is not None:
        validate = full_match(rule.pattern).validate_python
        yield Rule("no_match", "does not match the pattern", lambda cells: validate(list(cells)) is not None)


def _day(text: object) -> date:
    return date.fromisoformat(str(text))


def _instant(text: object) -> datetime:
    """Without a zone: UTC."""
    at = datetime.fromisoformat(str(text))
    return at if at.tzinfo else at.replace(tzinfo=UTC)


def _clean(cells: Iterable[str]) -> bool:
    """No database takes a NUL, or what is no Unicode."""
    joined = "".join(cells)
    return "\0" not in joined and joined.encode() is not None


def _shaped(pattern: str) -> Holds:
    fits = re.compile(pattern).fullmatch
    return lambda cells: all(map(fits, cells))


def _no_constant(word: str) -> object:
    raise ValueError(word)


def _finite(cells: Iterable[str]) -> bool:
    return all(map(math.isfinite, map(float, cells)))


def _reads(read: Callable[[str], object]) -> Holds:
    return lambda cells: bool([*map(read, cells)]) or not cells


TRUE: Final = frozenset(word for one in ("true", "t", "yes", "y", "1") for word in (one, one.upper(), one.title()))
FALSE: Final = frozenset(word for one in ("false", "f", "no", "n", "0") for word in (one, one.upper(), one.title()))

_CLEAN: Final = Rule("bad_text", "is not UTF-8, or holds a NUL", _clean)
_TYPES: Final[dict[ColumnType, tuple[Rule, ...]]] = {
    "text": (_CLEAN,),
    "integer": (
        Rule("bad_type", "is not an integer", _shaped("[+-]?[0-9]{1,40}")),
        Rule("out_of_range", "has more than 64 bits", _between(int, -INTEGER_MAX - 1, INTEGER_MAX)),
    ),
    "number": (
        Rule(
            "bad_type",
            "is not a number",
            _shaped(r"[+-]?(?:[0-9]{1,400}(?:\.[0-9]{0,400})?|\.[0-9]{1,400})(?:[eE][+-]?[0-9]{1,3})?"),
        ),
        Rule("out_of_range", "is too large", _finite),
    ),
    "boolean": (Rule("bad_type", "is neither true nor false", (TRUE | FALSE).issuperset),),
    "date": (
        Rule("bad_type", "is not a date (2024-12-31)", _shaped(DATE)),
        Rule("bad_type", "is not in the calendar", _reads(date.fromisoformat)),
    ),
    "timestamp": (
        Rule(
            "bad_type",
            "is not a timestamp (2024-12-31T23:59:59Z)",
            _shaped(TIMESTAMP),
        ),
        Rule("bad_type", "is not in the calendar", _reads(datetime.fromisoformat)),
    ),
    "json": (_CLEAN, Rule("bad_type", "is not JSON", _reads(json.JSONDecoder(parse_constant=_no_constant).decode))),
    "uuid": (Rule("bad_type", "is not a UUID", _shaped("[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")),),
}
"""Every form is one that PostgreSQL reads as it is."""
