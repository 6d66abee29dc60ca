"""What those who watch are told. Pure.

1. An event is the row as a change left it, never the change: whoever misses one, or gets one twice, or late, is right
   again with the next. Its `version` grows; what is not newer than what was shown is not shown.
2. A topic is the tenant, a type, or a job. Nobody watches another tenant's.
3. A watch begins before the row is read: what changes between the two comes twice, and nothing is missed.
"""

from collections.abc import Mapping, Sequence
from typing import Final

from pydantic import BaseModel, JsonValue
from pydantic_core import from_json

from shared.children import read_link
from shared.job import Job, rfc3339
from shared.payloads.results import ErrorBody
from shared.status import Status
from shared.view import ProgressView, Version, progress_view, version_of

KINDS: Final[Mapping[Status, str]] = {
    Status.WAITING: "waiting",
    Status.QUEUED: "queued",
    Status.RUNNING: "active",
    Status.SUCCESS: "completed",
    Status.PARTIAL_SUCCESS: "completed",
    Status.FAILED: "failed",
    Status.CANCELLED: "cancelled",
}

FRAME_BYTES_MAX: Final = 30_000
"""API Gateway sends frames of up to 32 KB: https://docs.aws.amazon.com/apigateway/latest/developerguide/limits.html"""

TENANT: Final = "tenant"


class JobEvent(BaseModel):
    """`event`: waiting, queued, active, progress, completed, failed, cancelled. `version` as a list of four numbers."""

    event: str
    job_id: str
    item_id: str | None = None
    """As the job's metadata name it: the note, row or file that the job is about."""
    parent_id: str | None = None
    type: str
    status: Status
    version: Version
    at: str
    attempts: int
    attempts_max: int
    message: str = ""
    context: str = ""
    current_count: int | None = None
    total_count: int | None = None
    percent: float | None = None
    indent_level: int = 0
    metadata: dict[str, JsonValue] | None = None
    error: ErrorBody | None = None


def event_of(job: Job) -> JobEvent:
    progress = progress_view(job) or ProgressView()
    is_under_way = job.status is Status.RUNNING and job.progress is not None
    metadata = {} if job.metadata is None else from_json(job.metadata)
    item_id = metadata.get("item_id")
    return JobEvent(
        event="progress" if is_under_way else KINDS[job.status],
        job_id=job.job_id,
        item_id=None if item_id is None else str(item_id),
        parent_id=read_link(job.parent).parent_id if job.parent else None,
        type=job.type,
        status=job.status,
        version=version_of(job),
        at=rfc3339(job.updated_at),
        attempts=job.attempts,
        attempts_max=job.attempts_max,
        message=progress.message,
        context=progress.context,
        current_count=progress.current if job.progress is not None else None,
        total_count=progress.total,
        percent=progress.percent,
        indent_level=progress.indent_level,
        metadata=progress.metadata,
        error=None if job.error is None else ErrorBody.model_validate_json(job.error),
    )


def topics_of(job: Job) -> tuple[str, ...]:
    """A child is told to those who ask for it or for its type: a flow may have a hundred thousand."""
    mine = f"type:{job.type}", f"job:{job.job_id}"
    return mine if job.parent else (TENANT, *mine)


def latest(jobs: Sequence[Job]) -> list[Job]:
    """Of each job its newest row: whoever watches needs no older one."""
    newest: dict[str, Job] = {}
    for job in jobs:
        seen = newest.get(job.key)
        if seen is None or version_of(seen) <= version_of(job):
            newest[job.key] = job
    return list(newest.values())


def frames(events: Sequence[JobEvent]) -> list[bytes]:
    """As few frames as will hold them: `{"events": […]}`."""
    found: list[list[bytes]] = []
    size_bytes = FRAME_BYTES_MAX
    for event in events:
        text = event.model_dump_json(exclude_none=True).encode()
        size_bytes += len(text) + 1
        if size_bytes > FRAME_BYTES_MAX:
            found.append([])
            size_bytes = len(text)
        found[-1].append(text)
    return [b'{"events":[' + b",".join(texts) + b"]}" for texts in found]
