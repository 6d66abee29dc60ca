"""One run of one job: what the worker, the handler's context and the beats know of it together.

The handler writes progress here, the beats carry it to the row; the beats write here why the run must stop. Both may be
in different threads: every field is replaced whole, none is changed in place.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from shared.job import Job

FIRST_PROGRESS_AFTER_MS: Final = 1_000
PROGRESS_EVERY_MS: Final = 5_000
BEAT_EVERY_MS: Final = 15_000


class Stop(StrEnum):
    """Why a run must end before its handler does."""

    TIMEOUT = "timeout"
    CANCELLED = "cancelled"
    LOST = "lost"
    SHUTDOWN = "shutdown"


@dataclass(slots=True)
class Run:
    job: Job
    ends_at: int
    """Milliseconds; the handler is stopped then."""
    began_at: int
    lease_until: int
    """Milliseconds; beats may move it on."""
    progress: str | None = None
    carried: str | None = None
    """The progress that the row already shows."""
    beat_at: int = 0
    stop: Stop | None = None
    finished: bool = False
    on_halt: Callable[[], object] = field(default=lambda: None)

    def halt(self, why: Stop) -> None:
        """Stop the handler, from whichever thread; the first reason stands."""
        if self.stop is None and not self.finished:
            self.stop = why
            self.on_halt()


def beat_due(run: Run, now: int) -> bool:
    """Is it time to write? Progress first after 1 s, then every 5 s while it changes; a sign of life every 15 s.

    Counted from the last write, at first the claim: what the run began with may have been long in coming.
    """
    since_ms = now - (run.beat_at or run.job.updated_at)
    changed = run.progress != run.carried
    wait_ms = (PROGRESS_EVERY_MS if run.beat_at else FIRST_PROGRESS_AFTER_MS) if changed else BEAT_EVERY_MS
    return since_ms >= wait_ms and not run.finished
