"""The one name an ingredient is known by: in small letters, of one width, its last word in the singular.

`Eggs` and `egg` are one ingredient. English by its endings; a word of which they tell the wrong thing is in a table.
"""

import unicodedata
from typing import Final

SINGULARS: Final = {
    "leaves": "leaf",
    "loaves": "loaf",
    "halves": "half",
    "chillies": "chilli",
    "chilies": "chili",
    **{word: word[:-1] for word in ("cookies", "brownies", "veggies", "pies", "smoothies", "quiches")},
}

NOT_PLURAL: Final = frozenset({"molasses", "bitters", "schnapps", "oats", "grits", "greens", "gas", "haggis", "cassis"})

ENDINGS: Final = (
    *(("ss", "ss"), ("us", "us"), ("sses", "ss"), ("shes", "sh"), ("ches", "ch"), ("xes", "x")),
    *(("oes", "o"), ("ies", "y"), ("s", "")),
)
"""The first that a word ends with → what it ends with in the singular."""

LETTERS_MIN: Final = 4


def name_of(text: str) -> str:
    """`Large  Eggs` → `large egg`; nothing, if nothing but signs is in it."""
    name = " ".join(unicodedata.normalize("NFKC", text).casefold().split()).strip(" .,;:*-–—")
    before, blank, last = name.rpartition(" ")
    return before + blank + singular(last)


def singular(word: str) -> str:
    if word in SINGULARS:
        return SINGULARS[word]
    if word in NOT_PLURAL or len(word) < LETTERS_MIN or not word.isalpha():
        return word
    return next((word.removesuffix(end) + then for end, then in ENDINGS if word.endswith(end)), word)
