"""A line in parts: each with its rule and its place, and all of them together the line, to the last blank."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import groupby
from typing import Final, Literal

from shared.recipes.words import Unit

Kind = Literal["amount", "unit", "ingredient", "comment", "number", "text", "time", "temperature", "joint", "unparsed"]

Status = Literal["parsed", "partly", "unparsed"]

TOKEN: Final = re.compile(
    r"(?P<blank>\s+)|(?P<number>\d+(?:[.,]\d+)*|\.\d+)|(?P<fraction>[¼-¾⅐-⅞↉])"
    r"|(?P<word>[^\W\d_¼-¾⅐-⅞↉]+(?:['’\-‐‑][^\W\d_¼-¾⅐-⅞↉]+)*)|(?P<mark>.)",
    re.DOTALL,
)
"""No two ways to match the same text, so that no text takes long."""

PATTERN_CHARS_MAX: Final = 300

JOINTS: Final = re.compile(r"[\s,;:.()\[\]{}/+*×=&•·▢□☐◦‣–—‐‑−\-]*")
"""What may stand between two parts without meaning anything by itself."""


@dataclass(frozen=True, slots=True)
class Token:
    """`kind`: number, fraction (one sign), word or mark (any other sign). `low`: its text in small letters."""

    kind: str
    text: str
    start: int
    end: int

    @property
    def low(self) -> str:
        return self.text.casefold()


@dataclass(frozen=True, slots=True)
class Quantity:
    """From `low` to `high` (equal unless it is a range) of `unit`. In `base` units, where it has such."""

    low: Fraction
    high: Fraction
    unit: Unit | None = None

    @property
    def in_base(self) -> tuple[float, float, str] | None:
        if self.unit is None or not self.unit.base:
            return None
        low, high = (round(float(value) * self.unit.factor, 3) for value in (self.low, self.high))
        return low, high, self.unit.base


@dataclass(frozen=True, slots=True)
class Segment:
    """`text` is `line[start:end]`. `name`: the unit's or ingredient's, in the one form that it is known by."""

    kind: Kind
    rule: str
    start: int
    end: int
    text: str
    name: str = ""
    quantity: Quantity | None = None


@dataclass(frozen=True, slots=True)
class Line:
    """A whole line. `pattern`: the rules that matched, in order: what lines of the same shape have in common."""

    segments: tuple[Segment, ...]
    status: Status

    @property
    def pattern(self) -> str:
        rules = (part.rule for part in self.segments if part.kind != "joint")
        return " + ".join(rule for rule, _ in groupby(rules))[:PATTERN_CHARS_MAX]

    @property
    def ingredients(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(part.name for part in self.segments if part.kind == "ingredient"))

    @property
    def text(self) -> str:
        """The line as it was written."""
        return "".join(part.text for part in self.segments)


def tokens_of(line: str) -> list[Token]:
    """Without the blanks: where one ends and the next begins tells of them."""
    found = TOKEN.finditer(line)
    return [Token(one.lastgroup or "", one[0], *one.span()) for one in found if one.lastgroup != "blank"]


def adjacent(tokens: Sequence[Token], place: int) -> bool:
    """Is nothing between the token before and this one?"""
    return 0 < place < len(tokens) and tokens[place - 1].end == tokens[place].start


def covered(line: str, parts: Iterable[Segment], joints: frozenset[str] = frozenset()) -> tuple[Segment, ...]:
    """The parts, and what is between them: a joint, if it is a sign or one of the words `joints`; else unparsed."""
    whole: list[Segment] = []
    place = 0
    for part in sorted(parts, key=lambda part: part.start):
        whole += _gap(line, place, part.start, joints)
        whole.append(part)
        place = part.end
    return (*whole, *_gap(line, place, len(line), joints))


def _gap(line: str, start: int, end: int, joints: frozenset[str]) -> list[Segment]:
    if start >= end:
        return []
    text = line[start:end]
    words = re.sub(r"[^\W\d_]+", lambda word: "" if word[0].casefold() in joints else "\0", text)
    meant = JOINTS.fullmatch(words) is None
    return [Segment("unparsed" if meant else "joint", "not understood" if meant else "joint", start, end, text)]
