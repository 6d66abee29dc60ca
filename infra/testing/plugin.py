"""pytest's side of the test kit: the fixture `longshore`, and how many crash points a run has tried."""

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Final

import pytest

if TYPE_CHECKING:
    from infra.testing.kit import Longshore

PROPERTY: Final = "longshore_crash_points"


@pytest.fixture
def longshore(record_property: Callable[[str, object], None]) -> "Iterator[Longshore]":
    """A whole Longshore in memory and virtual time, fresh for each test."""
    from infra.testing.kit import Longshore  # not before a test asks for it

    kit = Longshore(tell_points=lambda points: record_property(PROPERTY, points))
    yield kit
    kit.close()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Reports carry the counts here from every xdist worker."""
    reports = [report for outcome in ("passed", "failed") for report in terminalreporter.stats.get(outcome, ())]
    properties = [pair for report in reports if report.when == "call" for pair in report.user_properties]
    points = [int(count) for name, count in properties if name == PROPERTY]
    if points:
        terminalreporter.write_line(f"{sum(points):,} crash points tried, in {len(points)} scenarios")
