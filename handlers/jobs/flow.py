"""`flow`: jobs that need each other. Each run is a round: see how children are, plan, begin what may begin, wait."""

from dataclasses import replace
from functools import partial
from typing import Final

from shared.children import Group
from shared.errors import Permanent
from shared.flow import Plan, Start
from shared.flow_view import FlowResult, flow_result, progress_of
from shared.payloads.flow import FlowPayload
from shared.payloads.results import RowError
from shared.runtime.children import chunks
from shared.runtime.context import Context, Partial, Proceed, Snooze, WaitFor
from shared.runtime.definition import job
from shared.runtime.flow import (
    Position,
    Tree,
    check_budget,
    child_of,
    planned,
    position_of,
    read_tree,
    told_of,
    under_way,
)
from shared.status import Status

TIME_LEFT_S_MIN: Final = 15.0
BUSY_S: Final = 30.0
CHUNK: Final = 25
"""Children that are made before it looks at the clock again: where writes are slow, that is seconds."""


@job(FlowPayload)
async def flow(payload: FlowPayload, context: Context) -> FlowResult | Partial | Proceed | Snooze | WaitFor:
    """One round."""
    ports, children = context.ports, context.children
    tree = await read_tree(ports, children.job, payload)
    position = position_of(tree.job, payload, ports.now())
    if ports.now() >= position.until:
        raise Permanent("timed_out", f"not over after {payload.timeout_s:,} s", field="timeout_s")
    if await children.still_ending():
        return Snooze(2.0, "its last life is ending")
    plan = await planned(ports, tree, position)
    over = sum(seen.state.is_over for seen in plan.states.values())
    context.progress(progress_of(plan.states.values()), 100, message=f"{over} of {len(plan.states)} steps")
    if plan.end is not None:
        return await _ended(plan, tree, context)
    _, fresh = tree.again()
    check_budget(payload, children.job, plan.start)
    groups = await children.begin([(start.step.name, start.total) for start in plan.start], fresh)
    begun = sorted(zip(groups, plan.start, strict=True), key=lambda pair: pair[0].number)
    for group, start in begun:
        if cut_short := await _make(tree, group, start, position, context):
            return cut_short
    made = replace(position, number=max([position.number, *(group.number + 1 for group in groups)]), index=0)
    return WaitFor((), str(made), awaits=under_way(children.job, plan), until=position.until)


async def _make(
    tree: Tree, group: Group, start: Start, position: Position, context: Context
) -> Proceed | Snooze | None:
    """All children of one step, as far as there is time."""
    first = position.index if group.number == position.number else 0
    for some in chunks(range(first, start.total), CHUNK):
        here = str(replace(position, number=group.number, index=some[0]))
        if context.time_left_s < TIME_LEFT_S_MIN:
            return Proceed(here)
        fails_fast = start.step.on_failure == "fail"
        busy = await context.children.make(group, partial(child_of, tree.flow, start), some, fails_fast=fails_fast)
        if busy is not None:  # what was made is not looked at again while it lasts
            return Snooze(BUSY_S, f"{busy} is on its way by itself") if here == context.checkpoint else Proceed(here)
    return None


async def _ended(plan: Plan, tree: Tree, context: Context) -> FlowResult | Partial:
    whole, told = await told_of(context.ports, tree, with_data=True)
    failed = [(name, whole.states[name].error) for name in (plan.end.failed if plan.end else ())]
    if plan.end is not None and plan.end.outcome is Status.FAILED:
        name, error = failed[0]
        more = f" (and {len(failed) - 1} more steps)" if len(failed) > 1 else ""
        found = f"{error.code}: {error.message}" if error else "one of its jobs failed"
        raise Permanent("step_failed", f"{name}: {found}{more}", field=name)
    job, now = tree.job, context.ports.now()
    result = flow_result(tree.flow, whole.states, told, began_at=job.created_at, ended_at=now)
    if plan.end is not None and plan.end.outcome is Status.SUCCESS:
        return result
    errors = [
        RowError(table=name, code=seen.error.code, message=seen.error.message, field=seen.error.field)
        for name, seen in whole.states.items()
        if seen.error
    ]
    return Partial(result, errors)


handler = flow.lambda_handler
