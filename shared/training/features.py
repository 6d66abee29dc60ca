"""What a classifier sees of a row: numbers at places, a few of many.

Text      words and pairs of neighbours, each at the place that its hash says; the values have length 1
Tabular   a number, as standard deviations from the mean, at its column's place; any other value, a missing number
          too, as 1 at the place that the hash of "column=value" says. NaN and infinity are missing numbers

Place 0 is 1 in every row. Hashes are CRC-32, the same everywhere and for ever, so a model needs no vocabulary.
"""

import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Annotated, Final, Literal
from zlib import crc32

from pydantic import BaseModel, ConfigDict, Field, FiniteFloat

from shared.training.dataset import COLUMNS_MAX, Row, Value, too_large

TEXT_CHARACTERS_MAX: Final = 100_000
"""More of a text tells no more."""

DEVIATIONS_MAX: Final = 10.0
"""One wild number must not outweigh all others."""

NUMBER_MAX: Final = 1e100
"""Its square, too, is finite."""

_WORDS: Final = re.compile(r"\w+|[^\w\s]")

Places = list[tuple[int, float]]
Name = Annotated[str, Field(max_length=1 << 20)]
_KEPT: Final = ConfigDict(frozen=True, extra="forbid", strict=True)


class TextFeatures(BaseModel):
    model_config = _KEPT

    kind: Literal["text"] = "text"
    column: Name

    def columns(self) -> set[str]:
        return {self.column}

    def places(self, row: Row, count: int) -> Places:
        """`count`: how many places there are. A text that is missing has no words."""
        words = _WORDS.findall(str(row.get(self.column) or "")[:TEXT_CHARACTERS_MAX].lower())
        counts: dict[int, int] = {}
        for term in _terms(words):
            place = 1 + crc32(term.encode("utf-8", "replace")) % (count - 1)
            counts[place] = counts.get(place, 0) + 1
        length = math.sqrt(sum((1 + math.log(number)) ** 2 for number in counts.values())) or 1.0
        return [(0, 1.0), *((place, (1 + math.log(number)) / length) for place, number in counts.items())]


class NumericColumn(BaseModel):
    model_config = _KEPT

    name: Name
    mean: FiniteFloat
    deviation: Annotated[FiniteFloat, Field(gt=0)]


class TabularFeatures(BaseModel):
    model_config = _KEPT

    kind: Literal["tabular"] = "tabular"
    numeric: Annotated[list[NumericColumn], Field(max_length=COLUMNS_MAX)]
    categorical: Annotated[list[Name], Field(max_length=COLUMNS_MAX)]

    def columns(self) -> set[str]:
        return {column.name for column in self.numeric} | {*self.categorical}

    def places(self, row: Row, count: int) -> Places:
        """`count`: how many places there are, more than twice the numeric columns."""
        free, hashed = 1 + len(self.numeric), count - 1 - len(self.numeric)
        places = {0: 1.0}
        for place, column in enumerate(self.numeric, 1):
            number = number_of(row.get(column.name))
            if number is None:
                places[free + crc32(f"{column.name}=".encode()) % hashed] = 1.0
            else:
                away = (number - column.mean) / column.deviation
                places[place] = max(-DEVIATIONS_MAX, min(DEVIATIONS_MAX, away))
        for name in self.categorical:
            said = f"{name}={row.get(name)}".encode("utf-8", "replace")
            places[free + crc32(said) % hashed] = 1.0
        return list(places.items())


Features = TextFeatures | TabularFeatures


@dataclass(slots=True)
class _Seen:
    """Of one column. Welford's sums: https://doi.org/10.1080/00401706.1962.10490022"""

    count: int = 0
    mean: float = 0.0
    squares: float = 0.0
    is_numeric: bool = True

    def note(self, value: Value) -> None:
        number = number_of(value)
        if number is None:
            self.is_numeric = self.is_numeric and (value is None or _is_no_finite_number(value))
            return
        self.count += 1
        away = number - self.mean
        self.mean += away / self.count
        self.squares += away * (number - self.mean)


@dataclass(slots=True)
class Survey:
    """Of rows that a tabular classifier is trained on: which columns hold numbers, and which."""

    columns: dict[str, _Seen] = field(default_factory=dict)

    def note(self, row: Row, label: str) -> None:
        """Raises Permanent("too_large") about `dataset_path`."""
        for name, value in row.items():
            if name != label:
                self.columns.setdefault(name, _Seen()).note(value)
        if len(self.columns) > COLUMNS_MAX:
            raise too_large(f"more than {COLUMNS_MAX:,} columns in all rows together")

    def features(self) -> TabularFeatures:
        numeric = {name: seen for name, seen in self.columns.items() if seen.is_numeric and seen.count}
        return TabularFeatures(
            numeric=[
                NumericColumn(name=name, mean=seen.mean, deviation=math.sqrt(seen.squares / seen.count) or 1.0)
                for name, seen in numeric.items()
            ],
            categorical=[name for name in self.columns if name not in numeric],
        )


def number_of(value: Value) -> float | None:
    """A number in quotes is one: CSV has no other. What is not finite is none."""
    number = _as_float(value)
    return number if number is not None and abs(number) < NUMBER_MAX else None


def _is_no_finite_number(value: Value) -> bool:
    """ "nan" in CSV, and how other programs write a gap in a column of numbers; too large a one, too."""
    return _as_float(value) is not None and number_of(value) is None


def _as_float(value: Value) -> float | None:
    if value is None or isinstance(value, bool):
        return None
    try:
        return float(value)
    except OverflowError:
        return math.inf
    except ValueError:
        return None


def _terms(words: Sequence[str]) -> Iterator[str]:
    yield from words
    for first, second in pairwise(words):
        yield f"{first} {second}"
