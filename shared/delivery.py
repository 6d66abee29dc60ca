"""What to do with a message whose claim was refused: the worker's side of the protocol, whole.

Every decision is made from the row that refused the claim (a failed condition's image), never from an older read.

    row \\ message             its seq is not the row's        its seq is the row's
    absent                    acknowledge, a ghost            acknowledge, a ghost  (a bare one: its claim creates it)
    other type or payload     quarantine                      quarantine
    QUEUED, due               acknowledge                     claim; expire if its deadline is over
    QUEUED, not due           acknowledge                     hide until due
    RUNNING, leased           acknowledge                     hide: max(lease left + 5 s, min(30 s × 2^receives, 900 s))
    RUNNING, lease over       acknowledge                     cancelled if flagged; else bury or reclaim
    WAITING                   acknowledge                     expire if its deadline is over, hide if it nearly is
                              (so for a seq of 0, the wake-up at a deadline)
    terminal                  acknowledge                     acknowledge
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from shared.envelope import DEADLINE, Envelope, Wakeup
from shared.ids import derived_job_id
from shared.job import Job, attributes
from shared.moves import CLOCK_SKEW_MS
from shared.payloads.base import Payload
from shared.status import Event, Status, permitted

HIDE_MAX_S: Final = 39_600
"""SQS lets a message be invisible for 12 hours from its receipt, and refuses a change beyond: an hour of it may have
passed. https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_ChangeMessageVisibility.html"""


NEARLY_MS: Final = 120_000
"""The wake-up at a deadline may come this early: a schedule has the precision of a minute."""


class Do(StrEnum):
    ACKNOWLEDGE = "acknowledge"
    HIDE = "hide"
    QUARANTINE = "quarantine"
    CLAIM = "claim"
    RECLAIM = "reclaim"
    BURY = "bury"
    END_CANCELLED = "end_cancelled"
    EXPIRE = "expire"


@dataclass(frozen=True, slots=True)
class Action:
    do: Do
    reason: str
    seconds: int = 0
    """To hide for."""


@dataclass(frozen=True, slots=True)
class Delivery:
    """What the message says: its queue's type, its seq (bare: 1), how often it came, the payload's hash.

    The hash is for a bare message that names its job: one that is named by its message is always the same, while
    another version of the payload's model may write it otherwise.
    """

    type: str
    seq: int
    receives: int
    payload_hash: str | None = None


def delivery_of(parcel: Wakeup | Envelope[Payload], *, job_type: str, message_id: str, receives: int = 1) -> Delivery:
    """What the message `message_id` from the queue of `job_type` says."""
    if isinstance(parcel, Wakeup):
        return Delivery(job_type, parcel.seq, receives)
    named_by_message = parcel.job_id == derived_job_id(job_type, message_id)
    return Delivery(job_type, 1, receives, None if named_by_message else parcel.payload_hash)


def decide(row: Job | None, delivery: Delivery, now: int) -> Action:
    """`now` in milliseconds."""
    if row is None:
        return Action(Do.ACKNOWLEDGE, "ghost")
    if row.type != delivery.type:
        return Action(Do.QUARANTINE, f"job {row.job_id} is of type {row.type}, not {delivery.type}")
    if delivery.payload_hash not in {None, row.payload_hash}:
        return Action(Do.QUARANTINE, f"job {row.job_id} exists with another payload")
    if delivery.seq != row.seq:
        return _at_deadline(row, now) if delivery.seq == DEADLINE else Action(Do.ACKNOWLEDGE, "stale")
    match row.status:
        case Status.QUEUED:
            return _queued(row, now)
        case Status.RUNNING:
            return _running(row, delivery, now)
        case Status.WAITING:
            return _waiting(row, now)
    return Action(Do.ACKNOWLEDGE, "settled")


def hide_s(receives: int) -> int:
    """Back off by the number of deliveries: 60 s, 120 s … 900 s."""
    return min(30 << min(receives, 10), 900)


def _queued(row: Job, now: int) -> Action:
    if permitted(Event.EXPIRE, attributes(row), {"now": now + CLOCK_SKEW_MS}):
        return Action(Do.EXPIRE, "deadline_over")
    if row.due_at <= now + CLOCK_SKEW_MS:
        return Action(Do.CLAIM, "due")
    return Action(Do.HIDE, "not_due", min(_seconds_up(row.due_at - now), HIDE_MAX_S))


def _at_deadline(row: Job, now: int) -> Action:
    if row.status is Status.WAITING:
        return _waiting(row, now)
    is_over = permitted(Event.EXPIRE, attributes(row), {"now": now})
    return Action(Do.EXPIRE, "deadline_over") if is_over else Action(Do.ACKNOWLEDGE, "not_waiting")


def _waiting(row: Job, now: int) -> Action:
    if permitted(Event.EXPIRE, attributes(row), {"now": now}):
        return Action(Do.EXPIRE, "deadline_over")
    left_s = _seconds_up((row.deadline_at or now + NEARLY_MS) - now)
    nearly = left_s * 1000 < NEARLY_MS
    return Action(Do.HIDE, "nearly_over", left_s) if nearly else Action(Do.ACKNOWLEDGE, "waiting")


def _running(row: Job, delivery: Delivery, now: int) -> Action:
    facts = {"epoch": row.epoch, "now": now}
    image = attributes(row)
    for event, do in (
        (Event.CANCELLED, Do.END_CANCELLED),
        (Event.BURY, Do.BURY),
        (Event.RECLAIM, Do.RECLAIM),
    ):
        if permitted(event, image, facts):
            return Action(do, "lease_over")
    left_s = _seconds_up((row.lease_until or now) - now)
    return Action(Do.HIDE, "leased", min(max(left_s + 5, hide_s(delivery.receives)), HIDE_MAX_S))


def _seconds_up(milliseconds: int) -> int:
    return max(0, -(-milliseconds // 1000))
