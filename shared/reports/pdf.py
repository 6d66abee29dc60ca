"""PDF by Typst, of a document of our own that takes all words as data: none of them is markup.

Typst holds the whole document (2,000 rows of six columns: 360 MB for 1.4 s), so rows are few and cells short. Fonts are
those in its wheel: Latin, Greek and Cyrillic; the machine's are not looked at, so that the bytes are the same anywhere.
"""

import json
from collections.abc import Iterator
from typing import IO, Final

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


def write(report: Report, rows: Iterator[Cells], out: IO[bytes]) -> None:
    if report.rows_max * len(report.columns) > CELLS_MAX:
        report.rows_max = CELLS_MAX // len(report.columns)
    right = [False] * len(report.columns)
    texts = []
    for cells in rows:
        right = [was or exact(cell) is not None for was, cell in zip(right, cells, strict=True)]
        texts.append(_texts(report, cells))
    document = {
        "title": report.title,
        "parameters": [(name, _fits(report, value)) for name, value in report.parameters],
        "wide": len(report.columns) > _WIDE,
        "chart": svg(report),
        "align": right,
        "titles": report.titles,
        "rows": texts,
        "totals": _texts(report, tuple(report.total_cells())) if report.has_totals else [],
    }
    out.write(_compiled(json.dumps(document, ensure_ascii=False)))


def _texts(report: Report, cells: Cells) -> list[str]:
    return [_fits(report, text_of(column, cell)) for column, cell in zip(report.columns, cells, strict=True)]


def _fits(report: Report, text: str) -> str:
    return report.shortened(text.encode("utf-8", "replace").decode(), CHARS_MAX)


def _compiled(report: str) -> bytes:
    try:
        made = typst.compile(_DOCUMENT, format="pdf", sys_inputs={"report": report}, ignore_system_fonts=True)
    except typst.TypstError as error:
        raise Permanent("bad_value", f"no PDF can be made of this: {error.message}") from None
    if not isinstance(made, bytes):
        raise Permanent("bad_value", "no PDF can be made of this: it has no pages")
    return made
