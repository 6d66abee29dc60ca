"""The grammar of recipes: what real lines mean, and that nothing of any line is lost."""

import string
import sys
from fractions import Fraction
from pathlib import Path
from types import FrameType

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.recipes.ingredients import parse_ingredient
from shared.recipes.instructions import formatted, parse_instruction
from shared.recipes.names import name_of
from shared.recipes.segments import Line, Segment

LINES = [
    tuple(line.split(" | "))
    for line in (Path(__file__).parent / "ingredient_lines.txt").read_text().splitlines()
    if line
]
ROLES = {"package size", "equal amount", "added amount", "subtracted amount", "alternative amount"}

WORDS = [
    *(
        "1",
        "2",
        "1/2",
        "½",
        "1½",
        "14",
        "28-oz",
        "3-4",
        "1,000",
        "1.5",
        ".5",
        "00",
        "7up",
        "half",
        "dozen",
        "one",
        "few",
    ),
    *(
        "to",
        "or",
        "and",
        "a",
        "an",
        "of",
        "for",
        "about",
        "x",
        "×",
        "%",
        "°",
        "cup",
        "cups",
        "T",
        "tsp.",
        "oz",
        "g",
        "can",
    ),
    *("cans", "pinch", "salt", "butter", "large", "chopped", "finely", "boneless,", "taste", "juice", "and-a", "plus"),
    *("minus", "less", "each", "minced,", "eggs", "lb", "3-", "sm.", "from", "doz.", "#", "for", "the"),
    *("(", ")", "[", "]", ",", ";", ":", "-", "–", "/", ".", "+", "~", "é", "①", "\u0301", "\u200b", "  ", "\t"),
]


def short(line: Line) -> str:
    """`2 28<package> [ounce] [can] = tomatoes ; drained ? what was not understood`"""
    told = " ".join(_part(part) for part in line.segments if part.kind != "joint")
    return told if line.status == "parsed" else f"{line.status}: {told}"


def _part(part: Segment) -> str:
    match part.kind:
        case "amount":
            role = f"<{part.rule.split()[0]}>" if part.rule in ROLES else ""
            return _number(part) + role
        case "unit":
            return f"[{part.name}]"
        case "ingredient":
            return f"= {part.name}" + ("<alt>" if part.rule == "alternative" else "")
        case "comment":
            return f"; {part.text}"
        case "number":
            return f"# {part.text}"
    return f"? {part.text}"


def _number(part: Segment) -> str:
    if part.quantity is None:
        return "some"
    low, high = part.quantity.low, part.quantity.high
    return str(low) if low == high else f"{low}..{high}"


@pytest.mark.parametrize(
    ("many", "one"),
    [
        ("Eggs", "egg"),
        ("ripe  TOMATOES", "ripe tomato"),
        ("cherries", "cherry"),
        ("cookies", "cookie"),
        ("peaches", "peach"),
        ("bay leaves", "bay leaf"),
        ("olives", "olive"),
        ("boxes", "box"),
        ("kiwis", "kiwi"),
        ("zucchinis", "zucchini"),
    ],
)
def test_one_and_many_are_the_same_ingredient(many: str, one: str) -> None:
    assert name_of(many) == name_of(one) == one


@pytest.mark.parametrize(
    "name", ["molasses", "bitters", "asparagus", "couscous", "hummus", "watercress", "haggis", "oats", "peas in brine"]
)
def test_what_only_looks_like_many_keeps_its_name(name: str) -> None:
    assert name_of(name) == name


def test_there_are_enough_lines() -> None:
    assert len({line for line, *_ in LINES}) >= 240


@pytest.mark.parametrize(("line", "meaning"), LINES)
def test_a_real_line_means_what_a_cook_reads_in_it(line: str, meaning: str) -> None:
    assert short(parse_ingredient(line)).strip() == meaning.strip()


@pytest.mark.parametrize("text", ["flour ???", "butter <b>", "x = 7 + 3"])
def test_marks_that_no_name_has_are_not_understood(text: str) -> None:
    line = parse_ingredient(text)
    assert line.status == "partly"
    assert not set("".join(line.ingredients)) & set("?<>=")


@given(st.one_of(st.text(max_size=80), st.lists(st.sampled_from(WORDS), max_size=14).map(" ".join)))
@settings(max_examples=600, deadline=None)
def test_the_line_can_be_read_again_from_its_segments(text: str) -> None:
    for line in (parse_ingredient(text), parse_instruction(text)):
        assert line.text == text
        ends = 0
        for part in line.segments:
            assert part.start == ends < part.end
            assert part.text == text[part.start : part.end]
            ends = part.end
        assert ends == len(text)


@given(st.lists(st.sampled_from(WORDS), max_size=14).map(" ".join))
@settings(max_examples=400, deadline=None)
def test_no_word_or_number_passes_for_a_mere_joint(text: str) -> None:
    for part in parse_ingredient(text).segments:
        if part.kind == "joint":
            assert not set(part.text) & set(string.digits)
            letters = "".join(sign if sign.isalpha() else " " for sign in part.text).split()
            assert set(letters) <= {"of", "from", "or", "plus", "minus", "less", "and", "x"}


@pytest.mark.parametrize(
    "unit",
    ["1 ", "(", "(1 cup ", "1 cup (", "(a) ", "or ", "a, ", "1/", "2 x ", "½", "1-", "to ", "plus 1 cup ", "- ", "9"],
)
def test_a_long_line_takes_no_more_than_its_length(unit: str) -> None:
    calls = [_calls(unit * (size // len(unit))) for size in (2_500, 10_000)]
    assert calls[1] < 6 * calls[0], calls


def _calls(text: str) -> int:
    """Python functions that are called to parse it: a measure of work that no other process disturbs."""
    counted = 0

    def count(_frame: FrameType, event: str, _: object) -> None:
        nonlocal counted
        counted += event in {"call", "c_call"}

    sys.setprofile(count)
    try:
        parse_ingredient(text)
        parse_instruction(text)
    finally:
        sys.setprofile(None)
    return counted


DAYS = ("time", "day", 2, 3)
HALF = ("time", "hour", 0.5, 0.5)


def test_amounts_are_exact_and_told_in_grams_or_millilitres() -> None:
    amounts = [part.quantity for part in parse_ingredient("1 1/3 cups (about 7 oz) rice").segments if part.quantity]
    assert [(one.low, one.in_base) for one in amounts] == [
        (Fraction(4, 3), (315.451, 315.451, "ml")),
        (Fraction(7), (198.447, 198.447, "g")),
    ]


@pytest.mark.parametrize(
    ("text", "told", "found"),
    [
        ("1. preheat oven to 350°F", "Preheat oven to 350°F.", [("temperature", "°F", 350, 350)]),
        ("Step 2: Bake  for 40 to 45 minutes", "Bake for 40 to 45 minutes.", [("time", "minute", 40, 45)]),
        ("Simmer 1 1/2 hours, stir!", "Simmer 1 1/2 hours, stir!", [("time", "hour", 1.5, 1.5)]),
        (
            "chill 2-3 days at 4 degrees C.",
            "Chill 2-3 days at 4 degrees C.",
            [("time", "day", 2, 3), ("temperature", "°C", 4, 4)],
        ),
        (
            "Bake at 180C for half an hour",
            "Bake at 180C for half an hour.",
            [("temperature", "°C", 180, 180), HALF],
        ),
        ("2 eggs go in", "2 eggs go in.", []),
        ("- Serve", "Serve.", []),
        ("Turn to 350 degrees", "Turn to 350 degrees.", []),
    ],
)
def test_an_instruction_is_made_fit_to_be_read(text: str, told: str, found: list[tuple[object, ...]]) -> None:
    line = parse_instruction(text)
    assert formatted(line) == told
    assert [(p.kind, p.name, p.quantity.low, p.quantity.high) for p in line.segments if p.quantity] == found
