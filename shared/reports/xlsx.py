"""Excel, by XlsxWriter: row by row to disk, so that memory does not grow. No text becomes a formula or a link.

https://support.microsoft.com/office/1672b34d-7043-467e-8e27-269d656771c3 has the limits of a sheet. A number of more
than 15 digits before its point, which Excel would round, and a date before 1900 are written as texts.
"""

import shutil
import tempfile
from collections.abc import Iterator
from datetime import date, datetime
from pathlib import Path
from typing import IO, Final

from xlsxwriter import Workbook
from xlsxwriter.format import Format
from xlsxwriter.worksheet import Worksheet

from shared.payloads.report import ReportColumn
from shared.reports.cells import Cell, Cells, Report, exact, written

ROWS_MAX: Final = 1_000_000
CHARS_MAX: Final = 32_767
NUMBER_MAX: Final = 10**15
WIDTH_MIN: Final = 12
SHEET: Final = "Report"

Looks = tuple[Format, ...]
"""Of numbers and texts, of days, of moments."""

_MADE: Final = datetime(2000, 1, 1)  # noqa: DTZ001  the same for all, so that the same rows are the same bytes
_CHARTS: Final = {"bar": "column", "line": "line", "pie": "pie"}


def write(report: Report, rows: Iterator[Cells], out: IO[bytes]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "report.xlsx")
        book = Workbook(str(path), {"constant_memory": True, "tmpdir": folder})
        try:
            _fill(report, rows, book)
        finally:
            book.close()
        with path.open("rb") as file:
            shutil.copyfileobj(file, out, 1 << 20)


def _fill(report: Report, rows: Iterator[Cells], book: Workbook) -> None:
    book.set_properties({"title": report.title, "created": _MADE})
    sheet = book.add_worksheet(SHEET)
    strong = book.add_format({"bold": True})
    sheet.write_string(0, 0, report.title, book.add_format({"bold": True, "font_size": 16}))
    for place, (name, value) in enumerate(report.parameters, 1):
        sheet.write_string(place, 0, name)
        sheet.write_string(place, 1, value[:CHARS_MAX])
    header = len(report.parameters) + 2
    for place, title in enumerate(report.titles):
        sheet.set_column(place, place, max(WIDTH_MIN, min(50, len(title) + 2)))
        sheet.write_string(header, place, title, strong)
    sheet.freeze_panes(header + 1, 0)
    looks = [_looks(book, column) for column in report.columns]
    at = header
    for at, cells in enumerate(rows, header + 1):
        for place, cell in enumerate(cells):
            _put(report, sheet, (at, place), cell, looks[place])
    sheet.autofilter(header, 0, at, len(report.columns) - 1)
    if report.has_totals:
        for place, (column, cell) in enumerate(zip(report.columns, report.total_cells(), strict=True)):
            _put(report, sheet, (at + 1, place), cell, _looks(book, column, bold=True))
    if report.chart and report.rows:
        _draw(report, book, sheet, header + 1, at)


def _put(report: Report, sheet: Worksheet, at: tuple[int, int], cell: Cell, looks: Looks) -> None:
    plain, day, moment = looks
    number = exact(cell)
    if isinstance(cell, bool):
        sheet.write_boolean(*at, cell, plain)
    elif number is not None and abs(number) < NUMBER_MAX:
        sheet.write_number(*at, float(number), plain)
    elif isinstance(cell, datetime) and cell.year >= 1900:
        sheet.write_datetime(*at, cell.replace(tzinfo=None), moment)
    elif isinstance(cell, date) and cell.year >= 1900:
        sheet.write_datetime(*at, cell, day)
    elif cell is not None:
        sheet.write_string(*at, report.shortened(written(cell), CHARS_MAX), plain)


def _looks(book: Workbook, column: ReportColumn, *, bold: bool = False) -> Looks:
    digits = "." + "0" * column.digits if column.digits else ""
    unit = f' "{column.unit}"' if column.unit else ""
    codes = {
        "integer": f"#,##0{unit}",
        "decimal": f"#,##0{digits}{unit}",
        "percent": f"0{digits}%{unit}",
        "text": "@",
    }
    return tuple(
        book.add_format({"num_format": code, "bold": bold})
        for code in (codes.get(column.format or "", "General"), "yyyy-mm-dd", "yyyy-mm-dd hh:mm:ss")
    )


def _draw(report: Report, book: Workbook, sheet: Worksheet, first: int, last: int) -> None:
    """Excel's own chart, over the cells."""
    chart = report.chart
    if chart is None:
        return
    names = [column.name for column in report.columns]
    drawn = book.add_chart({"type": _CHARTS[chart.kind]})
    label = names.index(chart.label)
    for name in chart.values:
        place = names.index(name)
        drawn.add_series(
            {
                "name": report.titles[place],
                "categories": [SHEET, first, label, last, label],
                "values": [SHEET, first, place, last, place],
            }
        )
    drawn.set_title({"name": chart.title or report.title})
    sheet.insert_chart(first - 1, len(names) + 1, drawn)
