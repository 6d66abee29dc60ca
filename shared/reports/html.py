"""One self-contained page: nothing is fetched, nothing runs, everything is escaped."""

import shutil
import tempfile
from collections.abc import Iterator
from html import escape
from typing import IO, Final

from shared.payloads.report import ReportColumn
from shared.reports.cells import Cell, Cells, Report, exact, text_of
from shared.reports.chart import svg

ROWS_MAX: Final = 20_000
HELD_BYTES_MAX: Final = 4 << 20
_STYLE: Final = """body{font:14px/1.4 system-ui,sans-serif;margin:2rem;color:#222}table{border-collapse:collapse}
th,td{padding:.25rem .6rem;border-bottom:1px solid #ddd;text-align:left;vertical-align:top;white-space:pre-wrap}
th{position:sticky;top:0;background:#fff}td.n{text-align:right;font-variant-numeric:tabular-nums}
tfoot td{font-weight:bold}
dl{display:grid;grid-template-columns:max-content auto;gap:.1rem 1rem}dd{margin:0}svg{max-width:100%;height:auto}"""


def write(report: Report, rows: Iterator[Cells], out: IO[bytes]) -> None:
    """The chart stands above the rows, which are read first."""
    with tempfile.SpooledTemporaryFile(HELD_BYTES_MAX) as body:
        for cells in rows:
            body.write(_row(report, cells))
        body.seek(0)
        out.write(_head(report).encode("utf-8", "replace"))
        shutil.copyfileobj(body, out, 1 << 18)
    out.write(b"</tbody>")
    if report.has_totals:
        out.write(b"<tfoot>" + _row(report, tuple(report.total_cells())) + b"</tfoot>")
    out.write(b"</table></body></html>\n")


def _head(report: Report) -> str:
    title = escape(report.title)
    parameters = "".join(f"<dt>{escape(name)}</dt><dd>{escape(value)}</dd>" for name, value in report.parameters)
    titles = "".join(f"<th>{escape(title)}</th>" for title in report.titles)
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">"
        f"<title>{title}</title><style>{_STYLE}</style></head><body><h1>{title}</h1>"
        f"<dl>{parameters}</dl>{svg(report)}<table><thead><tr>{titles}</tr></thead><tbody>\n"
    )


def _row(report: Report, cells: Cells) -> bytes:
    return f"<tr>{''.join(map(_cell, report.columns, cells))}</tr>\n".encode("utf-8", "replace")


def _cell(column: ReportColumn, cell: Cell) -> str:
    kind = ' class="n"' if exact(cell) is not None else ""
    return f"<td{kind}>{escape(text_of(column, cell))}</td>"
