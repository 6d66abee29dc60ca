"""What is in a report, and how a value is read from a database and written for people.

A value that does not fit its column's format stays the text it is, and has no part in totals and charts.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from decimal import ROUND_HALF_UP, Context, Decimal, InvalidOperation
from typing import Final

from shared.databases.engine import Row, Value
from shared.databases.progress import Watch
from shared.databases.schema import Table
from shared.errors import Permanent
from shared.payloads.report import ReportChart, ReportColumn, ReportPayload

Number = int | float | Decimal
Cell = None | bool | Number | str | date
Cells = tuple[Cell, ...]

CHART_POINTS_MAX: Final = 1_000
CHECK_ROWS: Final = 1_000

_FORMATS: Final = {"integer": "number", "decimal": "number", "percent": "number", "date": "date", "datetime": "moment"}
_BASES: Final = {
    **dict.fromkeys(("int2", "int4", "int8", "numeric", "float4", "float8"), "number"),
    **dict.fromkeys(("timestamp", "timestamptz"), "moment"),
    "date": "date",
}
"""PostgreSQL's types; values of others, and SQLite's, are what they are."""

_EXACT: Final = Context(prec=100)


@dataclass(slots=True)
class Total:
    """Of one column's numbers; `count` of everything that is not NULL. Fractions are added by their shortest text."""

    kind: str
    count: int = 0
    numbers: int = 0
    sum: Decimal = Decimal(0)
    least: Decimal | None = None
    greatest: Decimal | None = None

    def add(self, cell: Cell) -> None:
        self.count += cell is not None
        number = exact(cell)
        if number is None:
            return
        self.numbers += 1
        self.sum = _EXACT.add(self.sum, number)
        self.least = number if self.least is None else min(self.least, number)
        self.greatest = number if self.greatest is None else max(self.greatest, number)

    @property
    def value(self) -> Cell:
        match self.kind:
            case "count":
                return self.count
            case "sum":
                return self.sum
            case "min":
                return self.least
            case "max":
                return self.greatest
        return _EXACT.divide(self.sum, Decimal(self.numbers)).normalize(Context(prec=28)) if self.numbers else None


@dataclass(slots=True)
class Report:
    """`rows`, `totals` and `points` are complete when all rows have been read."""

    title: str
    parameters: list[tuple[str, str]]
    columns: tuple[ReportColumn, ...]
    chart: ReportChart | None
    rows_max: int
    rows: int = 0
    cells_shortened: int = 0
    texts_without_glyphs: int = 0
    totals: list[Total | None] = field(default_factory=list)
    points: list[tuple[str, tuple[Decimal | None, ...]]] = field(default_factory=list)

    @property
    def has_totals(self) -> bool:
        return any(self.totals)

    @property
    def titles(self) -> list[str]:
        return [column.title or column.name for column in self.columns]

    def total_cells(self) -> list[Cell]:
        cells = [total.value if total else None for total in self.totals]
        return ["Total" if place == 0 and cell is None else cell for place, cell in enumerate(cells)]

    def shortened(self, text: str, chars_max: int) -> str:
        if len(text) <= chars_max:
            return text
        self.cells_shortened += 1
        return text[: chars_max - 1] + "…"


def plan(payload: ReportPayload, table: Table, rows_max: int) -> tuple[Report, Callable[[Row], Cells]]:
    """→ the report without its rows, and what makes cells of a row. Raises Permanent("no_such_column")."""
    names = table.column_names
    columns = payload.columns or tuple(ReportColumn(name=name) for name in names)
    places = [_place(names, column.name, f"columns.{at}") for at, column in enumerate(columns)]
    shown = [column.name for column in columns]
    if payload.chart:
        for name in (payload.chart.label, *payload.chart.values):
            _place(shown, name, "chart")
    reads = [_reading(column, table.columns[place].base) for column, place in zip(columns, places, strict=True)]
    report = Report(
        title=payload.title,
        parameters=[(name, written(value)) for name, value in payload.parameters.items()],
        columns=columns,
        chart=payload.chart,
        rows_max=rows_max,
        totals=[Total(column.total) if column.total else None for column in columns],
    )
    return report, lambda row: tuple(read(row[place]) for read, place in zip(reads, places, strict=True))


def gather(report: Report, rows: Iterator[Cells], watch: Watch, tell: Callable[[int], None]) -> Iterator[Cells]:
    """The rows, counted, added up, and kept for the chart. Raises Permanent("too_large")."""
    chart = report.chart
    shown = [column.name for column in report.columns]
    label = shown.index(chart.label) if chart else 0
    values = [shown.index(name) for name in chart.values] if chart else []
    totals = [(place, total) for place, total in enumerate(report.totals) if total]
    for report.rows, cells in enumerate(rows, 1):
        if report.rows > report.rows_max:
            message = f"more than {report.rows_max:,} rows, the most that this format takes"
            raise Permanent("too_large", message, field="output_format")
        for place, total in totals:
            total.add(cells[place])
        if chart:
            _keep_point(report, text_of(report.columns[label], cells[label]), [exact(cells[place]) for place in values])
        if report.rows % CHECK_ROWS == 0:
            tell(CHECK_ROWS)
            if watch.short():
                raise Permanent("too_large", "it must be done within one invocation: ask for fewer rows", field="query")
        yield cells
    tell(report.rows % CHECK_ROWS)


def text_of(column: ReportColumn, cell: Cell) -> str:
    """As people read it: `1,234.50 €`."""
    number = exact(cell)
    if number is None or column.format not in ("integer", "decimal", "percent"):
        return written(cell)
    if column.format == "percent":
        number = _EXACT.multiply(number, Decimal(100))
    digits = 0 if column.format == "integer" else column.digits
    try:
        text = f"{number.quantize(Decimal(1).scaleb(-digits), ROUND_HALF_UP, _EXACT):,}"
    except InvalidOperation:  # more than a hundred digits
        return written(cell)
    return text + (" %" if column.format == "percent" else "") + (f" {column.unit}" if column.unit else "")


def written(cell: Cell) -> str:
    """Exactly, without a format."""
    if cell is None:
        return ""
    if isinstance(cell, bool):
        return "true" if cell else "false"
    return cell.isoformat(" ") if isinstance(cell, datetime) else str(cell)


def exact(cell: Cell) -> Decimal | None:
    """A finite number as it is written; None for anything else."""
    if isinstance(cell, bool) or not isinstance(cell, int | float | Decimal):
        return None
    number = Decimal(repr(cell)) if isinstance(cell, float) else Decimal(cell)
    return number if number.is_finite() else None


def _keep_point(report: Report, label: str, values: Sequence[Decimal | None]) -> None:
    if len(report.points) == CHART_POINTS_MAX:
        raise Permanent("too_large", f"a chart takes at most {CHART_POINTS_MAX:,} rows", field="chart")
    report.points.append((label[:80], tuple(values)))


def _place(names: Sequence[str], name: str, where: str) -> int:
    if name not in names:
        raise Permanent("no_such_column", f"the query has no column {name!r}", field=where)
    return names.index(name)


def _reading(column: ReportColumn, base: str) -> Callable[[Value], Cell]:
    return _READ[_FORMATS.get(column.format or "", "text" if column.format else _BASES.get(base, "plain"))]


def _plain(value: Value) -> Cell:
    return f"\\x{value.hex()}" if isinstance(value, bytes) else value


def _text(value: Value) -> Cell:
    return None if value is None else written(_plain(value))


def _number(value: Value) -> Cell:
    if not isinstance(value, str):
        return _plain(value)
    try:
        number = Decimal(value)
    except InvalidOperation:
        return value
    return number if number.is_finite() else value


def _moment(value: Value) -> Cell:
    """With a zone: in UTC, which is then said."""
    try:
        moment = datetime.fromisoformat(value) if isinstance(value, str) else None
    except ValueError:
        return _plain(value)
    if moment is None:
        return _plain(value)
    return moment.astimezone(UTC) if moment.tzinfo else moment


def _date(value: Value) -> Cell:
    moment = _moment(value)
    return moment.date() if isinstance(moment, datetime) else moment


_READ: Final[dict[str, Callable[[Value], Cell]]] = {
    "plain": _plain,
    "text": _text,
    "number": _number,
    "moment": _moment,
    "date": _date,
}
