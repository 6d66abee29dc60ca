"""Priority lanes: queues of their own for what must not wait behind the rest. Pure.

    urgent, high    a lane each: served whatever waits in the others
    normal          the type's own queue
    low             a lane with a small share of its own, so that it always moves, and never gets in the way

Which types have lanes the template says (`LONGSHORE_LANES`). A type without them takes every priority in its own queue.
"""

from collections.abc import Collection
from typing import Final, Literal

Priority = Literal["low", "normal", "high", "urgent"]

LANES: Final[tuple[Priority, ...]] = ("urgent", "high", "low")


def lane_of(priority: str) -> str | None:
    """None: the type's own queue. A row and a message keep this, too."""
    return priority if priority in LANES else None


def priority_of(lane: str | None) -> Priority:
    return next((priority for priority in LANES if priority == lane), "normal")


def queue_of(job_type: str, lane: str | None) -> str:
    """A queue as the ports know it: `generic`, `generic-urgent`."""
    return f"{job_type}-{lane}" if lane else job_type


def split(queue: str) -> tuple[str, str | None]:
    """→ the type and the lane. A type's name has no hyphen."""
    job_type, _, lane = queue.rpartition("-")
    return (job_type, lane) if lane in LANES else (queue, None)


def queues_of(job_type: str) -> tuple[str, ...]:
    """All queues of a type with lanes, in the order in which one who serves them all looks at them."""
    return tuple(queue_of(job_type, lane) for lane in ("urgent", "high", None, "low"))


def routed(job_type: str, lane: str | None, queues: Collection[str]) -> str:
    """Of a type's `queues`, the one for what goes to `lane`."""
    queue = queue_of(job_type, lane)
    return queue if queue in queues else job_type
