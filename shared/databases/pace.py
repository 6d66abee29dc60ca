"""How one file takes in a table: as a whole, or along its key as far as time allows.

Whole     as fast as the database can; must end within this invocation, else `TimeIsShort`
Walk      in ranges of the key, each of about RANGE_S; between two of them it may stop, and another walk goes on from
          `after` in a snapshot of its own. So a row that is there all the time is read exactly once.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from shared.databases.engine import Key, Reader, between
from shared.databases.progress import Watch, unhurried
from shared.databases.schema import Table

RANGE_S: Final = 5.0
RANGE_ROWS_FIRST: Final = 1_000
RANGE_ROWS_MAX: Final = 500_000


class TimeIsShort(Exception):
    """In the middle of what cannot be gone on with."""


@dataclass(slots=True)
class Whole:
    """`must`: a later invocation could not do better, so all time is taken."""

    watch: Watch = field(default_factory=unhurried)
    must: bool = True
    after: Key | None = None
    ended: bool = True

    def ranges(self, database: Reader, table: Table) -> Iterator[Table]:  # noqa: ARG002  as a Walk's
        yield table

    def check(self) -> None:
        """Called between two rows, now and then."""
        if self.watch.over() if self.must else self.watch.short():
            raise TimeIsShort


@dataclass(slots=True)
class Walk:
    """`after`: the key of the last row that was read, here or by the walk before; `ended`: there are no more rows."""

    watch: Watch
    columns: tuple[str, ...]
    after: Key | None = None
    ended: bool = False

    def ranges(self, database: Reader, table: Table) -> Iterator[Table]:
        """At least one, however short time is: else a job might never get anywhere."""
        rows = RANGE_ROWS_FIRST
        while not self.ended:
            left_s = self.watch.left_s()
            upto = database.key_after(table, self.after, rows)
            yield between(table, self.columns, self.after, upto)
            self.after, self.ended = upto, upto is None
            if self.watch.short():
                self.ended = self.ended or database.key_after(table, self.after, 1) is None
                return
            rows = _next_rows(rows, left_s - self.watch.left_s())

    def check(self) -> None:
        """It stops between ranges alone."""


Pace = Whole | Walk


def _next_rows(rows: int, took_s: float) -> int:
    """Twice as many, while they take less than RANGE_S; fewer if they took longer."""
    share = min(2.0, RANGE_S / max(took_s, 0.001))
    return min(RANGE_ROWS_MAX, max(1, round(rows * share)))
