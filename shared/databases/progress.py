"""How far a job is, in rows."""

from collections.abc import Callable

Tell = Callable[[int], None]
"""Called now and then with the number of rows since the last call."""


class Meter:
    """Call it with how many more rows there are. An estimate that was too small grows with them."""

    def __init__(self, progress: Callable[[int, int | None], None], total: int | None) -> None:
        self._progress = progress
        self._total = total
        self.rows = 0

    def __call__(self, rows: int) -> None:
        self.rows += rows
        self._progress(self.rows, None if self._total is None else max(self._total, self.rows))
