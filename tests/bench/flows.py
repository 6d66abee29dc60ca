"""What a flow costs beyond its jobs: counted at the wire, timed on the local cloud.

Rules of this file:
1. A flow of N children is compared with the same N jobs submitted one by one, in the same run, on a stack of its own.
2. Counts are exact. Times of the local cloud compare, they do not promise: one process plays AWS for all.
"""

import asyncio
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final, cast

from pydantic import JsonValue
from pydantic_core import to_json

from handlers.jobs.flow import flow
from handlers.jobs.generic import generic
from infra.local.cloud import LocalCloud
from shared.aws.clients import Clients
from shared.aws.ports import aws_ports
from shared.names import Names, default_bucket
from shared.payloads import read_payload
from shared.payloads.base import Payload
from shared.payloads.flow import FlowPayload
from shared.ports import Ports
from shared.runtime.definition import JobType
from shared.runtime.service import Service
from shared.status import Status
from tests.bench.meter import Tally
from tests.bench.stack import Stack, metered_stack

ACCOUNT: Final = "123456789012"
TEMPLATE: Final = Path(__file__).parents[2] / "template.yaml"
TYPES: Final = {"flow": cast("JobType[Payload]", flow), "generic": cast("JobType[Payload]", generic)}
SUBMITTED_AT_ONCE: Final = 25
LOOK_EVERY_S: Final = 1.0


@dataclass(frozen=True, slots=True)
class Compared:
    """`with_flow` − `without`, per child, is the price of being a child."""

    children: int
    with_flow: Tally
    without: Tally

    def per_child(self, tally: Tally) -> float:
        return (tally.write_units + tally.index_units) / self.children

    def requests(self, tally: Tally) -> float:
        free = ("dynamodbstreams", "lambda")
        return sum(count for name, count in tally.requests.items() if not name.startswith(free)) / self.children


def one_job(number: JsonValue) -> dict[str, JsonValue]:
    return {"type": "generic", "operation": "echo", "parameters": {"n": number}}


def flow_of(children: int) -> FlowPayload:
    """A list of numbers, one job for each."""
    each: JsonValue = {"name": "each", "map": list(range(children)), "job": one_job({"$item": True})}
    read = read_payload(to_json({"type": "flow", "steps": [each]}))
    assert isinstance(read, FlowPayload)
    return read


# --- counted ----------------------------------------------------------------------------------------------------------


async def compared(children: int, *, batch: int = 10) -> Compared:
    with_flow, without = [await _counted(children, batch, as_flow=as_flow) for as_flow in (True, False)]
    return Compared(children, with_flow, without)


async def _counted(children: int, batch: int, *, as_flow: bool) -> Tally:
    async with metered_stack(TYPES) as stack:
        stack.batch = batch
        if as_flow:
            job = await stack.submit(flow_of(children))
        else:
            for number in range(children):
                job = await stack.submit(read_payload(to_json(one_job(number))))
        await _drain(stack)
        tally = stack.endpoint.tally.copy()
        row = await stack.ports.jobs.get(job.tenant_id, job.job_id)
        assert row is not None
        assert row.status is Status.SUCCESS, row
        return tally


async def _drain(stack: Stack) -> None:
    """A flow wakes its children, they wake the flow."""
    before = None
    while before != (before := stack.endpoint.tally.requests["lambda worker"]):
        for name in stack.job_types:
            await stack.drain(name)


# --- timed ------------------------------------------------------------------------------------------------------------


def on_the_local_cloud(children: int) -> list[dict[str, object]]:
    """Seconds from the submission to the last end, of the jobs alone and of the flow, in turns."""
    return [asyncio.run(_timed(children, as_flow=as_flow)) for as_flow in (False, True)]


async def _timed(children: int, *, as_flow: bool) -> dict[str, object]:
    async with LocalCloud(TEMPLATE) as cloud:
        clients = Clients(endpoint_url=cloud.endpoint_url, region=cloud.region, credentials=("local", "local"))
        names = Names(stack="longshore", bucket=default_bucket("longshore", ACCOUNT, cloud.region))
        ports = aws_ports(clients, names, now=_now, dice=lambda: 0.5, token=lambda: time.time_ns().to_bytes(8).hex())
        try:
            began_s, began_cpu_s = time.perf_counter(), time.process_time()
            await (_one_flow(ports, children) if as_flow else _many_jobs(ports, children))
            took_s = time.perf_counter() - began_s
        finally:
            await clients.close()
    return {
        "what": "a flow" if as_flow else "jobs",
        "children": children,
        "seconds": took_s,
        "jobs/s": children / took_s,
        "CPU s of the cloud": time.process_time() - began_cpu_s,
    }


async def _one_flow(ports: Ports, children: int) -> None:
    service = Service(ports)
    job = await service.submit(flow_of(children))
    while not job.status.is_terminal:
        await asyncio.sleep(LOOK_EVERY_S)
        job = await service.get(job.tenant_id, job.job_id)
    assert job.status is Status.SUCCESS, job


async def _many_jobs(ports: Ports, children: int) -> None:
    service, left = Service(ports), []
    for first in range(0, children, SUBMITTED_AT_ONCE):
        numbers = range(first, min(children, first + SUBMITTED_AT_ONCE))
        payloads = [read_payload(to_json(one_job(number))) for number in numbers]
        left += [job.job_id for job in await asyncio.gather(*map(service.submit, payloads))]
    while left:
        rows = await ports.jobs.get_many("default", left[:100])
        over = {row.job_id for row in rows if row and row.status is Status.SUCCESS}
        left = [job_id for job_id in left if job_id not in over]
        if not over:
            await asyncio.sleep(LOOK_EVERY_S)


def _now() -> int:
    return time.time_ns() // 1_000_000
