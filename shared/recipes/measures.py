"""The measures of an ingredient line, and the tokens they are read from."""

from typing import Final

from shared.recipes.amounts import TIMES, Amount, amount, at, behind_dot, counted, unit
from shared.recipes.segments import Kind, Quantity, Segment, Token, adjacent, tokens_of
from shared.recipes.words import COMPOUND, JOINED, QUALIFIERS, SIZES, UNITS

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
        while self._in_brackets("equal amount") or self._another(role):
            pass
        self._container()
        return True

    def _another(self, role: str) -> bool:
        """`/ 7 oz`, `plus 1 tbsp`; `4 oz` behind pounds; in brackets, `; 170 g`"""
        start, parts, last = self.place, len(self.parts), self.parts[-1]
        if last.kind != "unit":
            return False
        joined = JOINED.get(self._now()) or (role if role == "equal amount" and self._now() in {",", ";"} else None)
        self.place += joined is not None
        taken = self._measure(joined or "added amount", with_unit=True)
        if taken and (joined or (last.name, self.parts[-1].name) in COMPOUND):
            return True
        self._back(start, parts)
        return False

    def _measure(self, role: str, *, with_unit: bool = False) -> bool:
        """`role` is the amount's rule, unless it is its own. With nothing taken, nothing is changed."""
        start, parts = self.place, len(self.parts)
        if behind := self._behind_qualifier():
            self._take("comment", "qualifier", behind)
        found = amount(self.tokens, self.place)
        if found is None:
            self._back(start, parts)
            return False
        sized = self._count_and_size(found)
        taken = sized or self._amount_and_unit(found, role)
        if with_unit and not any(part.kind == "unit" for part in self.parts[parts:]):
            self._back(start, parts)
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
        worded = self._behind_size(behind)
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
        else:
            self._take("amount", role or found[0].rule, found[1], quantity=found[0].quantity)
        return True

    def _is_the_ingredient(self, behind: int) -> bool:
        """`4 cloves`: what would be a unit is all there is."""
        behind = self.closing.get(behind, behind - 1) + 1
        return behind >= len(self.tokens) or at(self.tokens, behind) in {",", ";"}

    def _count_and_size(self, found: tuple[Amount, int]) -> bool:
        """`1 (14 oz) can`, `2 28-oz cans`, `2 x 400 g tins`, `4 6-ounce fillets`: how many, of what size, of what."""
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
        weighed = hyphen > size[1] and adjacent(self.tokens, hyphen) and measured[0].base != "mm"
        if not (bracket or times > found[1] or weighed or (container and not container[0].base)):
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

    def _in_brackets(self, role: str, *, lengths: bool = True) -> bool:
        """`1 cup (240 ml)`: nothing but measures."""
        closing = self.closing.get(self.place)
        if closing is None:
            return False
        start, parts = self.place, len(self.parts)
        self.place += 1
        measured = self._measures(role) and self.place == closing and self.parts[-1].kind == "unit"
        if measured and (lengths or UNITS[self.parts[-1].name].base != "mm"):
            self.place += 1
            return True
        self._back(start, parts)
        return False

    def _container(self) -> None:
        """`400 g tin`, `1-inch piece`, `1 (No. 303) can`"""
        last = self.parts[-1]
        bracket = self.closing.get(self.place) if last.kind == "amount" else None
        found = unit(self.tokens, self.place if bracket is None else bracket + 1)
        if found is None or found[0].base or self._is_the_ingredient(found[1]):
            return
        of = UNITS[last.name] if last.kind == "unit" else None
        packed = of and of.base and (of.base == "mm" or (found[0].container))
        if bracket is not None:
            self.place += 1
            self._take("comment", "in brackets", bracket)
            self.place = bracket + 1
        elif not packed:
            return
        self._take("unit", "container", found[1], name=found[0].name)

    def _unit_alone(self) -> bool:
        """`pinch of salt`, `small bunch parsley`"""
        sized = self._behind_size(self.place)
        found = unit(self.tokens, sized)
        if found is None or self._is_the_ingredient(found[1]):
            return False
        if not (found[0].vague or at(self.tokens, found[1]) == "of" or (sized > self.place and not found[0].base)):
            return False
        self._take("comment", "size", sized)
        self._take("unit", "unit alone", found[1], name=found[0].name)
        return True

    def _behind_size(self, place: int) -> int:
        """`large`, `sm.`, `heaping`, `thumb-sized`"""
        word = at(self.tokens, place)
        if word not in SIZES | QUALIFIERS and not word.endswith(("-sized", "-size")):
            return place
        return behind_dot(self.tokens, place + 1)

    def _back(self, place: int, parts: int) -> None:
        self.place = place
        del self.parts[parts:]

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
