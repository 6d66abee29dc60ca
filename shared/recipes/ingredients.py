"""An ingredient line: what it says, part by part, each by the rule that found it.

line         = [number of the line] [part of] [measures] [each] [of] ingredients, or ingredients and then their measure
measures     = measure { (/ or +) measure } [container]
measure      = [about] amount [(size)] [heaped] [unit] [(the same in other units)]
ingredients  = ingredient { (or, plus) [measures] ingredient } ; comments: in brackets, behind a comma, `to taste`

What fits no rule is a part of its own, `unparsed`: nothing is guessed, and nothing is lost.
"""

from typing import Final

from shared.recipes.amounts import TIMES, amount, at, unit
from shared.recipes.measures import DASHES, OPEN, MeasureReader
from shared.recipes.names import name_of
from shared.recipes.segments import Kind, Line, Status, adjacent, covered
from shared.recipes.words import DONE, HOW, JOINED, PARTS_OF_IT, PREPARED, QUALITIES, TAIL_STARTS, TAIL_WORDS_MAX
from shared.recipes.words import TAILS as TAIL_RULES

BRACKETS: Final = frozenset({*OPEN, *OPEN.values()})
NO_NAMES_MARKS: Final = frozenset("?<>=$^|\\{}")
NAME_WORDS_MAX: Final = 12
"""Of an ingredient. More is a sentence."""

NAME_CHARS_MAX: Final = 120
HEADING_WORDS_MAX: Final = 6

JOINING: Final = frozenset({"of", "from", "or", "plus", "minus", "less", "and", "x"})


def parse_ingredient(line: str) -> Line:
    """One line of a recipe's list. Never raises; `status` is `partly` if some of it was not understood."""
    reader = _Reader(line)
    reader.read()
    parts = covered(line, reader.parts, JOINING)
    understood = any(part.kind == "ingredient" for part in parts)
    whole = all(part.kind != "unparsed" for part in parts)
    status: Status = "unparsed" if not understood else "parsed" if whole else "partly"
    return Line(parts, status)


class _Reader(MeasureReader):
    """The whole line."""

    named = False
    """An ingredient was found."""

    each = False
    """`1 tsp each salt, pepper and thyme`, and the end of the list is still to come."""

    def read(self) -> None:
        while self.place < len(self.tokens) and self._is_bullet():
            self.place += 1
        if self._is_heading():
            self._take("unparsed", "heading", len(self.tokens))
            return
        self._line_number()
        self._part_of()
        measured = self._measures("") or self._unit_alone()
        if measured and self._now() == "each":
            self.each = self.parts[-1].kind == "unit"
            self._take("comment", "each", self.place + 1)
            self.place += self._now() == ":"
        if measured and self._now() == "of":
            self.place += 1
        self._ingredients(measured=measured)

    def _is_heading(self) -> bool:
        """`Sauce:`, `For the sauce`"""
        if self.tokens and self.tokens[-1].text == ":":
            return True
        kinds = {token.kind for token in self.tokens[self.place :]}
        short = len(self.tokens) - self.place <= HEADING_WORDS_MAX
        return short and kinds <= {"word", "mark"} and self._says(self.place, ("for", "the"))

    def _line_number(self) -> None:
        """`1. 2 cups flour`"""
        marked = at(self.tokens, self.place + 1) in {".", ")"} and adjacent(self.tokens, self.place + 1)
        if marked and self.tokens[self.place].text.isdecimal() and self.place + 2 < len(self.tokens):
            self._take("number", "number of the line", self.place + 2)

    def _part_of(self) -> None:
        """`juice of 1 lemon`, `finely grated zest and juice 2 limes`"""
        behind = self.place + (self._now() == "the")
        while at(self.tokens, behind) in HOW | DONE:
            behind += 1
        named = behind
        while at(self.tokens, behind) in PARTS_OF_IT or (at(self.tokens, behind) == "and" and behind > named):
            behind += 1
        behind += at(self.tokens, behind) in {"of", "from"} and behind > named
        if behind > named and amount(self.tokens, behind):
            self._take("comment", "part of it", behind)

    # --- ingredients and comments -------------------------------------------------------------------------------------

    def _ingredients(self, *, measured: bool) -> None:
        rule = "ingredient"
        while self.place < len(self.tokens):
            if joined := self._joined():
                rule = joined
                continue
            rule = "more of the name" if self.named and rule == "ingredient" else rule
            if self._comment(measured=measured):
                continue
            self._before_name()
            if not self._name(rule, measured=measured):
                self.place += 1
            elif self.named:
                rule = "more of the name"

    def _joined(self) -> str | None:
        """Behind an ingredient: `or` another, `plus` a measured one, one more of `each` → the rule of the next."""
        if not self.named:
            return None
        if self._is_or(self.place):
            self.place += 1
            rule, amounts = "alternative", "alternative amount"
        elif behind := self._behind_plus(self.place):
            self.place = behind
            rule, amounts = "added ingredient", "added amount"
        else:
            return self._one_more()
        self._measures(amounts)
        self.place += self._now() == "of"
        return rule

    def _behind_plus(self, place: int) -> int | None:
        """`plus 1 yolk`, `, plus 2 tablespoons`; but not `half and half`"""
        place += at(self.tokens, place) == ","
        twice = place > 0 and at(self.tokens, place - 1) == at(self.tokens, place + 1)
        if JOINED.get(at(self.tokens, place)) != "added amount" or twice or self._tail(place):
            return None
        return place + 1 if amount(self.tokens, place + 1) else None

    def _one_more(self) -> str | None:
        """Of `each`: behind a comma or `and`, which is the last."""
        last = self._now() in {"and", "&"} or at(self.tokens, self.place + 1) in {"and", "&"}
        behind = self.place + 1 + (self._now() == "," and last)
        if not self.each or self._now() not in {",", "and", "&"} or at(self.tokens, behind) in HOW | DONE:
            return None
        self.each, self.place = not last, behind
        return "each"

    def _comment(self, *, measured: bool) -> bool:
        """In brackets, behind a comma once the ingredient has its name, `to taste`: or a stray sign."""
        closing = self.closing.get(self.place)
        if closing is not None:
            is_name = bool(self.parts) and self.parts[-1].kind == "ingredient"
            if is_name and self._in_brackets("equal amount" if measured else "", lengths=False):
                return True
            self.place += 1
            self._take("comment", "in brackets", closing)
            self.place = closing + 1
            return True
        if tail := self._tail(self.place):
            self._take("comment", tail, self._comment_end(self.place))
            return True
        return self._sign(measured=measured) if self._stops(self.place) else False

    def _sign(self, *, measured: bool) -> bool:
        ends_name = self._now() in {",", ";"} or self._now() in DASHES
        if self._now() in BRACKETS:
            self._take("unparsed", "stray bracket", self.place + 1)
            return True
        self.place += 1
        if not measured and ends_name and self._measure("", with_unit=True):
            return True
        if self.named and ends_name and self.place < len(self.tokens) and not self._stops(self.place):
            tail = self._tail(self.place)
            self._take("comment", tail or "behind a comma", self._comment_end(self.place))
        return True

    def _before_name(self) -> None:
        """`large`, `finely chopped`; `boneless,` before `skinless chicken`"""
        if self._is_sized(self.place):
            self._take("comment", "size", self.place + 3)
        while (sized := self._behind_size(self.place)) > self.place or self._now() in PREPARED | HOW:
            done = self._now() in HOW and at(self.tokens, self.place + 1) in DONE
            behind = sized if sized > self.place else self.place + 1 + done
            if behind == self.place + 1 and self._now() in HOW:
                return
            if behind >= len(self.tokens) or self._stops(behind) or self._tail(behind) or behind in self.closing:
                break
            self._take("comment", "size" if sized > self.place else "prepared", behind)
        end = self.place
        while end < len(self.tokens) and at(self.tokens, end) in QUALITIES | {"and"}:
            end += 1
        more = end + 1 < len(self.tokens) and self.tokens[end + 1].kind == "word"
        if more and end > self.place and at(self.tokens, end) == "," and at(self.tokens, end + 1) not in HOW | PREPARED:
            self._take("comment", "quality", end)
            self.place = end + 1
            self._before_name()

    def _name(self, rule: str, *, measured: bool) -> bool:
        """Up to a comma, a bracket, `or`, a comment; a number in it was not understood, unless it is its measure."""
        start = self.place
        while self.place < len(self.tokens) and not self._stops(self.place) and self.place not in self.closing:
            if self.place > start and (self._tail(self.place) or self._behind_plus(self.place)):
                break
            if self._now() in NO_NAMES_MARKS:
                self._named(start, rule)
                self._take("unparsed", "mark", self.place + 1)
                return self.place > start
            if self._is_or(self.place) or (self.each and self._now() in {"and", "&"}):
                break
            if self._is_stray(self.place):
                self._named(start, rule)
                self._stray(measured=measured)
                return self.place > start
            self.place += 1
        return self._named(start, rule)

    def _named(self, start: int, rule: str) -> bool:
        """The tokens from `start` to here."""
        end, self.place = self.place, start
        words = [token for token in self.tokens[start:end] if token.kind == "word"]
        if not words:
            self.place = end
            return False
        text = self.line[self.tokens[start].start : self.tokens[end - 1].end]
        if len(words) > NAME_WORDS_MAX or len(text) > NAME_CHARS_MAX:
            self._take("unparsed", "too long for a name", end)
            return True
        kind: Kind = "comment" if rule == "more of the name" else "ingredient"
        is_name = kind == "ingredient"
        self.named |= is_name
        self._take(kind, rule if is_name else "more", end, name=name_of(text) if is_name else "")
        return True

    def _is_stray(self, place: int) -> bool:
        """A number that is no percentage and no part of a word (`7up`)."""
        if self.tokens[place].kind not in {"number", "fraction"} or at(self.tokens, place + 1) in {"%", "°", "º"}:
            return False
        grown = adjacent(self.tokens, place + 1) and self.tokens[place + 1].kind == "word"
        return not (grown and unit(self.tokens, place + 1) is None) and not self._is_sized(place)

    def _is_sized(self, place: int) -> bool:
        """`12-inch`, `7-Up`"""
        if place + 3 >= len(self.tokens) or self.tokens[place].kind != "number":
            return False
        joined = at(self.tokens, place + 1) in DASHES and adjacent(self.tokens, place + 1)
        return joined and adjacent(self.tokens, place + 2) and self.tokens[place + 2].kind == "word"

    def _stray(self, *, measured: bool) -> None:
        """`flour 200 g`: the measure of a line that had none; else a number that nobody understood."""
        start, parts = self.place, len(self.parts)
        if not measured and self._measure("") and (self.parts[-1].kind == "unit" or self.place >= len(self.tokens)):
            return
        self.place = start
        del self.parts[parts:]
        self._take("unparsed", "number", self.place + 1)

    # --- the tokens ---------------------------------------------------------------------------------------------------

    def _is_bullet(self) -> bool:
        return self.tokens[self.place].kind == "mark" and self._now() not in {*OPEN, "~", *TIMES}

    def _is_or(self, place: int) -> bool:
        return at(self.tokens, place) == "or" and place + 1 < len(self.tokens)

    def _stops(self, place: int) -> bool:
        """A comma, a stray bracket, a dash between blanks, a colon."""
        word = at(self.tokens, place)
        if word in DASHES:
            token = self.tokens[place]
            return self.line[token.start - 1 : token.start].isspace() and self.line[token.end : token.end + 1].isspace()
        return word in {",", ";", ":", *OPEN.values()} or (word in OPEN and place not in self.closing)

    def _tail(self, place: int) -> str | None:
        """The rule of the phrase that begins here."""
        if at(self.tokens, place) not in TAIL_STARTS:
            return None
        words = tuple(at(self.tokens, place + index) for index in range(TAIL_WORDS_MAX))
        found = (TAIL_RULES.get(words[:size]) for size in range(TAIL_WORDS_MAX, 0, -1))
        return next((rule for rule in found if rule), None)

    def _comment_end(self, place: int) -> int:
        """The next bracket; a comma ends no comment, a colon that of a line that begins with one (`To serve: …`)."""
        while place < len(self.tokens) and place not in self.closing and (self.named or at(self.tokens, place) != ":"):
            place += 1
        return place
