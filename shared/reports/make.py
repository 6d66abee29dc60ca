"""One report out of a database. Runs in a session's thread."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import import_module
from typing import IO, Final, Protocol, cast

from shared.databases.engine import Reader
from shared.databases.progress import Tell, Watch
from shared.databases.schema import quote
from shared.databases.session import Outlet
from shared.payloads.report import ReportPayload
from shared.reports.cells import Cells, Report, gather, plan

_MODULES: Final = {"csv": "csv_file", "html": "html", "pdf": "pdf", "xlsx": "xlsx"}
"""Each imported when it is asked for: their libraries are heavy."""


class Format(Protocol):
    ROWS_MAX: int
    write: Callable[[Report, Iterator[Cells], IO[bytes]], None]


@dataclass(frozen=True, slots=True)
class Made:
    rows: int
    columns: int
    cells_shortened: int
    texts_without_glyphs: int


def make_report(database: Reader, payload: ReportPayload, out: Outlet, *, tell: Tell, watch: Watch) -> Made:
    """Raises Permanent("query_refused", "no_such_column", "too_large", "bad_value")."""
    format_ = cast("Format", import_module(f"shared.reports.{_MODULES[payload.output_format]}"))
    table = database.query(payload.query or f"SELECT * FROM {quote(next(iter(payload.files or ())))}")  # noqa: S608  quoted
    report, cells_of = plan(payload, table, format_.ROWS_MAX)
    rows = gather(report, map(cells_of, database.rows(table)), watch, tell)
    format_.write(report, rows, cast("IO[bytes]", out))
    out.finish()
    return Made(report.rows, len(report.columns), report.cells_shortened, report.texts_without_glyphs)
