"""What follows from a write to a row. Pure: (old image, new image) → what must happen, idempotently, at least once.

    moved into QUEUED (its seq is new)      → a wake-up when it is due
    created RUNNING by `start`              → a wake-up when its lease is over: no message stands for it

A wake-up is an SQS message with a delay of up to 900 s, or a one-off schedule beyond. The same record again sends the
same wake-up again, and the claim refuses it.
"""

from dataclasses import dataclass
from typing import Final

from shared.envelope import Wakeup, wakeup_body
from shared.ids import digest
from shared.job import Job, read_history_entry
from shared.ports import Outgoing
from shared.status import Event, Status

DELAY_MAX_S: Final = 900
"""SQS DelaySeconds: https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_SendMessage.html"""


@dataclass(frozen=True, slots=True)
class Record:
    """One record of the table's stream. `raw` is kept if it must be quarantined; `problem` says it can't be read."""

    sequence: str
    old: Job | None
    new: Job | None
    raw: str = ""
    problem: str | None = None


@dataclass(frozen=True, slots=True)
class Dispatch:
    """Wake the job's worker at `due_at` (milliseconds)."""

    type: str
    wakeup: Wakeup
    due_at: int


@dataclass(frozen=True, slots=True)
class Later:
    """Beyond SQS's reach: a schedule of this name, unique to the job's `seq`."""

    name: str
    at: int
    message: Outgoing


def consequence(old: Job | None, new: Job | None) -> Dispatch | None:
    """Of one stream record. One record has at most one: O(1) calls."""
    if new is None:
        return None
    wakeup = Wakeup(new.tenant_id, new.job_id, new.seq)
    if new.status is Status.QUEUED and (old is None or old.seq != new.seq):
        return Dispatch(new.type, wakeup, new.due_at)
    if old is None and new.status is Status.RUNNING and _first_event(new) is Event.START:
        return Dispatch(new.type, wakeup, new.due_at)
    return None


def routed(dispatch: Dispatch, now: int) -> Outgoing | Later:
    """The message to send now, or the schedule to make."""
    delay_s = max(0, -(-(dispatch.due_at - now) // 1000))
    body = wakeup_body(dispatch.wakeup)
    message = Outgoing(dispatch.type, body, min(delay_s, DELAY_MAX_S), dispatch.wakeup.tenant_id)
    if delay_s <= DELAY_MAX_S:
        return message
    return Later(schedule_name(dispatch.wakeup), dispatch.due_at, Outgoing(dispatch.type, body, 0, message.group))


def schedule_name(wakeup: Wakeup) -> str:
    """A name that was used is not free again at once, so each `seq` has its own."""
    return f"{digest(f'{wakeup.tenant_id}#{wakeup.job_id}')}-{wakeup.seq}"


def _first_event(job: Job) -> Event | None:
    return read_history_entry(job.history[0]).event if job.history else None
