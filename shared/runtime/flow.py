"""A flow carried out: what its children say is read, the planner decides, what it wants is begun. No more state than
the parent's row, its inbox and its children's rows.

    checkpoint   `life until number index`: in this life (counted by redrives) the flow may take until then; of all
                 groups before `number` every child is made, of that one those before `index`

A round that dies is made again by the next run: it plans the same, and makes the same children.
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from graphlib import TopologicalSorter
from typing import Final

from pydantic import JsonValue
from pydantic_core import to_json

from shared.children import Group, child_id, latest_groups
from shared.consequences import SAD_ENDS
from shared.envelope import Envelope, seal
from shared.errors import InvalidInput, NotFound, Permanent
from shared.fan_in import RADIX, End, Sets, end_of_group, inbox_key, is_hurt
from shared.flow import Counts, Fault, Plan, Seen, Start, StepState, plan, ready
from shared.flow_view import Told
from shared.job import Job, compact_json
from shared.limits import LIST_MAX
from shared.payloads import read_payload
from shared.payloads.base import Payload
from shared.payloads.flow import FlowPayload, Step
from shared.payloads.results import ErrorBody
from shared.ports import Ports
from shared.runtime.children import chunks, ends_of
from shared.runtime.documents import response_of
from shared.runtime.fan_in import counts_of, ends_in

DATA_BYTES_MAX: Final = 16 * 1024
"""Of a step's result that is told with the flow's; a larger one is its job's to tell."""

STATE_OF: Final[Mapping[End | None, StepState]] = {
    None: StepState.RUNNING,
    End.OK: StepState.SUCCESS,
    End.PARTLY: StepState.PARTIAL_SUCCESS,
    End.BAD: StepState.FAILED,
}


@dataclass(frozen=True, slots=True)
class Position:
    """Where the making of children stands. `until`: milliseconds."""

    life: int
    until: int
    number: int = 0
    index: int = 0

    def __str__(self) -> str:
        return f"{self.life} {self.until} {self.number} {self.index}"


def position_of(job: Job, flow: FlowPayload, now: int) -> Position:
    """As the last round left it; a new life has all its time before it."""
    life, until, number, index = map(int, (job.checkpoint or "-1 0 0 0").split())
    if life == (job.redrives or 0):
        return Position(life, until, number, index)
    return Position(job.redrives or 0, now + flow.timeout_s * 1000, number, index)


@dataclass(frozen=True, slots=True)
class Tree:
    """A flow with what its children have told so far."""

    job: Job
    flow: FlowPayload
    inbox: Sets
    unwell: frozenset[str] = frozenset()

    @property
    def groups(self) -> dict[str, Group]:
        """step → its latest group"""
        return latest_groups(self.job)

    def again(self) -> tuple[frozenset[str], frozenset[str]]:
        """Of a redriven flow: the steps to be begun once more, and those of them whose values may have changed, since
        they depend on others."""
        life, groups = self.job.redrives or 0, self.groups
        steps = {step.name: step for step in self.flow.steps}
        again: set[str] = set()
        fresh: set[str] = set()
        for name in TopologicalSorter({name: step.requires for name, step in steps.items()}).static_order():
            if name not in groups or groups[name].redrives == life:
                continue
            if any(
                need in again or (need in groups and groups[need].redrives == life) for need in steps[name].requires
            ):
                fresh.add(name)
            if name in fresh or not self._ended_well(steps[name], groups[name]):
                again.add(name)
        return frozenset(again), frozenset(fresh)

    def _ended_well(self, step: Step, group: Group) -> bool:
        end = end_of_group(self.inbox, group.number)
        if end is None or end is End.OK:
            return end is End.OK
        return step.on_failure == "ignore" or (end is End.PARTLY and step.name not in self.unwell)


async def read_tree(ports: Ports, job: Job, flow: FlowPayload) -> Tree:
    (inbox,) = await ports.side.united([inbox_key(job.tenant_id, job.job_id)])
    return Tree(job, flow, inbox, await _unwell(ports, Tree(job, flow, inbox)) if job.redrives else frozenset())


async def _unwell(ports: Ports, tree: Tree) -> frozenset[str]:
    """Of the steps that ended partly: those of which a job failed, or that are flows."""
    found: set[str] = set()
    for step in tree.flow.steps:
        group = tree.groups.get(step.name)
        if group is None or end_of_group(tree.inbox, group.number) is not End.PARTLY:
            continue
        is_flow = step.job.get("type") == "flow"
        if is_flow or any(sets.get(End.BAD) for sets in await ends_in(ports, tree.job, tree.inbox, group)):
            found.add(step.name)
    return frozenset(found)


async def planned(ports: Ports, tree: Tree, position: Position) -> Plan:
    """What to begin now. Steps whose groups may lack children are planned once more."""
    seen: dict[str, Seen] = {}
    again, _ = tree.again()
    for step in tree.flow.steps:
        group = tree.groups.get(step.name)
        if group is None or step.name in again:
            continue
        if group.number < position.number or is_hurt(tree.inbox, group.number):
            seen[step.name] = _seen(tree, group)
    return await _judged(ports, tree, seen)


async def _judged(ports: Ports, tree: Tree, seen: Mapping[str, Seen]) -> Plan:
    results: dict[str, JsonValue] = {}
    while lacking := ready(tree.flow, seen, results):
        results |= {name: await _result(ports, tree, name) for name in sorted(lacking)}
    return plan(tree.flow, seen, results)


def under_way(job: Job, planned: Plan) -> tuple[int, ...]:
    """Numbers of the groups that run."""
    running = {name for name, seen in planned.states.items() if seen.state is StepState.RUNNING}
    return tuple(group.number for step, group in latest_groups(job).items() if step in running)


def check_budget(flow: FlowPayload, job: Job, starts: Sequence[Start]) -> None:
    """Raises Permanent("too_many_jobs"), before any of them is begun."""
    totals = {name: group.total for name, group in latest_groups(job).items()}
    jobs = sum((totals | {start.step.name: start.total for start in starts}).values())
    if jobs > flow.jobs_max:
        message = f"{jobs:,} jobs would be begun; this flow may begin {flow.jobs_max:,}"
        raise Permanent("too_many_jobs", message, field="jobs_max")


def child_of(flow: FlowPayload, start: Start, index: int) -> Envelope[Payload]:
    """A child's payload in an envelope. One that its model refuses is a job that fails, and says why."""
    document = start.document(index)
    if document["type"] == "flow":
        flows = sum(step.job.get("type") == "flow" for step in flow.steps)
        share = max(1, flow.jobs_max // flows // start.total)
        asked = document.get("jobs_max", share)
        document["jobs_max"] = min(share, asked) if isinstance(asked, int) else asked
    body = to_json(document)
    try:
        return seal(read_payload(body), "")
    except InvalidInput as problem:
        return Envelope("", "", str(document["type"]), body.decode(), problem=problem)


async def _result(ports: Ports, tree: Tree, name: str) -> JsonValue:
    """What a step's handler returned; of a mapped step the list of what they did."""
    step, group = next(step for step in tree.flow.steps if step.name == name), tree.groups[name]
    found = [end.result async for end in ends_of(ports, tree.job, [group])]
    return found if step.map is not None else found[0] if found else None


def _seen(tree: Tree, group: Group, counts: Counts | None = None, error: Fault | None = None) -> Seen:
    state = STATE_OF[end_of_group(tree.inbox, group.number)]
    return Seen(state, is_hurt(tree.inbox, group.number), counts or Counts(group.total), error)


# --- for people -------------------------------------------------------------------------------------------------------


async def told_of(ports: Ports, tree: Tree, *, with_data: bool) -> tuple[Plan, dict[str, Told]]:
    """How each step is, with its counts and errors; and of the steps that have one job, its times and what it
    returned."""
    single = [step.name for step in tree.flow.steps if step.map is None and step.name in tree.groups]
    ids = [child_id(tree.job.tenant_id, tree.job.job_id, tree.groups[name], 0) for name in single]
    rows: dict[str, Job | None] = {}
    for some in chunks(list(zip(single, ids, strict=True)), LIST_MAX):
        found = await ports.jobs.get_many(tree.job.tenant_id, [job_id for _, job_id in some])
        rows |= dict(zip([name for name, _ in some], found, strict=True))
    mapped = [step.name for step in tree.flow.steps if step.map is not None and step.name in tree.groups]
    counted = dict(zip(mapped, await asyncio.gather(*(_counted(ports, tree, name) for name in mapped)), strict=True))
    seen = {name: _seen(tree, tree.groups[name], *_of_row(row)) for name, row in rows.items()}
    seen |= {name: _seen(tree, tree.groups[name], counts, error) for name, (counts, error) in counted.items()}
    told = {name: await _told(ports, row, with_data=with_data) for name, row in rows.items() if row is not None}
    told |= {name: Told(started_at=tree.groups[name].began_at) for name in mapped}
    try:
        return await _judged(ports, tree, seen), told
    except NotFound:  # results are kept for less long than rows: what was left out for what they said can't be told
        return plan(tree.flow, seen, {}), told


def _of_row(row: Job | None) -> tuple[Counts, Fault | None]:
    end = None if row is None or not row.status.is_terminal else row.status
    counts = Counts(1, int(end == "SUCCESS"), int(end == "PARTIAL_SUCCESS"), int(end in {"FAILED", "CANCELLED"}))
    return counts, _fault(row) if counts.failed else None


async def _counted(ports: Ports, tree: Tree, name: str) -> tuple[Counts, Fault | None]:
    """Of a mapped step: one read for each 200 jobs, and one of the first that failed."""
    group = tree.groups[name]
    found = await ends_in(ports, tree.job, tree.inbox, group)
    return counts_of(group, found), await _first_fault(ports, tree, group, found)


async def _first_fault(ports: Ports, tree: Tree, group: Group, found: Sequence[Sets]) -> Fault | None:
    for node, sets in enumerate(found):
        if bad := sets.get(End.BAD):
            index = node * RADIX + min(bad)
            child = child_id(tree.job.tenant_id, tree.job.job_id, group, index)
            return _fault(await ports.jobs.get(tree.job.tenant_id, child), f"item {index}: ")
    return None


def _fault(row: Job | None, which: str = "") -> Fault | None:
    if row is None or row.status not in SAD_ENDS:
        return None
    if row.error is None:
        return Fault("cancelled", f"{which}job {row.job_id} was cancelled")
    error = ErrorBody.model_validate_json(row.error)
    return Fault(error.code, which + error.message, error.field)


async def _told(ports: Ports, row: Job, *, with_data: bool) -> Told:
    data: JsonValue = None
    if with_data and row.status.is_terminal:
        try:
            data = (await response_of(ports, row)).data.result
        except NotFound:  # its result is no longer kept
            data = None
    if len(compact_json(data)) > DATA_BYTES_MAX:
        data = None
    return Told(row.job_id, row.started_at, row.completed_at, data)
