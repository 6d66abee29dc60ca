"""Many jobs run again: which ones, and how fast.

- A selection that selects everything by saying nothing is refused.
- The pace is kept by due times, not by waiting: all rows are written at once, and due one after the other.
- Every job is its own conditional write: one that has moved on is told of, and harms nothing.
"""

from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass

from shared.errors import Conflict, InvalidInput, NotFound
from shared.job import Job
from shared.limits import LIST_MAX
from shared.ports import Ports
from shared.runtime.service import Service
from shared.selection import Filter
from shared.status import Status


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """Jobs by id, or by all that is said of them; `status` alone has a default, FAILED.

    `error` is a fingerprint, or an error's code. `ended_since` in milliseconds since the epoch.
    """

    job_ids: tuple[str, ...] = ()
    type: str | None = None
    error: str | None = None
    status: Status | None = None
    ended_since: int | None = None

    def __post_init__(self) -> None:
        said = [value for value in (self.type, self.error, self.status, self.ended_since) if value not in (None, "")]
        if bool(self.job_ids) == bool(said):
            raise InvalidInput("invalid_selection", "either job ids, or a type, error, status or time", field="filter")
        if self.status is not None and (self.status is Status.SUCCESS or not self.status.is_terminal):
            raise InvalidInput("invalid_selection", "FAILED, PARTIAL_SUCCESS or CANCELLED", field="status")

    @property
    def filter(self) -> Filter:
        statuses = frozenset({self.status or Status.FAILED})
        return Filter(statuses=statuses, type=self.type, error=self.error, ended_since=self.ended_since)


async def selected(ports: Ports, tenant_id: str, selection: Selection) -> AsyncIterator[Job]:
    """The tenant's jobs that match, newest first; those given by id in their order, NotFound if one does not exist.

    A filter looks through the tenant's whole list: half a read unit a job.
    """
    service, wanted = Service(ports), selection.filter
    for job_id in dict.fromkeys(selection.job_ids):
        yield await service.get(tenant_id, job_id)
    cursor, goes_on = None, not selection.job_ids
    while goes_on:
        page = await service.list(tenant_id, limit=LIST_MAX, cursor=cursor)
        for job in page.jobs:
            if wanted.matches(job):
                yield job
        cursor, goes_on = page.cursor, page.cursor is not None


async def redrive_paced(
    ports: Ports, jobs: Iterable[Job], *, who: str, rate_per_s: float
) -> AsyncIterator[Job | Conflict | NotFound]:
    """Redrive one after the other, each due 1 / `rate_per_s` seconds after the one before.

    → for each its row, QUEUED; or why it is not, the job's id for a field.
    """
    if rate_per_s <= 0:
        raise InvalidInput("invalid_rate", "more than 0 jobs a second", field="rate")
    service, began, due = Service(ports), ports.now(), 0
    for job in jobs:
        delay_s = max(0.0, due / rate_per_s - (ports.now() - began) / 1000)
        try:
            yield await service.redrive(job.tenant_id, job.job_id, who=who, delay_s=delay_s)
            due += 1
        except (Conflict, NotFound) as problem:
            yield type(problem)(problem.code, problem.message, field=job.job_id)
