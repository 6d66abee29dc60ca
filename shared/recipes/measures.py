"""The measures of an ingredient line, and the tokens they are read from."""

from typing import Final

from shared.recipes.amounts import TIMES, Amount, amount, at, counted, unit
from shared.recipes.segments import Kind, Quantity, Segment, Token, tokens_of
from shared.recipes.words import QUALIFIERS, SIZES

OPEN: Final = {"(": ")", "[": "]", "{": "}"}
DASHES: Final = frozenset({"-", "–", "—"})


class MeasureReader:
    """`place`: the next token. Each method takes what it understands, and says whether it was anything."""

    def __init__(self, line: str) -> None:
        self.line = line
        self.tokens = tokens_of(line)
        self.closing = _brackets(self.tokens)
        self.place = 0
        self.parts: list[Segment] = []

    def _measures(self, role: str) -> bool:
        if not self._measure(role):
            return False
        while True:
            self._same_in_brackets()
            start, word = self.place, self._now()
            if word not in {"/", "or", "plus", "+", "and", "="} or self.parts[-1].kind != "unit":
                return True
            self.place += 1
            role = "added amount" if word in {"plus", "+", "and"} else "equal amount"
            if not self._measure(role, with_unit=True):
                self.place = start
                return True

    def _measure(self, role: str, *, with_unit: bool = False) -> bool:
        """`role` is the amount's rule, unless it is its own. With nothing taken, nothing is changed."""
        start, parts = self.place, len(self.parts)
        if behind := self._behind_qualifier():
            self._take("comment", "qualifier", behind)
        found = amount(self.tokens, self.place)
        if found is None:
            self.place = start
            del self.parts[parts:]
            return False
        sized = self._count_and_size(found)
        taken = sized or self._amount_and_unit(found, role)
        if with_unit and not any(part.kind == "unit" for part in self.parts[parts:]):
            self.place = start
            del self.parts[parts:]
            return False
        return taken

    def _behind_qualifier(self) -> int | None:
        """`about`, `~`, `up to`, `at least`"""
        for phrase in (("up", "to"), ("at", "least"), ("at", "most")):
            if self._says(self.place, phrase):
                return self.place + 2
        return self.place + 1 if self._now() in QUALIFIERS | {"~"} else None

    def _amount_and_unit(self, found: tuple[Amount, int], role: str) -> bool:
        """The unit may have `heaping` or `large` before it."""
        behind = found[1]
        if at(self.tokens, behind) in DASHES and unit(self.tokens, behind + 1):
            behind += 1
        worded = behind + (at(self.tokens, behind) in SIZES | QUALIFIERS)
        if worded < len(self.tokens) and at(self.tokens, worded) == "of" and found[0].quantity is None:
            worded += 1
        measured = unit(self.tokens, worded)
        if measured and (measured[0].base or measured[0].vague or not self._is_the_ingredient(measured[1])):
            said = counted(found[0], measured[0])
            self._take("amount", role or said.rule, found[1], quantity=said.quantity)
            self.place = behind
            if worded > behind and at(self.tokens, behind) != "of":
                self._take("comment", "qualifier", worded)
            self.place = worded
            self._take("unit", "unit", measured[1], name=measured[0].name)
            piece = unit(self.tokens, self.place) if measured[0].base == "mm" else None
            if piece and not piece[0].base and piece[1] < len(self.tokens):
                self._take("unit", "container", piece[1], name=piece[0].name)
        else:
            self._take("amount", role or found[0].rule, found[1], quantity=found[0].quantity)
        return True

    def _is_the_ingredient(self, behind: int) -> bool:
        """`4 cloves`: what would be a unit is all there is."""
        behind = self.closing.get(behind, behind - 1) + 1
        return behind >= len(self.tokens) or at(self.tokens, behind) in {",", ";"}

    def _count_and_size(self, found: tuple[Amount, int]) -> bool:
        """`1 (14 oz) can`, `2 28-oz cans`, `2 x 400 g tins`: how many, of what size, of what."""
        times = found[1] + (at(self.tokens, found[1]) in TIMES)
        bracket = at(self.tokens, times) in OPEN and times in self.closing
        inner = times + bracket
        inner += at(self.tokens, inner) in QUALIFIERS | {"~"}
        size = amount(self.tokens, inner)
        hyphen = size and size[1] + (at(self.tokens, size[1]) in DASHES)
        measured = hyphen and unit(self.tokens, hyphen)
        if not (size and hyphen and measured and measured[0].base):
            return False
        end = measured[1]
        if bracket and end != self.closing[times]:
            return False
        container = unit(self.tokens, end + bracket)
        if not bracket and times == found[1] and not (container and not container[0].base):
            return False
        self._take("amount", "count", found[1], quantity=found[0].quantity)
        self.place = inner
        said = counted(size[0], measured[0])
        self._take("amount", "package size", size[1], quantity=said.quantity)
        self.place = hyphen
        self._take("unit", "package unit", end, name=measured[0].name)
        self.place = end + bracket
        if container and not container[0].base:
            self._take("unit", "container", container[1], name=container[0].name)
        return True

    def _same_in_brackets(self) -> None:
        """`1 cup (240 ml)`"""
        closing = self.closing.get(self.place)
        if closing is None:
            return
        start, parts = self.place, len(self.parts)
        self.place += 1
        if self._measures("equal amount") and self.place == closing and self.parts[-1].kind == "unit":
            self.place += 1
            return
        self.place = start
        del self.parts[parts:]

    def _unit_alone(self) -> bool:
        """`pinch of salt`"""
        found = unit(self.tokens, self.place)
        if found is None or not (found[0].vague or at(self.tokens, found[1]) == "of") or found[1] >= len(self.tokens):
            return False
        self._take("unit", "unit alone", found[1], name=found[0].name)
        return True

    def _now(self) -> str:
        return at(self.tokens, self.place)

    def _says(self, place: int, phrase: tuple[str, ...]) -> bool:
        return all(at(self.tokens, place + index) == word for index, word in enumerate(phrase))

    def _take(self, kind: Kind, rule: str, end: int, *, name: str = "", quantity: Quantity | None = None) -> None:
        """The tokens from here to `end`, if there are any."""
        if end <= self.place:
            return
        first, last = self.tokens[self.place], self.tokens[end - 1]
        text = self.line[first.start : last.end]
        self.parts.append(Segment(kind, rule, first.start, last.end, text, name, quantity))
        self.place = end


def _brackets(tokens: list[Token]) -> dict[int, int]:
    """The place of an opening bracket → that of its closing one; brackets in brackets are left to the outer ones."""
    pairs: dict[int, int] = {}
    held: list[int] = []
    for place, token in enumerate(tokens):
        if token.text in OPEN:
            held.append(place)
        elif held and token.text == OPEN[tokens[held[-1]].text]:
            pairs[held.pop()] = place
    outer: dict[int, int] = {}
    behind = 0
    for place in sorted(pairs):
        if place >= behind:
            outer[place] = pairs[place]
            behind = pairs[place]
    return outer
