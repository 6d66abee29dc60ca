"""A job as the outside sees it: the document of `GET /jobs/{id}` and `longshore status --json`. Pure."""

from pydantic import BaseModel, JsonValue
from pydantic_core import from_json

from shared.children import latest_groups, read_link
from shared.fingerprint import fingerprint_of
from shared.job import Job, read_history_entry, rfc3339
from shared.lanes import Priority, priority_of
from shared.payloads.results import ErrorBody
from shared.status import Status

Version = tuple[int, int, int, int]
"""(seq, epoch, is over, updated_at): grows with every write to the row. Clocks are compared only within one run."""


def version_of(job: Job) -> Version:
    return job.seq, job.epoch, int(job.status.is_terminal), job.updated_at


class ProgressView(BaseModel):
    """`percent` is 0 to 100, None while the total is unknown."""

    current: int = 0
    total: int | None = None
    percent: float | None = None
    message: str = ""
    context: str = ""
    indent_level: int = 0
    metadata: dict[str, JsonValue] | None = None


class MoveView(BaseModel):
    """One move of the job: when, what, by whom, and a word why."""

    at: str
    event: str
    who: str
    note: str = ""


class ParentView(BaseModel):
    """Whose child a job is: the `index`-th, from 0, of the `total` jobs of `step`."""

    job_id: str
    step: str
    index: int
    total: int


class GroupView(BaseModel):
    """Children that were begun together."""

    step: str
    total: int


class JobView(BaseModel):
    """Times are RFC 3339, UTC. `next_attempt_at` is set while the job waits for its turn."""

    job_id: str
    tenant_id: str
    type: str
    status: Status
    version: Version
    """Of two views or events of a job, the one with the greater is newer."""
    attempts: int
    attempts_max: int
    progress: ProgressView | None = None
    error: ErrorBody | None = None
    fingerprint: str | None = None
    """Of the error: what to redrive all like it by."""
    result_url: str | None = None
    created_at: str
    updated_at: str
    started_at: str | None = None
    completed_at: str | None = None
    next_attempt_at: str | None = None
    priority: Priority = "normal"
    user_id: str | None = None
    worker_id: str | None = None
    metadata: dict[str, JsonValue] | None = None
    cancel_requested: bool = False
    parent: ParentView | None = None
    children: list[GroupView] = []
    cost_usd: float | None = None
    """At list prices, approximate: of one job that is asked for by its id."""
    history: list[MoveView] = []


def view_of(job: Job, *, bucket: str) -> JobView:
    """`bucket` makes the result's `s3://` URL whole."""
    return JobView(
        job_id=job.job_id,
        tenant_id=job.tenant_id,
        type=job.type,
        status=job.status,
        version=version_of(job),
        attempts=job.attempts,
        attempts_max=job.attempts_max,
        progress=progress_view(job),
        error=None if job.error is None else ErrorBody.model_validate_json(job.error),
        fingerprint=fingerprint_of(job),
        result_url=None if job.result is None else f"s3://{bucket}/{job.result}",
        created_at=rfc3339(job.created_at),
        updated_at=rfc3339(job.updated_at),
        started_at=_time(job.started_at),
        completed_at=_time(job.completed_at),
        next_attempt_at=rfc3339(job.due_at) if job.status is Status.QUEUED else None,
        priority=priority_of(job.priority),
        user_id=job.user_id,
        worker_id=job.worker_id,
        metadata=None if job.metadata is None else from_json(job.metadata),
        cancel_requested=bool(job.cancel_requested),
        parent=_parent(job),
        children=[GroupView(step=group.step, total=group.total) for group in latest_groups(job).values()],
        history=[move_view(entry) for entry in job.history],
    )


def progress_view(job: Job) -> ProgressView | None:
    if job.progress is None:
        return None
    progress = ProgressView.model_validate_json(job.progress)
    if progress.total:
        share = min(1.0, progress.current / progress.total)
        return progress.model_copy(update={"percent": round(100 * share, 1)})
    return progress


def _parent(job: Job) -> ParentView | None:
    if job.parent is None:
        return None
    link = read_link(job.parent)
    return ParentView(job_id=link.parent_id, step=link.step, index=link.index, total=link.total)


def move_view(entry: str) -> MoveView:
    move = read_history_entry(entry)
    return MoveView(at=rfc3339(move.at), event=move.event, who=move.who, note=move.note)


def _time(at: int | None) -> str | None:
    return None if at is None else rfc3339(at)
