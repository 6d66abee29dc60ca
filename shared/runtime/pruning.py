"""Cancelling a tree: a parent that failed or was cancelled has its children cancelled, by a job of its own.

A job, because a parent may have a hundred thousand children, and one record of the stream causes a few calls. Children
that are parents themselves cause the same when they end.
"""

import asyncio
from collections.abc import Sequence
from typing import Final

from shared.admission import new_job
from shared.children import Group, child_id, latest_groups
from shared.envelope import Envelope, seal
from shared.errors import Conflict, NotFound
from shared.fan_in import Sets, end_of_group
from shared.ids import derived_job_id
from shared.job import Job
from shared.moves import submit, submit_cancelled
from shared.payloads.base import Payload
from shared.payloads.cancel_children import CancelChildrenPayload
from shared.ports import Applied, Ports
from shared.runtime.service import Service

WHO: Final = "parent"


async def prune(ports: Ports, parent: Job, life: int | None = None) -> Job | None:
    """Have the children cancelled that it began in this life, counted by its redrives (None: the present one).
    Repeating it changes nothing. → the job that does it."""
    redrives = (parent.redrives or 0) if life is None else life
    payload = CancelChildrenPayload(tenant_id=parent.tenant_id, parent_id=parent.job_id, redrives=redrives)
    return await _begun(ports, parent, payload, redrives)


async def clean_up(ports: Ports, ended: Job, work: Payload) -> Job | None:
    """Have `work` done, once for each life of a job that is over. Repeating it changes nothing. → the job of it."""
    return await _begun(ports, ended, work, ended.redrives or 0)


async def _begun(ports: Ports, ended: Job, payload: Payload, life: int) -> Job | None:
    job_id = derived_job_id(payload.type, ended.tenant_id, ended.job_id, str(life))
    job = new_job(seal(payload, job_id), now=ports.now(), token=ports.token())
    return (await ports.jobs.apply(submit(job, is_listed=False))).job


async def still_ending(ports: Ports, parent: Job) -> bool:
    """After a redrive: are children of its last life still being cancelled? Who began others now would lose them."""
    life, groups = parent.redrives or 0, latest_groups(parent).values()
    if not groups or any(group.redrives == life for group in groups):  # who has begun others has asked before
        return False
    pruner = await prune(ports, parent, life - 1)
    return pruner is not None and not pruner.status.is_terminal


def still_open(parent: Job, inbox: Sets, life: int) -> Sequence[Group]:
    """The groups of this life or before whose children may be alive, or may yet be made by a run that does not know of
    its end."""
    begun = [group for group in latest_groups(parent).values() if group.redrives <= life]
    return [group for group in begun if end_of_group(inbox, group.number) is None]


async def prune_some(ports: Ports, parent: Job, group: Group, indexes: Sequence[int]) -> int:
    """Cancel up to a hundred children of one group; → how many were alive. What is not there gets a tombstone: who
    would make it now finds that it is over."""
    ids = [child_id(parent.tenant_id, parent.job_id, group, index) for index in indexes]
    rows = await ports.jobs.get_many(parent.tenant_id, ids)
    alive = [job_id for job_id, row in zip(ids, rows, strict=True) if row is None or not row.status.is_terminal]
    await asyncio.gather(*(_end(ports, parent, job_id) for job_id in alive))
    return len(alive)


async def _end(ports: Ports, parent: Job, job_id: str) -> None:
    """Until the row says that it is over, or asked to be."""
    tenant_id, service = parent.tenant_id, Service(ports)
    try:
        await service.cancel(tenant_id, job_id, who=WHO)
    except Conflict:  # it has ended meanwhile
        return
    except NotFound:
        now, token = ports.now(), ports.token()
        envelope: Envelope[Payload] = seal(CancelChildrenPayload(tenant_id=tenant_id, parent_id=parent.job_id), job_id)
        tombstone = submit_cancelled(new_job(envelope, now=now, token=token))
        if not isinstance(await ports.jobs.apply(tombstone), Applied):
            await _end(ports, parent, job_id)
