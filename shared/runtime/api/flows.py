"""The routes of flows: how each step is, and the children of any job that has some."""

from collections.abc import AsyncIterator, Collection, Sequence
from typing import Annotated, Final

from pydantic import BaseModel, StringConstraints

from shared.children import Group, child_id, latest_groups
from shared.errors import Conflict
from shared.fan_in import END_OF, RADIX, Sets, inbox_key
from shared.flow_view import FlowView, flow_view
from shared.job import Job
from shared.limits import LIST_MAX
from shared.payloads.flow import FlowPayload
from shared.ports import Ports
from shared.runtime.api.app import Call, Route
from shared.runtime.api.jobs import job_of
from shared.runtime.api.many import ListQuery
from shared.runtime.api.messages import Answer, Role, answer_json
from shared.runtime.children import chunks
from shared.runtime.fan_in import ends_in
from shared.runtime.flow import read_tree, told_of
from shared.status import Status
from shared.view import JobView, view_of

LOOKS_MAX: Final = 10
"""Of 100 rows each: a filter that finds little gives up after these."""

Place = tuple[Group, int]
"""(step, index)"""


class ChildrenQuery(ListQuery):
    step: Annotated[str, StringConstraints(min_length=1, max_length=64)] | None = None
    cursor: Annotated[str, StringConstraints(pattern=r"^[0-9]{1,6}-[0-9]{1,6}$")] | None = None


class ChildList(BaseModel):
    """In the order of steps and of indexes; those that are made. `cursor`: give it back to go on; absent: that was all.
    A filter may find none and still go on."""

    children: list[JobView]
    cursor: str | None = None


async def get_flow(call: Call) -> Answer:
    """Reads a row for each step, and for a mapped one an item for each 200 of its jobs."""
    job = await job_of(call)
    if job.type != "flow":
        raise Conflict("not_a_flow", f"the job is of the type {job.type}", field="job_id")
    flow = FlowPayload.model_validate_json(await call.service.payload(job))
    plan, told = await told_of(call.ports, await read_tree(call.ports, job, flow), with_data=False)
    return answer_json(200, flow_view(job, flow, plan.states, told))


async def list_children(call: Call) -> Answer:
    query, parent, found = call.query(ChildrenQuery), await job_of(call), list[JobView]()
    wanted, looks = query.filter(), 0
    async for numbers, places in _places(call.ports, parent, query, wanted.statuses):
        if looks == LOOKS_MAX:
            return answer_json(200, ChildList(children=found, cursor=numbers[0]))
        ids = [child_id(parent.tenant_id, parent.job_id, *place) for place in places]
        rows = await call.ports.jobs.get_many(parent.tenant_id, ids)
        for number, row in zip(numbers, rows, strict=True):
            if row is not None and wanted.matches(row):
                if len(found) == query.limit:
                    return answer_json(200, ChildList(children=found, cursor=number))
                found.append(view_of(row, bucket=call.ports.objects.bucket))
        looks += 1
    return answer_json(200, ChildList(children=found))


async def _places(
    ports: Ports, parent: Job, query: ChildrenQuery, statuses: Collection[Status]
) -> AsyncIterator[tuple[Sequence[str], Sequence[Place]]]:
    """Where those may be that are wanted, up to 100 at a time, from the cursor on; each with its own cursor. With
    `statuses`, what the children told their parent says where to look."""
    group_number, first = map(int, (query.cursor or "0-0").split("-"))
    (inbox,) = await ports.side.united([inbox_key(parent.tenant_id, parent.job_id)])
    for group in sorted(latest_groups(parent).values(), key=lambda group: group.number):
        if group.number < group_number or query.step not in (None, group.step):
            continue
        indexes: Sequence[int] = range(first if group.number == group_number else 0, group.total)
        if statuses:
            ends = await ends_in(ports, parent, inbox, group)
            indexes = [index for index in indexes if _may_be(ends[index // RADIX], index % RADIX, statuses)]
        for some in chunks(indexes, LIST_MAX):
            yield [f"{group.number}-{index}" for index in some], [(group, index) for index in some]


def _may_be(ends: Sets, member: int, statuses: Collection[Status]) -> bool:
    told = {end for end, members in ends.items() if member in members}
    if told:
        return any(END_OF.get(status) in told for status in statuses)
    return any(not status.is_terminal for status in statuses)


ROUTES: Final = (
    Route(
        method="GET",
        path="/jobs/{job_id}/flow",
        summary="How each step of a flow is",
        role=Role.VIEWER,
        act=get_flow,
        answers={200: FlowView},
        may=(404, 409),
    ),
    Route(
        method="GET",
        path="/jobs/{job_id}/children",
        summary="The jobs that a job has started, of one step or of all",
        role=Role.VIEWER,
        act=list_children,
        query=ChildrenQuery,
        answers={200: ChildList},
        may=(404,),
    ),
)
