"""The job: one row, the only truth.

Every attribute is text, a whole number, a flag or a list of texts, so that a row is the same in DynamoDB, in memory
and in a test; structures (`progress`, `error`, `metadata`) are compact JSON texts. `*_at` and `lease_until` are
milliseconds since the Unix epoch; `expires_at` alone is in seconds, as DynamoDB's TTL wants it. None: it is absent.
"""

import json
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from typing import Final

from shared.ids import digest, row_key
from shared.status import Event, Status

HISTORY_MAX: Final = 8
"""Moves kept in the row; older ones go to a write-once side item."""

RESULT_NAME: Final = "_result.json"
"""Of the result document, below the run's prefix: no artefact may be called so."""

LIST_SHARDS: Final = 8
"""A tenant's list index is spread over this many partitions, so that no tenant's writes get hot."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    tenant_id: str
    job_id: str
    type: str
    status: Status
    seq: int
    """How often the job moved into QUEUED (creation = 1): the wake-up's number, the hop count."""
    epoch: int = 0
    """Rises with every claim."""
    token: str
    """Of the last intention that moved the job; while RUNNING, the lease's."""
    attempts_left: int
    attempts_max: int
    created_at: int
    updated_at: int
    due_at: int
    priority: str | None = None
    """The lane that its wake-ups go to: `shared/lanes.py`. None: normal."""
    started_at: int | None = None
    completed_at: int | None = None
    lease_until: int | None = None
    alone: bool | None = None
    """Present while the running worker runs nothing else: its death is surely this job's."""
    cancel_requested: bool | None = None
    deadline_at: int | None = None
    wait_number: int | None = None
    """How often it has begun to wait for children."""
    awaits: str | None = None
    groups: str | None = None
    redrives: int | None = None
    parent: str | None = None
    """These four: `shared/children.py`."""
    payload: str | None = None
    """The type's own fields as JSON, if small; else beside the row, keyed by `payload_hash`."""
    payload_place: str = "row"
    payload_hash: str
    throttles: str | None = None
    """What it waits for before each run: `shared/throttle.py`."""
    user_id: str | None = None
    worker_id: str | None = None
    metadata: str | None = None
    progress: str | None = None
    checkpoint: str | None = None
    error: str | None = None
    result: str | None = None
    """Key of the result document, published by the settlement alone."""
    inline_result: str | None = None
    list_shard: str | None = None
    history: tuple[str, ...] = ()
    """`at event who note` of each move, oldest first."""
    expires_at: int | None = None

    @property
    def key(self) -> str:
        return row_key(self.tenant_id, self.job_id)

    @property
    def attempts(self) -> int:
        """Failures and lonely deaths so far."""
        return self.attempts_max - self.attempts_left

    @property
    def prefix(self) -> str:
        """Of every object this run writes. Another epoch or token writes elsewhere."""
        return f"artifacts/{self.tenant_id}/{self.job_id}/{self.epoch}-{self.token}/"


ATTRIBUTES: Final = tuple(field.name for field in fields(Job))


def attributes(job: Job) -> dict[str, object]:
    """The row as attribute → value, what is absent left out."""
    return {name: value for name in ATTRIBUTES if (value := getattr(job, name)) is not None}


def list_shard(tenant_id: str, job_id: str) -> str:
    return f"{tenant_id}#{int(digest(job_id), 16) % LIST_SHARDS}"


def history_entry(at: int, event: Event, who: str, note: str = "") -> str:
    return f"{at} {event} {who} {note}".rstrip()


@dataclass(frozen=True, slots=True)
class HistoryEntry:
    at: int
    event: Event
    who: str
    note: str


def read_history_entry(text: str) -> HistoryEntry:
    at, event, who, *note = text.split(" ", 3)
    return HistoryEntry(int(at), Event(event), who, note[0] if note else "")


def rfc3339(at_ms: int) -> str:
    """Milliseconds since the epoch → `2026-01-31T12:00:00.000Z` (RFC 3339)."""
    moment = datetime.fromtimestamp(at_ms / 1000, UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def compact_json(value: object) -> str:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)
