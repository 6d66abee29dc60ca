"""A producer as a process: `python -m tests.soak.producer ENDPOINT SEED CUSTOMERS PATIENCE_S`, until it is killed.

It tells what it is about to do, does it, and tells that it got an answer: killed in between, it leaves an intent that
may or may not have become a job.
"""

import asyncio
import itertools
import json
import sys
from collections.abc import Iterator
from random import Random
from typing import Final

from shared.errors import Conflict
from shared.ids import derived_job_id
from shared.payloads.generic import GenericOptions, GenericPayload
from shared.ports import Outgoing, Ports
from shared.runtime.service import Service
from shared.runtime.settings import LOCAL, Settings
from shared.runtime.wiring import ports_of
from tests.soak import brisk
from tests.soak.jobs import KINDS
from tests.soak.ledger import tell

TENANTS: Final = ("acme", "zenith", "default")
BARE_SHARE: Final = 0.25
GARBAGE_SHARE: Final = 0.02


def settings_at(endpoint_url: str) -> Settings:
    return Settings(endpoint_url=endpoint_url, region=LOCAL.region, credentials=LOCAL.credentials)


async def produce(endpoint_url: str, seed: int, customers: int, patience_s: float) -> None:
    async with ports_of(settings_at(endpoint_url)) as ports:
        names = (f"{seed}-{number}" for number in itertools.count())
        async with asyncio.TaskGroup() as group:
            for number in range(customers):
                group.create_task(_customer(ports, Random(seed + number), names, patience_s))


async def _customer(ports: Ports, dice: Random, names: Iterator[str], patience_s: float) -> None:
    """One job after another: the next when it is over, or has taken too long."""
    loop = asyncio.get_running_loop()
    for name in names:
        key = await _one(ports, dice, name)
        ends_s = loop.time() + patience_s
        while key is not None and loop.time() < ends_s:
            await asyncio.sleep(dice.uniform(0.5, 1.5))
            row = await ports.jobs.get(*key)
            key = None if row is not None and row.status.is_terminal else key


async def _one(ports: Ports, dice: Random, name: str) -> tuple[str, str] | None:
    """→ the job, if it is one."""
    if dice.random() < GARBAGE_SHARE:
        await _send(
            ports, dice.choice(['{"broken": "%s', '["%s"]', '{"type": "extract", "x": "%s"}']) % name, "garbage"
        )
        return None
    kind = "poisonous" if name.endswith("-0") else dice.choices([*KINDS], [kind.weight for kind in KINDS.values()])[0]
    payload = GenericPayload(
        tenant_id=dice.choice(TENANTS),
        operation=kind,
        parameters={"seconds": round(dice.uniform(0.2, 2.5 if brisk.is_asked() else 8), 2)},
        options=GenericOptions(retries=KINDS[kind].retries),
    )
    job_id = derived_job_id(payload.tenant_id, "generic", name)
    order = {"job": f"{payload.tenant_id}#{job_id}", "kind": kind}
    if dice.random() < BARE_SHARE:
        body = json.loads(payload.body_json()) | {"tenant_id": payload.tenant_id, "job_id": job_id}
        await _send(ports, json.dumps(body), "bare", **order)
    else:
        tell("intent", **order)
        await Service(ports).submit(payload, idempotency_key=name, delay_s=dice.choice([0, 0, 0, 1]))
        tell("accepted", **order)
    if kind == "asked_to_end":
        await _ask_for_its_end(ports, payload.tenant_id, job_id, dice.uniform(0, 2))
    return payload.tenant_id, job_id


async def _send(ports: Ports, body: str, door: str, **order: str) -> None:
    tell("intent", **order, body=body)
    if not await ports.queues.send([Outgoing("generic", body)]):
        tell(door, **order, body=body)


async def _ask_for_its_end(ports: Ports, tenant_id: str, job_id: str, after_s: float) -> None:
    await asyncio.sleep(after_s)
    if await ports.jobs.get(tenant_id, job_id) is None:  # a bare message that nobody has claimed yet
        return
    tell("asked", job=f"{tenant_id}#{job_id}")
    try:
        await Service(ports).cancel(tenant_id, job_id, who="soak")
    except Conflict:
        tell("too_late", job=f"{tenant_id}#{job_id}")


if __name__ == "__main__":
    asyncio.run(produce(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), float(sys.argv[4])))
