"""A note, exported as HTML, as lines of a recipe. What it holds is data: no markup, link or script of it means more.

Where the ingredients are: under their heading; without headings, in a list with dots, instructions in one with numbers;
without lists, where lines begin with amounts. `found_by` says which it was.
"""

import codecs
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from lxml import etree

from shared.errors import Permanent
from shared.payloads.import_note import HTML_BYTES_MAX
from shared.payloads.parse_ingredient import LINE_CHARS_MAX, LINES_MAX
from shared.recipes.ingredients import parse_ingredient
from shared.recipes.notes_model import LineKind, Note, NoteLine

MARKS: Final = {codecs.BOM_UTF8: "utf-8-sig", codecs.BOM_UTF16_LE: "utf-16", codecs.BOM_UTF16_BE: "utf-16"}
WINDOWS: Final = "windows-1252"
PAGE_LINES_MAX: Final = 5 * LINES_MAX

TEXT_CHARS_MAX: Final = 300
"""Of a title, a source, a heading: what is longer is cut."""

TAGS_MAX: Final = 50
TAG_CHARS_MAX: Final = 100

BLOCKS: Final = frozenset(
    {"address", "article", "blockquote", "body", "br", "dd", "div", "dl", "dt", "en-note", "h1", "h2", "h3", "h4", "h5"}
    | {"h6", "hr", "li", "main", "ol", "p", "pre", "section", "table", "td", "th", "tr", "ul"}
)
HEADINGS: Final = frozenset({"h1", "h2", "h3", "h4", "h5", "h6"})
UNSEEN: Final = frozenset({"script", "style", "title", "svg", "template", "noscript", "iframe", "object", "textarea"})
LISTS: Final = frozenset({"ul", "ol"})

SECTIONS: Final[dict[str, LineKind | None]] = {
    **dict.fromkeys(("ingredients", "ingredient", "ingredient list", "you will need", "what you need"), "ingredient"),
    **dict.fromkeys(("instructions", "directions", "method", "preparation", "steps", "procedure"), "instruction"),
    **dict.fromkeys(("how to make it", "cooking instructions", "to make", "cooking directions"), "instruction"),
    **dict.fromkeys(("notes", "note", "tips", "nutrition", "nutrition facts", "comments", "equipment"), None),
}
"""Heading → what stands under it; None: neither."""

WORDS_OF_AN_INGREDIENT_MAX: Final = 15


@dataclass(frozen=True, slots=True)
class _Text:
    """One line of the page: in a heading, a list (`ul`, `ol`) or neither; the `block`-th behind blank lines."""

    style: str
    text: str
    block: int


def read_note(html: bytes, *, field: str = "html") -> Note:
    """In UTF-8, UTF-16 with its mark, or Windows-1252. Raises Permanent("too_large", "not_a_note", "no_recipe")
    about `field`."""
    if len(html) > HTML_BYTES_MAX:
        raise Permanent("too_large", f"more than {HTML_BYTES_MAX:,} bytes", field=field)
    text = _text(html, field)
    page = _Page()
    parser = etree.HTMLParser(target=page, encoding="utf-8", no_network=True)
    try:
        parser.feed(text.encode())
        parser.close()
    except etree.LxmlError:
        raise Permanent("not_a_note", "no HTML can be found in it", field=field) from None
    if len(page.lines) > PAGE_LINES_MAX:
        raise Permanent("too_large", f"more than {PAGE_LINES_MAX:,} lines", field=field)
    found_by, lines, left_out = _sorted(page.lines)
    _check(lines, field)
    title = page.said.get("title") or page.heading or "(untitled)"
    source = page.said.get("source-url") or page.said.get("source") or ""
    created = page.said.get("created", "")
    return Note(title, source, created, tuple(page.tags)[:TAGS_MAX], tuple(lines), found_by, left_out)


def _text(html: bytes, field: str) -> str:
    """By its mark; else UTF-8; else what it declares or what HTML was written in before:
    https://encoding.spec.whatwg.org/#names-and-labels. What is declared of others is not guessed at."""
    mark = next((name for sign, name in MARKS.items() if html.startswith(sign)), None)
    try:
        text = html.decode(mark or "utf-8")
    except UnicodeDecodeError:
        declared = re.search(rb"charset\s*=\s*[\"']?([\w-]+)", html[:1024])
        name = declared[1].decode("ascii", "replace").casefold() if declared else WINDOWS
        if mark or name not in {"utf-8", "iso-8859-1", "latin1", "us-ascii", WINDOWS}:
            raise Permanent(
                "not_a_note", f"it can't be read as {mark or name}: save it in UTF-8", field="html"
            ) from None
        text = html.decode(WINDOWS, "replace")
    if "\0" in text:
        raise Permanent("not_a_note", "zero bytes are in it: it is no text, or not in UTF-8", field=field)
    return text


class _Page:
    """What the parser calls: a line ends where a block does."""

    def __init__(self) -> None:
        self.said: dict[str, str] = {}
        self.tags: dict[str, None] = {}
        self.heading = ""
        self.lines: list[_Text] = []
        self._open: list[str] = []
        self._unseen = 0
        self._held: list[str] = []
        self._title: list[str] = []
        self._block = 0

    def start(self, tag: str, attributes: dict[str, str]) -> None:
        self._open.append(tag)
        self._unseen += tag in UNSEEN
        if tag in BLOCKS:
            self._end_line(blank=tag in {"br", "hr"})
        if tag == "meta":
            name = attributes.get("itemprop") or attributes.get("name") or ""
            self._meta(name.casefold(), _one_line(attributes.get("content") or ""))

    def end(self, tag: str) -> None:
        if tag in BLOCKS and tag != "br":
            self._end_line()
        self._unseen -= tag in UNSEEN
        self._open.pop()

    def data(self, text: str) -> None:
        if not self._unseen:
            self._held.append(text)
        elif self._open[-1] == "title" and "title" not in self.said:
            self._title.append(text)

    def comment(self, text: str) -> None:
        """Not for us."""

    def pi(self, target: str, text: str | None = None) -> None:
        """Not for us."""

    def close(self) -> None:
        self._end_line()
        if title := _one_line("".join(self._title)):
            self.said.setdefault("title", title[:TEXT_CHARS_MAX])

    def _meta(self, name: str, content: str) -> None:
        if name in {"keywords", "tag"}:
            self.tags |= {tag.strip()[:TAG_CHARS_MAX]: None for tag in content.split(",") if tag.strip()}
        elif content:
            self.said.setdefault(name, content[:TEXT_CHARS_MAX])

    def _end_line(self, *, blank: bool = False) -> None:
        text = _one_line("".join(self._held))
        self._held.clear()
        self._block += blank and not text
        if not text:
            return
        style = next((tag for tag in reversed(self._open[-8:]) if tag in HEADINGS | LISTS), "")
        if style == "h1" and not self.heading and not self.lines:
            self.heading = text[:TEXT_CHARS_MAX]
            return
        self.lines.append(_Text(style, text, self._block))


def _sorted(lines: Sequence[_Text]) -> tuple[str, list[NoteLine], int]:
    """→ how they were found, the ingredients and instructions, how many lines are neither"""
    kinds: list[tuple[LineKind | None, _Text]]
    if any(SECTIONS.get(_as_heading(line.text)) == "ingredient" for line in lines):
        found_by, kinds = "headings", list(_by_headings(lines))
    elif {"ul", "ol"} <= {line.style for line in lines}:
        by_style: dict[str, LineKind] = {"ul": "ingredient", "ol": "instruction"}
        found_by, kinds = "lists", [(by_style.get(line.style), line) for line in lines]
    else:
        found_by, kinds = "amounts", list(_by_amounts(lines))
    found, left_out, blocks = [], 0, {"ingredient": "", "instruction": ""}
    counts = {"ingredient": 0, "instruction": 0}
    for kind, line in kinds:
        if kind is None:
            left_out += 1
        elif line.style in HEADINGS or line.text.endswith(":") or (kind == "ingredient" and _heads(line.text)):
            blocks[kind] = line.text.strip(":* ")[:TEXT_CHARS_MAX]
        else:
            found.append(NoteLine(kind, counts[kind], blocks[kind], line.text))
            counts[kind] += 1
    return found_by, found, left_out


def _by_headings(lines: Iterable[_Text]) -> Iterable[tuple[LineKind | None, _Text]]:
    kind: LineKind | None = None
    for line in lines:
        heading = _as_heading(line.text)
        if heading in SECTIONS:
            kind = SECTIONS[heading]
        else:
            yield kind, line


def _by_amounts(lines: Iterable[_Text]) -> Iterable[tuple[LineKind | None, _Text]]:
    """What stands in one block with lines that have an amount, and is short, is an ingredient as they are."""
    measured = -1
    for line in lines:
        if _has_amount(line.text):
            measured = line.block
            yield "ingredient", line
        elif measured < 0:
            yield None, line
        else:
            short = len(line.text.split()) <= 6 and not line.text.endswith(".")
            yield ("ingredient" if short and line.block == measured else "instruction"), line


def _has_amount(text: str) -> bool:
    if len(text) > TEXT_CHARS_MAX or len(text.split()) > WORDS_OF_AN_INGREDIENT_MAX or re.match(r"\d+[.)]\s", text):
        return False
    line = parse_ingredient(text)
    first = next((part for part in line.segments if part.kind not in {"joint", "comment"}), None)
    return line.status != "unparsed" and first is not None and first.kind == "amount"


def _heads(text: str) -> bool:
    """`For the sauce`"""
    return any(part.rule == "heading" for part in parse_ingredient(text).segments)


def _as_heading(text: str) -> str:
    return text.strip(" :*-").casefold() if len(text) < 40 else ""


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _check(lines: Sequence[NoteLine], field: str) -> None:
    if not lines:
        raise Permanent("no_recipe", "neither ingredients nor instructions can be found in it", field=field)
    if len(lines) > LINES_MAX:
        raise Permanent("too_large", f"{len(lines):,} lines; at most {LINES_MAX:,}", field=field)
    if any(len(line.text) > LINE_CHARS_MAX for line in lines):
        raise Permanent("too_large", f"a line of more than {LINE_CHARS_MAX:,} characters", field=field)
