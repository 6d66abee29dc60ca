"""PDF by Typst, of a document of our own that takes all words as data: none of them is markup.

Typst holds the whole document (2,000 rows of six columns: 360 MB for 1.4 s), so rows are few and cells short. Fonts are
those in its wheel, which don't have every script; the machine's are not looked at, so that the bytes are the same
anywhere. Typst draws a box for what has no glyph, and tells nobody: so it is asked for such glyphs beforehand.
"""

import json
import re
from collections.abc import Iterator
from itertools import chain
from typing import IO, Final, Literal

import typst

from shared.errors import Permanent
from shared.reports.cells import Cells, Report, exact, text_of
from shared.reports.chart import svg

ROWS_MAX: Final = 2_000
CELLS_MAX: Final = 16_000
CHARS_MAX: Final = 500
_WIDE: Final = 6
_DOCUMENT: Final = b"""
#let report = json(bytes(sys.inputs.at("report")))
#set document(title: report.title, date: none)
#set page(paper: "a4", flipped: report.wide, margin: 1.5cm, numbering: "1 / 1")
#set text(size: 9pt, lang: "en")
#text(size: 16pt, weight: "bold", report.title)
#if report.parameters.len() > 0 {
  grid(columns: 2, column-gutter: 1em, row-gutter: 0.5em, ..report.parameters.flatten().map(word => text(word)))
}
#if report.chart != "" { image(bytes(report.chart), format: "svg", width: 100%) }
#table(
  columns: report.align.map(_ => auto), stroke: (x, y) => (bottom: 0.4pt + luma(200)), inset: 4pt,
  align: (x, y) => if report.align.at(x) { right } else { left },
  table.header(..report.titles.map(word => text(weight: "bold", word))),
  ..report.rows.flatten().map(word => text(word)),
  ..report.totals.map(word => text(weight: "bold", word)),
)
"""

_GLYPHS: Final = b"""
#set page(width: auto, height: auto)
#for (color, word) in json(bytes(sys.inputs.at("report"))) { block(text(fill: rgb(color), word)) }
"""
_GLYPH: Final = re.compile(rb'<use xlink:href="#(\w+)"[^>]* fill="(#[0-9a-f]{6})"')
_SURE: Final = "\u017f"
"""Latin as far as here is in every font."""

_NOBODYS: Final = "\U0010fffe"
"""No character, so it has no glyph: https://www.unicode.org/faq/private_use.html#nonchar1"""


def write(report: Report, rows: Iterator[Cells], out: IO[bytes]) -> None:
    if report.rows_max * len(report.columns) > CELLS_MAX:
        report.rows_max = CELLS_MAX // len(report.columns)
    right = [False] * len(report.columns)
    texts = []
    for cells in rows:
        right = [was or exact(cell) is not None for was, cell in zip(right, cells, strict=True)]
        texts.append(_texts(report, cells))
    parameters = [(name, _fits(report, value)) for name, value in report.parameters]
    totals = _texts(report, tuple(report.total_cells())) if report.has_totals else []
    shown = [[report.title, *report.titles, *totals], *parameters, *texts]
    report.texts_without_glyphs = _without_glyphs([*chain.from_iterable(shown)])
    document = {
        "title": report.title,
        "parameters": parameters,
        "wide": len(report.columns) > _WIDE,
        "chart": svg(report),
        "align": right,
        "titles": report.titles,
        "rows": texts,
        "totals": totals,
    }
    out.write(_compiled(_DOCUMENT, document, "pdf"))


def _texts(report: Report, cells: Cells) -> list[str]:
    return [_fits(report, text_of(column, cell)) for column, cell in zip(report.columns, cells, strict=True)]


def _fits(report: Report, text: str) -> str:
    return report.shortened(text.encode("utf-8", "replace").decode(), CHARS_MAX)


def _without_glyphs(texts: list[str]) -> int:
    """How many of the texts have a character that is drawn as the box that nobody's character is."""
    odd = {char for text in texts for char in text if char > _SURE}
    if not odd:
        return 0
    colors = {f"#{number:06x}": char for number, char in enumerate([_NOBODYS, *sorted(odd)])}
    glyphs = {
        colors[color.decode()]: glyph for glyph, color in _GLYPH.findall(_compiled(_GLYPHS, [*colors.items()], "svg"))
    }
    boxes = {char for char, glyph in glyphs.items() if glyph == glyphs[_NOBODYS]}
    return sum(not boxes.isdisjoint(text) for text in texts)


def _compiled(program: bytes, report: object, form: Literal["pdf", "svg"]) -> bytes:
    inputs = {"report": json.dumps(report, ensure_ascii=False)}
    try:
        made = typst.compile(program, format=form, sys_inputs=inputs, ignore_system_fonts=True)
    except typst.TypstError as error:
        raise Permanent("bad_value", f"no PDF can be made of this: {error.message}") from None
    if not isinstance(made, bytes):
        raise Permanent("bad_value", "no PDF can be made of this: it has no pages")
    return made
