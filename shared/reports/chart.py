"""A chart as SVG: bars, lines or a pie, with axes, a legend, and nothing that runs."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from html import escape
from typing import Final

from shared.errors import Permanent
from shared.payloads.report import ReportChart
from shared.reports.cells import Report

WIDTH: Final = 800
HEIGHT: Final = 380
LEFT, RIGHT, TOP, BOTTOM = 90, 20, 40, 70
LABELS_MAX: Final = 16
SLICES_MAX: Final = 30
COLOURS: Final = ("#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00")
"""Okabe and Ito's, which the colour-blind tell apart too: https://jfly.uni-koeln.de/color/"""

Point = tuple[str, tuple[Decimal | None, ...]]


def svg(report: Report) -> str:
    """ "" if there is no chart, or nothing in it. Raises Permanent("bad_value") for a pie that cannot be cut."""
    chart = report.chart
    if chart is None or not report.points:
        return ""
    body = _pie(report.points) if chart.kind == "pie" else _axes_and_values(chart, report)
    title = escape(_clean(chart.title or report.title))
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" height="{HEIGHT}" '
        f'font-family="Libertinus Serif, sans-serif" font-size="12" fill="#222">'
        f'<text x="{WIDTH / 2}" y="20" text-anchor="middle" font-size="15">{title}</text>{"".join(body)}</svg>'
    )


@dataclass(frozen=True, slots=True)
class Scale:
    """From values to heights."""

    least: float
    greatest: float
    step: float

    def y(self, value: float) -> float:
        share = (value - self.least) / (self.greatest - self.least)
        return round(HEIGHT - BOTTOM - share * (HEIGHT - TOP - BOTTOM), 2)

    def ticks(self) -> Iterator[float]:
        for number in range(round((self.greatest - self.least) / self.step) + 1):
            yield self.least + number * self.step


def scale(values: Sequence[float]) -> Scale:
    """With zero in it, and steps of 1, 2 or 5 times a power of ten."""
    least, greatest = min(0.0, *values), max(0.0, *values)
    rough = (greatest - least) / 5 or 0.2
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * times for times in (1, 2, 5, 10) if power * times >= rough * 0.999)
    return Scale(math.floor(least / step) * step, max(math.ceil(greatest / step) * step, step), step)


def _axes_and_values(chart: ReportChart, report: Report) -> Iterator[str]:
    points = report.points
    found = [float(value) for _, values in points for value in values if value is not None]
    grid = scale([value for value in found if math.isfinite(value)] or [0.0])
    for tick in grid.ticks():
        y = grid.y(tick)
        yield f'<line x1="{LEFT}" y1="{y}" x2="{WIDTH - RIGHT}" y2="{y}" stroke="{"#888" if tick == 0 else "#ddd"}"/>'
        yield f'<text x="{LEFT - 6}" y="{y + 4}" text-anchor="end">{tick:,.10g}</text>'
    every = math.ceil(len(points) / LABELS_MAX)
    for place, (label, _) in enumerate(points):
        if place % every == 0:
            yield _text(_x(place, points), HEIGHT - BOTTOM + 18, label[:14], "middle")
    yield from (_bars if chart.kind == "bar" else _lines)(points, grid)
    titles = {column.name: column.title or column.name for column in report.columns}
    yield from _legend([titles[name] for name in chart.values])


def _bars(points: Sequence[Point], grid: Scale) -> Iterator[str]:
    slot = (WIDTH - LEFT - RIGHT) / len(points)
    for place, (_, values) in enumerate(points):
        width = slot * 0.8 / len(values)
        for series, value in enumerate(values):
            if value is not None:
                x = _x(place, points) - slot * 0.4 + series * width
                top, bottom = sorted((grid.y(float(value)), grid.y(0)))
                size = f'width="{width:.2f}" height="{bottom - top:.2f}"'
                yield f'<rect x="{x:.2f}" y="{top:.2f}" {size} fill="{COLOURS[series]}"/>'


def _lines(points: Sequence[Point], grid: Scale) -> Iterator[str]:
    """A line is broken where there is no value."""
    for series in range(len(points[0][1])):
        path, pen = [], "M"
        for place, (_, values) in enumerate(points):
            value = values[series]
            if value is None:
                pen = "M"
            else:
                path.append(f"{pen}{_x(place, points):.2f} {grid.y(float(value))}")
                pen = "L"
        yield f'<path d="{" ".join(path)}" fill="none" stroke="{COLOURS[series]}" stroke-width="2"/>'


def _pie(points: Sequence[Point]) -> Iterator[str]:
    slices = [(label, float(values[0] or 0)) for label, values in points]
    whole = math.fsum(value for _, value in slices)
    if len(slices) > SLICES_MAX or whole <= 0 or any(value < 0 for _, value in slices):
        message = f"a pie has at most {SLICES_MAX} slices, none negative, and not all zero"
        raise Permanent("bad_value", message, field="chart.values")
    x, y, radius, turned = 260, HEIGHT / 2 + 10, 140, 0.0
    for place, (label, value) in enumerate(slices):
        colour, shade = COLOURS[place % len(COLOURS)], 1 - 0.18 * (place // len(COLOURS))
        share = value / whole
        yield _slice((x, y, radius), turned, share, f'fill="{colour}" fill-opacity="{shade:.2f}" stroke="#fff"')
        turned += share
        row = TOP + 10 + place * 11
        yield f'<rect x="470" y="{row - 8}" width="9" height="9" fill="{colour}" fill-opacity="{shade:.2f}"/>'
        yield _text(485, row, f"{label[:40]} ({share:.1%})", "start", size=10)


def _slice(circle: tuple[float, float, float], turned: float, share: float, look: str) -> str:
    x, y, radius = circle
    if share > 0.999999:
        return f'<circle cx="{x}" cy="{y}" r="{radius}" {look}/>'
    ends = [
        f"{x + radius * math.sin(2 * math.pi * turn):.2f} {y - radius * math.cos(2 * math.pi * turn):.2f}"
        for turn in (turned, turned + share)
    ]
    return f'<path d="M{x} {y} L{ends[0]} A{radius} {radius} 0 {int(share > 0.5)} 1 {ends[1]} Z" {look}/>'


def _legend(titles: Sequence[str]) -> Iterator[str]:
    width = (WIDTH - LEFT - RIGHT) / len(titles)
    for series, title in enumerate(titles):
        x = LEFT + series * width
        yield f'<rect x="{x:.2f}" y="{HEIGHT - 29}" width="12" height="12" fill="{COLOURS[series]}"/>'
        yield _text(x + 18, HEIGHT - 18, title[: int(width / 7)], "start")


def _x(place: int, points: Sequence[Point]) -> float:
    return LEFT + (place + 0.5) * (WIDTH - LEFT - RIGHT) / len(points)


def _text(x: float, y: float, text: str, anchor: str, size: int = 12) -> str:
    return f'<text x="{x:.2f}" y="{y}" text-anchor="{anchor}" font-size="{size}">{escape(_clean(text))}</text>'


def _clean(text: str) -> str:
    """XML has no room for most control characters: https://www.w3.org/TR/xml/#charsets"""
    return "".join(char if char.isprintable() else " " for char in text)
