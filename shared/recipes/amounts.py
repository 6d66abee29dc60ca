"""Amounts: numbers in digits, signs and words, ranges of them, and what they count.

Each function looks at the tokens from a place on, → what it found there and the place behind it, or None.
"""

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Final

from shared.recipes.names import singular
from shared.recipes.segments import Quantity, Token, adjacent
from shared.recipes.words import FEW, NOT_UNITS, NUMBERS, PARTS, UNITS, Unit

RANGES: Final = frozenset({"-", "–", "—", "‐", "‑", "−", "to", "or"})
HYPHENS: Final = RANGES - {"to", "or"}
SLASHES: Final = frozenset({"/", "⁄", "∕"})
TIMES: Final = frozenset({"x", "×"})
DOZEN: Final = frozenset({"dozen", "doz"})
DENOMINATOR_MAX: Final = 64


@dataclass(frozen=True, slots=True)
class Number:
    value: Fraction
    rule: str


@dataclass(frozen=True, slots=True)
class Amount:
    """`quantity` None: an amount that nobody can put a number to (`a few`)."""

    quantity: Quantity | None
    rule: str


def at(tokens: Sequence[Token], place: int) -> str:
    """The token there in small letters; nothing behind the end."""
    return tokens[place].low if place < len(tokens) else ""


def amount(tokens: Sequence[Token], place: int) -> tuple[Amount, int] | None:
    """One number or a range of two, `a dozen`, `a few`."""
    found = number(tokens, place)
    if found is None:
        return _vague(tokens, place)
    first, behind = found
    low = high = first.value
    rule = first.rule
    other = _behind_hyphen(tokens, behind)
    if at(tokens, other) in RANGES and (second := number(tokens, other + 1)) and not _begins_size(tokens, second[1]):
        value = second[0].value
        if value > low:
            high, rule, behind = value, "range", second[1]
        else:
            return None
    if at(tokens, behind) in DOZEN:
        low, high, rule, behind = low * 12, high * 12, "dozen", behind_dot(tokens, behind + 1)
    return None if _is_something_else(tokens, behind) else (Amount(Quantity(low, high), rule), behind)


def number(tokens: Sequence[Token], place: int) -> tuple[Number, int] | None:
    """One number: `2`, `1.5`, `1,5`, `1,000`, `1/2`, `1 1/2`, `1½`, `one and a half`, `half a`, `a dozen`, `an`."""
    if place >= len(tokens):
        return None
    if tokens[place].kind in {"number", "fraction"}:
        return _in_digits(tokens, place)
    return _in_words(tokens, place)


def unit(tokens: Sequence[Token], place: int) -> tuple[Unit, int] | None:
    """`cups`, `fl. oz.`, `T`"""
    if place >= len(tokens) or tokens[place].kind != "word":
        return None
    behind = behind_dot(tokens, place + 1)
    if f"{at(tokens, place)} {singular(at(tokens, behind))}" in NOT_UNITS:
        return None
    if found := UNITS.get(f"{at(tokens, place)} {at(tokens, behind)}"):
        return found, behind_dot(tokens, behind + 1)
    found = UNITS.get(tokens[place].text) or UNITS.get(tokens[place].low)
    return None if found is None else (found, behind)


def counted(found: Amount, unit: Unit | None) -> Amount:
    if found.quantity is None:
        return found
    return Amount(Quantity(found.quantity.low, found.quantity.high, unit), found.rule)


def behind_dot(tokens: Sequence[Token], place: int) -> int:
    """Of an abbreviation."""
    return place + 1 if at(tokens, place) == "." and adjacent(tokens, place) else place


def _behind_hyphen(tokens: Sequence[Token], place: int) -> int:
    """That of `3- to 4-pound`."""
    return place + (at(tokens, place) in HYPHENS and adjacent(tokens, place) and at(tokens, place + 1) in {"to", "or"})


def _begins_size(tokens: Sequence[Token], place: int) -> bool:
    """`2 - 28 oz cans`, spaced: two numbers, of which the second has a unit and a container."""
    found = unit(tokens, place + (at(tokens, place) in HYPHENS))
    behind = found and unit(tokens, found[1])
    return bool(found and found[0].base and behind and behind[0].container)


def _is_something_else(tokens: Sequence[Token], behind: int) -> bool:
    """`2%`, `180°`, `7up`, `1st`: a number with something of its own right behind it."""
    if at(tokens, behind) in {"%", "°", "º", "″", '"', "'"}:
        return True
    if not adjacent(tokens, behind) or tokens[behind].kind != "word" or tokens[behind - 1].kind == "word":
        return False
    return unit(tokens, behind) is None and at(tokens, behind) not in TIMES


def _in_digits(tokens: Sequence[Token], place: int) -> tuple[Number, int] | None:
    if (alone := _fraction(tokens, place)) is not None:
        return Number(alone[0], "fraction"), _behind_article(tokens, alone[1])
    whole = _digits(tokens[place].text)
    if whole is None:
        return None
    behind = place + 1
    if at(tokens, behind) in SLASHES and adjacent(tokens, behind) and adjacent(tokens, behind + 1):
        return None
    if whole.denominator > 1:
        return Number(whole, "decimal"), behind
    joined = behind + (at(tokens, behind) in {"and", "&", *HYPHENS})
    part = _fraction(tokens, joined) or (_a_part(tokens, joined) if at(tokens, behind) in {"and", "&"} else None)
    if part is not None and part[0] < 1:
        return Number(whole + part[0], "mixed number"), part[1]
    if at(tokens, behind) in PARTS and at(tokens, behind + 1) != "and":
        return Number(whole * PARTS[at(tokens, behind)], "number in words"), _behind_article(tokens, behind + 1)
    return Number(whole, "number"), behind


def _digits(text: str) -> Fraction | None:
    """`1,000` is a thousand, `1,5` one and a half."""
    if re.fullmatch(r"\d{1,3}(,\d{3})+", text):
        return Fraction(int(text[:12].replace(",", ""))) if len(text) < 12 else None
    if re.fullmatch(r"\d{0,6}[.,]\d{1,4}|\d{1,6}", text) is None:
        return None
    whole, _, rest = text.replace(",", ".").partition(".")
    return int(whole or "0") + Fraction(int(rest or "0"), 10 ** len(rest)) or None


def _fraction(tokens: Sequence[Token], place: int) -> tuple[Fraction, int] | None:
    """`1/2`, without blanks, or `½`"""
    if place >= len(tokens):
        return None
    if tokens[place].kind == "fraction":
        value = Fraction(unicodedata.numeric(tokens[place].text)).limit_denominator(10)
        return (value, place + 1) if value else None
    if at(tokens, place + 1) not in SLASHES or not adjacent(tokens, place + 1) or not adjacent(tokens, place + 2):
        return None
    parts = [tokens[place], tokens[place + 2]]
    if any(part.kind != "number" or not re.fullmatch(r"\d{1,3}", part.text) for part in parts):
        return None
    over, under = (int(part.text) for part in parts)
    return (Fraction(over, under), place + 3) if over and 2 <= under <= DENOMINATOR_MAX else None


def _in_words(tokens: Sequence[Token], place: int) -> tuple[Number, int] | None:
    """`one`, `two thirds`, `one and a half`, `half a`, `a quarter`, `a dozen`, `a`"""
    first = at(tokens, place)
    if first in NUMBERS:
        whole, behind = NUMBERS[first], place + 1
        if at(tokens, behind) == "and" and (part := _a_part(tokens, behind + 1)):
            return Number(whole + part[0], "number in words"), part[1]
        if at(tokens, behind) in PARTS:
            return Number(whole * PARTS[at(tokens, behind)], "number in words"), _behind_article(tokens, behind + 1)
        return Number(whole, "number in words"), behind
    if part := _a_part(tokens, place):
        return Number(part[0], "number in words"), part[1]
    if first in DOZEN:
        return Number(Fraction(1), "number in words"), place
    if first not in {"a", "an"} or place + 1 >= len(tokens) or at(tokens, place + 1) in FEW - {"couple"}:
        return None
    if at(tokens, place + 1) == "couple":
        return Number(Fraction(2), "number in words"), place + 2
    return (Number(Fraction(1), "article"), place + 1) if tokens[place + 1].kind == "word" else None


def _a_part(tokens: Sequence[Token], place: int) -> tuple[Fraction, int] | None:
    """`half a`, `a half`, `a quarter of a`; `half` alone, but not `half and half`; others only before a unit."""
    place += at(tokens, place) in {"a", "an", "one"} and at(tokens, place + 1) in PARTS
    word = at(tokens, place)
    if word not in PARTS:
        return None
    behind = _behind_article(tokens, place + 1)
    follows = at(tokens, behind)
    if follows in {"and", "&"} or (word != "half" and behind == place + 1 and unit(tokens, behind) is None):
        return None
    return PARTS[word], behind


def _behind_article(tokens: Sequence[Token], place: int) -> int:
    """Behind `of a`, `a`, if it is there."""
    place += at(tokens, place) == "of" and at(tokens, place + 1) in {"a", "an"}
    return place + (at(tokens, place) in {"a", "an"})


def _vague(tokens: Sequence[Token], place: int) -> tuple[Amount, int] | None:
    behind = place + (at(tokens, place) == "a")
    if at(tokens, behind) not in FEW - {"couple"} or behind + 1 >= len(tokens):
        return None
    if at(tokens, behind) in {"little", "bit", "few"} and behind == place and at(tokens, behind) != "few":
        return None
    return Amount(None, "vague amount"), behind + 1
