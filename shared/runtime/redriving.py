"""Many jobs run again: how fast.

- The pace is kept by due times, not by waiting: all rows are written at once, and due one after the other.
- Every job is its own conditional write: one that has moved on is told of, and harms nothing.
"""

from collections.abc import AsyncIterator, Iterable

from shared.errors import Conflict, InvalidInput, NotFound
from shared.job import Job
from shared.ports import Ports
from shared.runtime.service import Service


async def redrive_paced(
    ports: Ports, jobs: Iterable[Job], *, who: str, rate_per_s: float, first: int = 0
) -> AsyncIterator[Job | Conflict | NotFound]:
    """Redrive one after the other, each due 1 / `rate_per_s` seconds after the one before; `first` of them have been.

    → for each its row, QUEUED; or why it is not, the job's id for a field.
    """
    if rate_per_s <= 0:
        raise InvalidInput("invalid_rate", "more than 0 jobs a second", field="rate")
    service, began, due = Service(ports), ports.now(), first
    for job in jobs:
        delay_s = max(0.0, due / rate_per_s - (ports.now() - began) / 1000)
        try:
            yield await service.redrive(job.tenant_id, job.job_id, who=who, delay_s=delay_s)
            due += 1
        except (Conflict, NotFound) as problem:
            yield type(problem)(problem.code, problem.message, field=job.job_id)
