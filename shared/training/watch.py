"""When a training must pause: looked at in its thread, between two batches or some rows."""

from collections.abc import Callable
from typing import Final

from shared.errors import Permanent, Transient
from shared.training.dataset import FIELD

LOADING_SHARE: Final = 0.5
"""Of an invocation's time: a dataset that takes longer to read is too large to be read again by the next."""

KEEPING_SHARE: Final = 0.15
"""Left of it when training pauses, to keep the state."""


class Watch:
    """Raises Transient("stopped") once the run is told to stop."""

    def __init__(self, time_left_s: Callable[[], float], is_cancelled: Callable[[], bool]) -> None:
        self._time_left_s = time_left_s
        self._is_cancelled = is_cancelled
        self._all_s = time_left_s()

    def loading(self) -> None:
        """Raises Permanent("too_long") about `dataset_path`."""
        if self._left() < 1 - LOADING_SHARE:
            raise Permanent("too_long", "it takes too much of an invocation only to be read", field=FIELD)

    def goes_on(self) -> bool:
        return self._left() > KEEPING_SHARE

    def _left(self) -> float:
        """The share of the time."""
        if self._is_cancelled():
            raise Transient("stopped", "told to stop")
        return self._time_left_s() / self._all_s
