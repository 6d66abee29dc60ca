"""What cells mean that are numbers unless they say otherwise."""

import re
from collections.abc import Callable, Iterable, Sequence
from typing import Final

from shared.databases.engine import Value
from shared.databases.formats.blocks import Block

Convert = Callable[[Sequence[str]], Sequence[Value]]
"""A column's cells → its values. Raises ValueError."""

_INTEGER: Final = re.compile(r"-?\d+")


def rows_of(convert: Convert, columns: Iterable[Sequence[str]]) -> Block | None:
    """None if some value is bad."""
    try:
        return list(zip(*map(convert, columns), strict=True))
    except ValueError:
        return None


def numbers(values: Sequence[str]) -> list[int] | list[float] | None:
    """All of a column at once, if it is all integers or all fractions."""
    try:
        if values and _INTEGER.fullmatch(values[0]):
            return list(map(int, values))
        fractions = list(map(float, values))
    except ValueError:
        return None
    integral = (text for text, fraction in zip(values, fractions, strict=True) if fraction.is_integer())
    return None if any(map(_INTEGER.fullmatch, integral)) else fractions


def number(value: str) -> int | float:
    try:
        return int(value)
    except ValueError:
        return float(value)
