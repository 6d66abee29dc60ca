"""The routes of many jobs at once: lists, groups of failures, exports, and what is done to all that match.

Each answer is bounded in time and size, and tells by its `cursor` where to go on.
"""

import csv
import io
import json
from collections.abc import Awaitable, Callable, Iterable
from typing import Annotated, Final, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from shared.errors import Conflict, NotFound
from shared.fingerprint import fingerprint_of
from shared.job import Job, rfc3339
from shared.payloads.base import Name
from shared.payloads.redrive import RedrivePayload
from shared.payloads.results import ErrorBody
from shared.runtime.api.app import Call
from shared.runtime.api.filters import Cursor, FilterQuery, Query, Time, Wanted, ms
from shared.runtime.api.jobs import NAME, Accepted
from shared.runtime.api.messages import Answer, answer_json
from shared.runtime.redriving import redrive_paced
from shared.selection import ALIVE, Filter
from shared.status import TERMINAL, Status
from shared.view import JobView, view_of

EXPORT_MAX: Final = 500
"""Rows of an export: Lambda answers with 6 MB at most, and the fullest row takes 8 KB of it."""

GROUPED_MAX: Final = 2_000
BULK_MAX: Final = 200


class ListQuery(FilterQuery):
    limit: Annotated[int, Field(ge=1, le=100)] = 50
    cursor: Cursor | None = None


class ExportQuery(FilterQuery):
    format: Literal["csv", "jsonl"] = "csv"
    cursor: Cursor | None = None


class JobList(BaseModel):
    """Newest first. `cursor`: give it back to go on; absent: that was all. A filter may find none and still go on."""

    jobs: list[JobView]
    cursor: str | None = None


class ErrorGroup(BaseModel):
    """Failures of one kind: same code, same message but for its particulars. `job_id` is the newest of them."""

    fingerprint: str
    type: str
    count: int
    error: ErrorBody
    job_id: str
    newest_at: str
    oldest_at: str


class ErrorGroups(BaseModel):
    """The most frequent first, of the newest jobs that were `looked_at`; `cursor`: there are older ones."""

    groups: list[ErrorGroup]
    looked_at: int
    cursor: str | None = None


class ErrorsQuery(Query):
    type: Name | None = None
    since: Time | None = None
    cursor: Cursor | None = None


class Bulk(BaseModel):
    """Up to 200 jobs a request; go on with the `cursor` of its answer. `dry_run` only counts."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    filter: Wanted
    dry_run: bool = False
    cursor: Cursor | None = None
    rate_per_s: Annotated[float, Field(gt=0, le=1_000, allow_inf_nan=False)] = 10.0
    """Of a redrive: how many become due a second."""

    first: Annotated[int, Field(ge=0, le=1_000_000)] = 0
    """Of a redrive that goes on: how many were changed before, so that the pace is kept."""

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        if self.filter.filter().is_empty:
            raise ValueError("say which: a filter that says nothing would mean all jobs")
        return self


class BulkRedrive(Bulk):
    """`canary`: a job runs one of them again, then ten, then all, and stops by itself when the same failure is back. It
    takes a filter of an `error`, and of `type`, `since`, `ended_since` where wanted; the answer is that job."""

    canary: bool = False

    @model_validator(mode="after")
    def _is_of_one_failure(self) -> Self:
        said = self.filter
        if self.canary and (said.error is None or said.text or said.until or said.status):
            raise ValueError(
                "a canary is of filter.error, and of type, since, ended_since where wanted, and of nothing else"
            )
        return self


class BulkProblem(BaseModel):
    job_id: str
    code: str
    detail: str


class BulkDone(BaseModel):
    """`matched` jobs were found, `changed` are changed; the others have moved on, and `problems` tells how."""

    matched: int
    changed: int
    problems: list[BulkProblem]
    cursor: str | None = None


async def jobs_list(call: Call) -> Answer:
    query = call.query(ListQuery)
    page = await call.service.find(call.caller.tenant_id, query.filter(), limit=query.limit, cursor=query.cursor)
    views = [view_of(job, bucket=call.ports.objects.bucket) for job in page.jobs]
    return answer_json(200, JobList(jobs=views, cursor=page.cursor))


async def errors(call: Call) -> Answer:
    query = call.query(ErrorsQuery)
    failed = frozenset({Status.FAILED, Status.PARTIAL_SUCCESS})
    wanted = Filter(statuses=failed, type=query.type, created_since=ms(query.since))
    jobs, looked_at, cursor = await _gathered(call, wanted, query.cursor, GROUPED_MAX)
    return answer_json(200, ErrorGroups(groups=_groups(jobs), looked_at=looked_at, cursor=cursor))


async def export(call: Call) -> Answer:
    query = call.query(ExportQuery)
    jobs, _, cursor = await _gathered(call, query.filter(), query.cursor, EXPORT_MAX)
    rows = [view_of(job, bucket=call.ports.objects.bucket) for job in jobs]
    body, kind = (_csv(rows), "text/csv") if query.format == "csv" else (_jsonl(rows), "application/jsonl")
    name = f'attachment; filename="jobs.{query.format}"'
    more = {} if cursor is None else {"Longshore-Cursor": cursor}
    return Answer(200, body, {"Content-Type": f"{kind}; charset=utf-8", "Content-Disposition": name, **more})


async def bulk_cancel(call: Call) -> Answer:
    async def one(job: Job) -> Job:
        return await call.service.cancel(job.tenant_id, job.job_id, who=call.caller.who)

    async def change(jobs: Iterable[Job], _bulk: Bulk) -> list[Job | Conflict | NotFound]:
        done: list[Job | Conflict | NotFound] = []
        for job in jobs:
            try:
                done.append(await one(job))
            except (Conflict, NotFound) as problem:
                done.append(type(problem)(problem.code, problem.message, field=job.job_id))
        return done

    return await _bulk(call, call.body(Bulk), ALIVE, change)


async def bulk_redrive(call: Call) -> Answer:
    bulk = call.body(BulkRedrive)
    if bulk.canary and not bulk.dry_run:
        return await _canary(call, bulk)

    async def change(jobs: Iterable[Job], bulk: Bulk) -> list[Job | Conflict | NotFound]:
        paced = redrive_paced(call.ports, list(jobs), who=call.caller.who, rate_per_s=bulk.rate_per_s, first=bulk.first)
        return [one async for one in paced]

    return await _bulk(call, bulk, TERMINAL - {Status.SUCCESS}, change)


# --- how --------------------------------------------------------------------------------------------------------------


async def _canary(call: Call, bulk: BulkRedrive) -> Answer:
    caller, wanted = call.caller, bulk.filter.filter()
    payload = RedrivePayload(
        tenant_id=caller.tenant_id,
        user_id=caller.user_id if NAME.fullmatch(caller.user_id) else None,
        fingerprint=wanted.error or "",
        job_type=wanted.type,
        created_since=wanted.created_since,
        ended_since=wanted.ended_since,
        rate_per_s=bulk.rate_per_s,
        who=caller.who,
    )
    job = await call.service.submit(payload)
    accepted = Accepted(job_id=job.job_id, status=job.status, created_at=rfc3339(job.created_at))
    return answer_json(202, accepted, {"Location": f"/jobs/{job.job_id}"})


async def _bulk(
    call: Call,
    bulk: Bulk,
    possible: frozenset[Status],
    change: Callable[[Iterable[Job], Bulk], Awaitable[list[Job | Conflict | NotFound]]],
) -> Answer:
    wanted = bulk.filter.filter()
    jobs, _, cursor = await _gathered(call, wanted, bulk.cursor, BULK_MAX)
    jobs = [job for job in jobs if job.status in possible]
    done = [] if bulk.dry_run else await change(jobs, bulk)
    problems = [
        BulkProblem(job_id=one.field or "", code=one.code, detail=one.message)
        for one in done
        if not isinstance(one, Job)
    ]
    changed = len(done) - len(problems)
    return answer_json(200, BulkDone(matched=len(jobs), changed=changed, problems=problems, cursor=cursor))


async def _gathered(
    call: Call, wanted: Filter, cursor: str | None, looked_at_max: int
) -> tuple[list[Job], int, str | None]:
    """Those of the next `looked_at_max` jobs of the list that match; how many were looked at; where to go on."""
    found: list[Job] = []
    looked_at = 0
    while looked_at < looked_at_max:
        page = await call.service.list(call.caller.tenant_id, limit=100, cursor=cursor)
        looked_at += len(page.jobs)
        found += [job for job in page.jobs if wanted.matches(job)]
        cursor = None if page.jobs and wanted.is_behind(page.jobs[-1]) else page.cursor
        if cursor is None:
            break
    return found, looked_at, cursor


def _groups(jobs: Iterable[Job]) -> list[ErrorGroup]:
    """`jobs` are the newest first."""
    groups: dict[tuple[str, str], ErrorGroup] = {}
    for job in jobs:
        fingerprint, at = fingerprint_of(job), rfc3339(job.completed_at or job.updated_at)
        if fingerprint is None or job.error is None:
            continue
        group = groups.get((job.type, fingerprint))
        if group is not None:
            group.count += 1
            group.oldest_at = min(at, group.oldest_at)
            continue
        groups[job.type, fingerprint] = ErrorGroup(
            fingerprint=fingerprint,
            type=job.type,
            count=1,
            error=ErrorBody.model_validate_json(job.error),
            job_id=job.job_id,
            newest_at=at,
            oldest_at=at,
        )
    return sorted(groups.values(), key=lambda group: -group.count)


COLUMNS: Final = ("job_id", "type", "status", "attempts", "created_at", "started_at", "completed_at", "user_id")


def _csv(rows: Iterable[JobView]) -> bytes:
    """What a spreadsheet would take for a formula is quoted: https://owasp.org/www-community/attacks/CSV_Injection"""
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow([*COLUMNS, "error_code", "error_message", "metadata"])
    for row in rows:
        error = (row.error.code, row.error.message) if row.error else ("", "")
        metadata = json.dumps(row.metadata, ensure_ascii=False) if row.metadata else ""
        values = [getattr(row, name) for name in COLUMNS]
        writer.writerow([_harmless(value) for value in (*values, *error, metadata)])
    return out.getvalue().encode("utf-8", "replace")


def _harmless(value: object) -> str:
    text = "" if value is None else str(value)
    return f"'{text}" if text[:1] in ("=", "+", "-", "@", "\t", "\r") else text


def _jsonl(rows: Iterable[JobView]) -> bytes:
    return b"".join(row.model_dump_json(exclude_none=True).encode() + b"\n" for row in rows)
