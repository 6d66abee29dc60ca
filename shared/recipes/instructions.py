"""An instruction: its number, its text, and the times and temperatures in it; and the line made fit to be read."""

from collections.abc import Sequence
from typing import Final

from shared.recipes.amounts import HYPHENS, RANGES, at, number
from shared.recipes.segments import Kind, Line, Quantity, Segment, Token, adjacent, covered, tokens_of
from shared.recipes.words import Unit

TIMES: Final = {
    word: unit
    for unit, words in (
        (Unit("second", "s", 1), ("second", "seconds", "sec", "secs")),
        (Unit("minute", "s", 60), ("minute", "minutes", "min", "mins")),
        (Unit("hour", "s", 3600), ("hour", "hours", "hr", "hrs", "h")),
        (Unit("day", "s", 86_400), ("day", "days")),
    )
    for word in words
}

DEGREES: Final = {"f": "°F", "fahrenheit": "°F", "c": "°C", "celsius": "°C", "centigrade": "°C"}

_TIME: Final[Kind] = "time"
_TEMPERATURE: Final[Kind] = "temperature"

ENDS: Final = (".", "!", "?", ":", ";", ")", '"', "”")


def parse_instruction(line: str) -> Line:
    """One step of a recipe. Never raises; a line without a word in it is `unparsed`."""
    tokens = tokens_of(line)
    begin, parts = _step(line, tokens)
    place = text_from = begin
    while place < len(tokens):
        found = _measured(line, tokens, place)
        if found is None:
            place += 1
            continue
        parts += _text(line, tokens, text_from, place)
        parts.append(found[0])
        place = text_from = found[1]
    parts += _text(line, tokens, text_from, len(tokens))
    has_words = any(token.kind == "word" for token in tokens[begin:])
    return Line(covered(line, parts), "parsed" if has_words else "unparsed")


def formatted(line: Line) -> str:
    """Without its number, one blank between words, a capital letter first, and an end."""
    whole = "".join(part.text for part in line.segments if part.kind != "number")
    text = " ".join(whole.split()).lstrip("-–—•*·.):▢□☐ ")
    if not text:
        return ""
    return text[0].upper() + text[1:] + ("" if text.endswith(ENDS) else ".")


def _step(line: str, tokens: Sequence[Token]) -> tuple[int, list[Segment]]:
    """`1.`, `2)`, `Step 3:` at the beginning → the place behind it."""
    place = int(at(tokens, 0) == "step")
    marked = at(tokens, place + 1) in {".", ")", ":"} and place + 2 < len(tokens)
    if not (place < len(tokens) and tokens[place].kind == "number" and (marked or place)):
        return 0, []
    end = place + 1 + marked
    start, stop = tokens[0].start, tokens[end - 1].end
    return end, [Segment("number", "step", start, stop, line[start:stop])]


def _measured(line: str, tokens: Sequence[Token], place: int) -> tuple[Segment, int] | None:
    """`20 minutes`, `10-15 min`, `350°F`, `180 degrees C`"""
    found = number(tokens, place)
    if found is None or found[0].rule == "article":
        return None
    first, behind = found
    low = high = first.value
    if at(tokens, behind) in RANGES and (second := number(tokens, behind + 1)) and second[0].value > low:
        high, behind = second[0].value, second[1]
    behind += at(tokens, behind) in HYPHENS
    unit, end, kind = TIMES.get(at(tokens, behind)), behind + 1, _TIME
    if unit is None:
        (unit, end), kind = _degrees(tokens, behind), _TEMPERATURE
    if unit is None:
        return None
    start, stop = tokens[place].start, tokens[end - 1].end
    return Segment(kind, kind, start, stop, line[start:stop], unit.name, Quantity(low, high, unit)), end


def _degrees(tokens: Sequence[Token], place: int) -> tuple[Unit | None, int]:
    """→ the scale, and the place behind it. Degrees without one are not guessed at."""
    said = at(tokens, place) in {"°", "º", "degrees", "degree"}
    scale = DEGREES.get(at(tokens, place + said))
    if scale is None or not (said or (adjacent(tokens, place) and len(at(tokens, place)) == 1)):
        return None, place
    return Unit(scale), place + said + 1


def _text(line: str, tokens: Sequence[Token], start: int, end: int) -> list[Segment]:
    if start >= end:
        return []
    first, last = tokens[start].start, tokens[end - 1].end
    return [Segment("text", "text", first, last, line[first:last])]
