"""What becomes of a dead letter: a message that its queue gave up. Never a decision about its job.

    unreadable, of no type known          quarantine
    the row is of another type, payload   quarantine
    stale, its job waits or is over       drop
    no row, dispatched                    drop, a ghost
    no row, bare                          send the same message again, its job's id written into it
    QUEUED or RUNNING, the same seq       send a wake-up of the row again

- A copy has another message id, which must not make another job of a bare message: so the copy names its job.
- It is not counted as an attempt: no attempt was made. What kills its workers is buried by a receiver.
- Each return waits longer: 30 s, 60 s … 900 s. The copy carries the count as the message attribute `RETURNED`.
"""

import re
from dataclasses import dataclass
from typing import Final

from pydantic_core import from_json

from shared.delivery import Action, Do, decide, delivery_of, hide_s
from shared.envelope import Envelope, Unreadable, Wakeup, read_message, wakeup_body
from shared.ids import derived_job_id
from shared.job import Job, compact_json
from shared.payloads import TYPES
from shared.payloads.base import Payload
from shared.ports import Outgoing

RETURNED: Final = "longshore_returned"

ALARM_FROM: Final = 3
"""Returns from which on they are counted for the alarm: whatever kept the message from being handled lasts."""


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """`source` is the job type whose queue gave it up, None where the endpoint does not say."""

    message_id: str
    body: str
    source: str | None
    returned: int = 0
    lane: str | None = None
    """Of its type's, if it was not the type's own queue."""


def read_returned(value: str | None) -> int:
    """The attribute, which anybody may have written."""
    return int(value) if value is not None and re.fullmatch("[0-9]{1,6}", value) else 0


def read_letter(letter: DeadLetter) -> Wakeup | Envelope[Payload] | Unreadable:
    job_type = letter.source or _named_type(letter.body)
    return read_message(letter.body, job_type=job_type, message_id=letter.message_id)


def fate(
    letter: DeadLetter, parcel: Wakeup | Envelope[Payload] | Unreadable, row: Job | None, now: int
) -> Outgoing | Action:
    """What to send, or else to ACKNOWLEDGE (drop) or QUARANTINE it.

    `parcel` as read from `letter`, `row` as read consistently after that, `now` in milliseconds.
    """
    if isinstance(parcel, Unreadable):
        return Action(Do.QUARANTINE, parcel.reason)
    if isinstance(parcel, Envelope) and row is None:
        body = named_body(letter.body, parcel, letter.message_id)
        return _sent_back(letter, parcel.type, body, parcel.tenant_id, letter.lane or parcel.priority)
    job_type = letter.source or (row.type if row else "")
    action = decide(row, delivery_of(parcel, job_type=job_type, message_id=letter.message_id), now)
    if row is None or action.do in (Do.ACKNOWLEDGE, Do.QUARANTINE):
        return action
    body = wakeup_body(Wakeup(row.tenant_id, row.job_id, row.seq))
    return _sent_back(letter, row.type, body, row.tenant_id, row.priority)


def named_body(body: str, parcel: Envelope[Payload], message_id: str) -> str:
    """A bare message that can be sent again: with the id that its job has by its first message."""
    if parcel.job_id != derived_job_id(parcel.type, message_id):
        return body
    fields = {name: value for name, value in from_json(body).items() if name not in ("job_id", "jobId")}
    return compact_json(fields | {"job_id": parcel.job_id})


def _sent_back(letter: DeadLetter, job_type: str, body: str, tenant_id: str, lane: str | None) -> Outgoing | Action:
    if job_type not in TYPES:  # not left to SQS to say: a queue that a role may not see is "denied", for ever
        return Action(Do.QUARANTINE, f"there is no job type {job_type!r}")
    return Outgoing(job_type, body, hide_s(letter.returned), tenant_id, letter.returned + 1, lane)


def _named_type(body: str) -> str:
    try:
        document = from_json(body)
    except ValueError:
        return ""
    named = document.get("type") if isinstance(document, dict) else None
    return named if isinstance(named, str) else ""
