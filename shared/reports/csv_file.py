"""CSV for spreadsheets and programs: a header and the rows, values exact. No title, no totals.

A text that a spreadsheet would take for a formula gets an apostrophe in front:
https://owasp.org/www-community/attacks/CSV_Injection
"""

import csv
import io
from collections.abc import Iterator
from typing import IO, Final

from shared.reports.cells import Cell, Cells, Report, written

ROWS_MAX: Final = 10_000_000
CHUNK_CHARS: Final = 256 * 1024
_FORMULA_BEGINS: Final = (*"=+-@\t\r\n", *"\uff1d\uff0b\uff0d\uff20")
"""The last four are the first four in full width. https://owasp.org/www-community/attacks/CSV_Injection"""


def write(report: Report, rows: Iterator[Cells], out: IO[bytes]) -> None:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\r\n")
    writer.writerow([_defused(title) for title in report.titles])
    for cells in rows:
        writer.writerow([_defused(cell) for cell in cells])
        if text.tell() > CHUNK_CHARS:
            _flush(text, out)
    _flush(text, out)


def _defused(cell: Cell) -> str:
    if isinstance(cell, str):
        return f"'{cell}" if cell.startswith(_FORMULA_BEGINS) else cell
    return written(cell)


def _flush(text: io.StringIO, out: IO[bytes]) -> None:
    out.write(text.getvalue().encode("utf-8", "replace"))
    text.seek(0)
    text.truncate()
