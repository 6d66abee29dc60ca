"""Singletons and debouncing, at the door: who comes in, and instead of whom. Declared in `shared/throttle.py`.

A document for each key names its job. It is written before the job's row:

- Singleton: a job that it names and that has no row is being submitted (it is waited for), or its door has died: then a
  tombstone is written where it would be, so that it never comes, and its place is taken.
- Debounce: the older job is cancelled after the newer one is there. A door that dies in between leaves both: the newest
  always runs, and nothing that was accepted is lost.
"""

import asyncio
import json
from dataclasses import asdict, dataclass, replace
from typing import Final

from shared.errors import Conflict, WorldFault
from shared.job import Job, compact_json
from shared.moves import cancel, submit_cancelled
from shared.payloads.base import Payload
from shared.ports import Ports
from shared.runtime.parking import KEPT_S
from shared.status import Status
from shared.throttle import Debounce, Singleton, resource_key

LOOKS_MAX: Final = 20
PAUSE_S: Final = 0.1
BORN_WITHIN_MS: Final = 10_000
"""A door that takes longer between its two writes is taken for dead."""

WHO: Final = "debounce"


@dataclass(frozen=True, slots=True)
class Named:
    """The document. `since`: of a debounced job, when the first of those that it stands for came. `before`: the one
    that it supersedes."""

    job_id: str
    since: int
    at: int
    token: str
    before: str | None = None


@dataclass(frozen=True, slots=True)
class Admitted:
    """Submit `job`, then call `superseded`; or, if it is to be `instead`, submit nothing."""

    job: Job
    before: str | None = None
    instead: Job | None = None


async def admitted(ports: Ports, job: Job, payload: Payload) -> Admitted:
    """What the policy's door says of a new job. Conflict if one is alive and a second is to be refused."""
    door = payload.policy.door
    if door is None:
        return Admitted(job)
    key = resource_key(door.by, job.tenant_id, dict(payload))
    place = f"throttle#{key}", f"door#{job.type}"
    for _ in range(LOOKS_MAX):
        body = await ports.side.get(*place)
        known = None if body is None else Named(**json.loads(body))
        if known is not None and known.job_id == job.job_id:
            return Admitted(replace(job, due_at=max(job.due_at, _due_at(door, known))), known.before)
        if await ports.jobs.get(job.tenant_id, job.job_id) is not None:
            return Admitted(job)
        row = None if known is None else await ports.jobs.get(job.tenant_id, known.job_id)
        if isinstance(door, Debounce):
            new = _debounced(door, job, known, row, ports.token())
        elif known is not None and row is None and ports.now() - known.at < BORN_WITHIN_MS:
            await asyncio.sleep(PAUSE_S)
            continue
        else:
            if known is not None and (alive := await _alive(ports, job, known, row)):
                return _second(door, job, alive)
            new = Named(job.job_id, job.created_at, job.created_at, ports.token())
        text, expires_at = compact_json(asdict(new)), max(job.created_at, job.due_at) // 1000 + KEPT_S
        if await ports.side.swap(*place, old=body, new=text, expires_at=expires_at):
            return Admitted(replace(job, due_at=max(job.due_at, _due_at(door, new))), new.before)
    raise WorldFault("contended", "others submit the same at this moment: try again")


async def superseded(ports: Ports, job: Job, before: str | None) -> None:
    """`job` is there: the one before it need not run, if it has not begun."""
    row = None if before is None else await ports.jobs.get(job.tenant_id, before)
    if row is not None and _is_pending(row):
        await ports.jobs.apply(cancel(row.tenant_id, row.job_id, ports.now(), token=ports.token(), who=WHO))


async def _alive(ports: Ports, job: Job, known: Named, row: Job | None) -> Job | None:
    if row is None:
        stone = submit_cancelled(replace(job, job_id=known.job_id, token=ports.token()))
        row = (await ports.jobs.apply(stone)).job
    return None if row is None or row.status.is_terminal else row


def _second(door: Singleton, job: Job, alive: Job) -> Admitted:
    if door.second == "refuse":
        raise Conflict("one_alive", f"{alive.job_id} is {alive.status}, and only one of these may be", field=door.by)
    return Admitted(job, instead=alive)


def _debounced(door: Debounce, job: Job, known: Named | None, row: Job | None, token: str) -> Named:
    """One that has begun, or is over, or whose time has come, is not superseded."""
    now = job.created_at
    if known is None or (row is not None and not _is_pending(row)) or known.since + door.max_wait_s * 1000 <= now:
        return Named(job.job_id, now, now, token)
    return Named(job.job_id, known.since, now, token, known.job_id if row is not None else known.before)


def _is_pending(row: Job) -> bool:
    return row.status is Status.QUEUED and row.started_at is None


def _due_at(door: Singleton | Debounce, named: Named) -> int:
    if isinstance(door, Singleton):
        return named.at
    return min(named.at + round(door.quiet_s * 1000), named.since + round(door.max_wait_s * 1000))
