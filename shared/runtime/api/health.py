"""Does every part of the stack answer? For those who look after it; `GET /health` tells anybody that the API lives."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final, Literal

from pydantic import BaseModel

from shared.errors import LongshoreError
from shared.lanes import routed
from shared.payloads import TYPES
from shared.ports import Depth, Ports
from shared.runtime.api.app import Call, Route
from shared.runtime.api.messages import Answer, Role, answer_json
from shared.runtime.throttle_why import waits_of
from shared.status import Status

PART_S: Final = 5.0
"""A part that does not answer in this time fails."""

LOOKED_AT: Final = 25
LATE_S: Final = 120
"""SQS tells a queue's depth up to a minute late."""

NOBODY: Final = "health"
"""No connection's id: API Gateway is asked for it, and knows of none."""


class Part(BaseModel):
    """`late_s`: how long the reactor, or the workers, have been behind with a job of this tenant."""

    status: Literal["ok", "failing"] = "ok"
    reason: str | None = None
    late_s: float | None = None


class DeepHealth(BaseModel):
    """Of every part; all of them must be ok."""

    status: Literal["ok", "failing"]
    parts: dict[str, Part]


async def get_deep_health(call: Call) -> Answer:
    ports, tenant = call.ports, call.caller.tenant_id
    asked: dict[str, Awaitable[object]] = {
        "jobs_table": ports.jobs.get(tenant, "health"),
        "side_table": ports.side.get("health", "health"),
        "bucket": ports.objects.get("health"),
        "queues": asyncio.gather(*(_depths(ports, name) for name in TYPES)),
        "websocket": ports.connections.post(NOBODY, b"{}"),
        "reactor": _late_s(ports, tenant, lambda depth: depth == Depth(0, 0, 0)),  # nobody was told of it
        "workers": _late_s(ports, tenant, lambda depth: depth.waiting > 0 and not depth.in_flight),  # nobody takes it
    }
    parts = dict(zip(asked, await asyncio.gather(*(_part(each) for each in asked.values())), strict=True))
    fails = any(part.status == "failing" for part in parts.values())
    return answer_json(503 if fails else 200, DeepHealth(status="failing" if fails else "ok", parts=parts))


async def _part(answer: Awaitable[object]) -> Part:
    try:
        async with asyncio.timeout(PART_S):
            late_s = await answer
    except (LongshoreError, TimeoutError) as error:
        return Part(status="failing", reason=error.code if isinstance(error, LongshoreError) else "timeout")
    if not isinstance(late_s, float):
        return Part()
    return Part(status="failing" if late_s > LATE_S else "ok", late_s=late_s)


async def _late_s(ports: Ports, tenant_id: str, is_left: Callable[[Depth], bool]) -> float:
    """Since when the oldest of the tenant's newest jobs has been due whose queue is such, and that nothing holds."""
    page, now = await ports.jobs.list(tenant_id, limit=LOOKED_AT), ports.now()
    due = [job for job in page.jobs if job.status is Status.QUEUED and job.due_at < now and job.type in TYPES]
    depths = {name: await _depths(ports, name) for name in {job.type for job in due}}
    left = (job for job in due if is_left(depths[job.type][routed(job.type, job.priority, depths[job.type])]))
    for job in sorted(left, key=lambda job: job.due_at):
        if not await waits_of(ports, job):
            return (now - job.due_at) / 1000
    return 0.0


async def _depths(ports: Ports, job_type: str) -> dict[str, Depth]:
    """Of all queues of a type."""
    return {queue: await ports.queues.depth(queue) for queue in await ports.queues.queues_of(job_type)}


ROUTE: Final = Route(
    method="GET",
    path="/health/deep",
    summary="Does every part answer?",
    role=Role.VIEWER,
    act=get_deep_health,
    answers={200: DeepHealth, 503: DeepHealth},
)
