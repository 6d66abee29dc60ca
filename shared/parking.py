"""A job that waits for a place, or for the end of a pause: its wake-up, kept beside the rows until it is sent. Pure.

The row stays QUEUED and is the truth; what is parked is only the wake-up of its `seq`. Parking it twice is parking it
once, and one that is sent in vain is refused by the claim.
"""

import json
from dataclasses import dataclass

from shared.envelope import Wakeup, wakeup_body
from shared.job import Job, compact_json
from shared.ports import Outgoing
from shared.status import Status


@dataclass(frozen=True, slots=True)
class Parked:
    """One item. `sk` and `body` as they are kept."""

    sk: str
    body: str
    type: str
    wakeup: Wakeup
    lane: str | None

    def is_alive(self, row: Job | None) -> bool:
        return row is not None and row.status is Status.QUEUED and row.seq == self.wakeup.seq

    def outgoing(self) -> Outgoing:
        return Outgoing(self.type, wakeup_body(self.wakeup), group=self.wakeup.tenant_id, lane=self.lane)


def parked(row: Job) -> Parked:
    """The wake-up of this row, which is QUEUED. They sort by when they were due."""
    body = compact_json([row.type, row.tenant_id, row.job_id, row.seq, row.priority])
    return read_parked(f"{row.due_at:014d}#{row.key}#{row.seq}", body)


def read_parked(sk: str, body: str) -> Parked:
    job_type, tenant_id, job_id, seq, lane = json.loads(body)
    return Parked(sk, body, job_type, Wakeup(tenant_id, job_id, seq), lane)
