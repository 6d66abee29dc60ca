"""What others are to read, made safe. Pure. A model writes what an issue told it to: its words call nobody, close
nothing, load nothing, and say no secret.
"""

import re
from typing import Final

from shared.issues.connection import Known, without_lookalikes

BODY_CHARACTERS_MAX: Final = 30_000
TITLE_CHARACTERS_MAX: Final = 72

_WORD_JOINER: Final = "\u2060"

_CALLS: Final = re.compile(
    r"(?<=[@#])(?=\w)"  # `@name` tells somebody, `#12` names an issue that a merge may close
    r"|(?<=(?<![\w/.:~-])/)(?=\w)"  # `/merge` is an order to the robots of many repositories, which trust us
    r"|(?<=<)(?=[A-Za-z/!?])"  # a tag, or a comment that hides what comes
    r"|(?<=!)(?=\[)"  # whoever looks at a page loads its pictures, from an address that may tell what is private
    r"|(?<=&)(?=#?\w+;)"  # `&commat;name` would be `@name` to those who look at the page
)

_CLOSES: Final = re.compile(
    r"\b((?:clos|fix|resolv)(?:e[sd]?|es|ed)?)\b(:?\s+)(?=.{0,200}(?:https?:|GH-))", re.IGNORECASE
)
"""https://docs.github.com/en/issues/tracking-your-work-with-issues/using-issues/linking-a-pull-request-to-an-issue"""


def marker(word: str) -> str:
    """By which a job finds what it has written; nobody sees it."""
    return f"<!-- longshore {word} -->"


def printable(text: str, and_these: str = "") -> str:
    """The same without what moves a terminal's cursor, or isn't seen."""
    return "".join(character for character in text if character.isprintable() or character in and_these)


def harmless(text: str, known: Known) -> str:
    """Markdown of a model as it may be shown."""
    text = without_lookalikes(known.scrub(printable(text, "\n\t")))[:BODY_CHARACTERS_MAX]
    return _CLOSES.sub(rf"\1{_WORD_JOINER}\2", _CALLS.sub(_WORD_JOINER, text))


def one_line(text: str, known: Known) -> str:
    """A title: a commit's, too."""
    return " ".join(harmless(text, known).split())[:TITLE_CHARACTERS_MAX].strip() or "A change"
