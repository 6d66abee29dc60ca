"""Where a worker runs: one Lambda invocation, or a long-running process. What differs between the two is here."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from shared.ports import Message, Ports
from shared.runtime.beats import Beats
from shared.runtime.floor import Floor
from shared.runtime.run import Run


def _nobody(_run: Run) -> None:
    """Nobody wants to be told of runs."""


@dataclass(frozen=True, slots=True)
class Host:
    who: str
    """For the history: the function's or the machine's name."""
    lease_until: Callable[[], int]
    """→ until when a claim made now holds, in milliseconds."""
    time_left_s: Callable[[], float]
    beats: Beats
    floor: Floor
    solitary: bool
    """Nothing else ever runs in this process: a death is surely this job's."""
    lane: str | None = None
    """Of its type's, where the messages come from."""
    hide: Callable[[Ports, Message], Awaitable[None]] | None = None
    """How beats keep a message invisible, where they extend the lease."""
    started: Callable[[Run], None] = _nobody
    """Told of every run, so that a stopping process can stop it."""
