"""How far a job is, in rows, and how much of its invocation's time is left."""

from collections.abc import Callable
from typing import Final

Tell = Callable[[int], None]
"""Called now and then with the number of rows since the last call."""

RESERVE_S: Final = 30.0
RESERVE_SHARE: Final = 0.2


class Meter:
    """Call it with how many more rows there are. An estimate that was too small grows with them."""

    def __init__(self, progress: Callable[[int, int | None], None], total: int | None, rows: int = 0) -> None:
        self._progress = progress
        self._total = total
        self.rows = rows

    def __call__(self, rows: int) -> None:
        self.rows += rows
        self._progress(self.rows, None if self._total is None else max(self._total, self.rows))


class Watch:
    """Tells when to close what is open and go on in another invocation. From any thread."""

    def __init__(self, left_s: Callable[[], float]) -> None:
        """`left_s` → seconds until this invocation is stopped."""
        self.left_s = left_s
        self._whole_s = left_s()

    def short(self) -> bool:
        """Is there only as much time left as closing may take: 30 s, or a fifth of all there was?"""
        return self.left_s() < min(RESERVE_S, RESERVE_SHARE * self._whole_s)

    def over(self) -> bool:
        """Is there too little even for closing: 5 s, or a twentieth?"""
        return self.left_s() < min(RESERVE_S / 6, RESERVE_SHARE / 4 * self._whole_s)

    def half_over(self) -> bool:
        return self.left_s() < self._whole_s / 2


def unhurried() -> Watch:
    """For work that nobody stops."""
    return Watch(lambda: RESERVE_S * 1000)
