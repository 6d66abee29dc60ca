"""Every call of every flow: whatever dies, is throttled, half-answered or repeated, the tree has one outcome.

Nothing is lost, no child succeeds twice in one life, nobody is left alive, and the whole stream, brought again in any
order, changes nothing.
"""

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from random import Random
from typing import Literal

import pytest
from pydantic import BaseModel, JsonValue
from pydantic_core import to_json

from infra.testing import Longshore, Producer
from infra.testing.crash import Scenario
from shared.children import child_id, groups_of, read_link
from shared.errors import Permanent
from shared.job import Job
from shared.outcomes import Snooze
from shared.payloads import read_payload
from shared.payloads.base import Payload
from shared.runtime.context import Context, WaitFor
from shared.runtime.definition import job
from shared.runtime.reactor import react
from shared.status import Status


class DeedPayload(Payload):
    type: Literal["deed"] = "deed"
    name: str
    value: JsonValue = None


class Deed(BaseModel):
    value: JsonValue = None


class ParentPayload(Payload):
    type: Literal["parent"] = "parent"
    names: tuple[str, ...]
    fails_fast: bool = False
    timeout_s: float = 3_600.0


class Parent(BaseModel):
    ends: list[str]


@job(DeedPayload)
async def deed(payload: DeedPayload, context: Context) -> Deed | Snooze:
    """Its name says what becomes of it."""
    if payload.name.startswith("slow"):
        return Snooze(7_200)
    if payload.name.startswith("bad") and not (payload.name == "bad-once" and context.children.job.redrives):
        raise Permanent("bad_luck", f"{payload.name} went wrong")
    return Deed(value=payload.value)


@job(ParentPayload)
async def parent(payload: ParentPayload, context: Context) -> Parent | WaitFor:
    if context.checkpoint is None:
        children = [DeedPayload(name=name) for name in payload.names]
        return WaitFor(children, "begun", fails_fast=payload.fails_fast, timeout_s=payload.timeout_s)
    return Parent(ends=[end.status.value async for end in context.children])


def step(name: str, *needs: str, on_failure: str = "fail", value: JsonValue = None) -> JsonValue:
    work: JsonValue = {"type": "deed", "name": name, "value": value}
    return {"name": name, "job": work, "needs": [*needs], "on_failure": on_failure}


def mapped(name: str, items: JsonValue, on_failure: str = "fail") -> JsonValue:
    return {"name": name, "map": items, "job": {"type": "deed", "name": {"$item": True}}, "on_failure": on_failure}


def flow(*steps: JsonValue, timeout_s: int = 5_000) -> Payload:
    return read_payload(to_json({"type": "flow", "job_id": "the-flow", "steps": list(steps), "timeout_s": timeout_s}))


def map_and_reduce() -> Payload:
    each = mapped("each", {"$from": "list", "path": "value"})
    return flow(step("list", value=["x", "y", "z"]), each, step("sum", value={"$from": "each"}))


def fails_promptly() -> Payload:
    return flow(mapped("each", ["slow-1", "bad", "slow-2"]))


def goes_on() -> Payload:
    return flow(mapped("each", ["a", "bad", "b"], on_failure="continue"), step("after", on_failure="ignore"))


def in_a_row() -> Payload:
    return flow(step("a"), step("bad-once", "a"), step("last", "bad-once"))


def in_part() -> Payload:
    return flow(mapped("each", ["a", "bad-once", "b"], on_failure="continue"))


def waiting(*names: str, fails_fast: bool = False) -> Callable[[], Payload]:
    return lambda: ParentPayload(job_id="the-parent", names=names, fails_fast=fails_fast)


async def cancelled(producer: Producer) -> None:
    row = await producer.submit(flow(step("slow-1"), step("slow-2"), step("after", "slow-1")))
    await producer.until(row, Status.WAITING)
    await producer.cancel(row)


def redriven(payload: Callable[[], Payload], ends: Status) -> Callable[[], Scenario]:
    async def story(producer: Producer) -> None:
        row = await producer.until(await producer.submit(payload()))
        if row.status is ends and not row.redrives:
            await producer.redrive(row)
        await producer.until(row, Status.SUCCESS)

    return lambda: story


@dataclass(frozen=True)
class Case:
    """`children`: how each step's children end, in order. `again`: who is redriven."""

    name: str
    story: Callable[[], Scenario]
    ends: Status
    children: dict[str, str]
    again: frozenset[str] = frozenset()


CASES = [
    Case("map and reduce", map_and_reduce, Status.SUCCESS, {"list": "S", "each": "SSS", "sum": "S"}),
    Case("an only child", lambda: flow(step("a")), Status.SUCCESS, {"a": "S"}),
    Case("a child fails, its flow with it", fails_promptly, Status.FAILED, {"each": "CFC"}),
    Case("a child fails, all else goes on", goes_on, Status.PARTIAL_SUCCESS, {"each": "SFS", "after": "S"}),
    Case("a cancel", lambda: cancelled, Status.CANCELLED, {"slow-1": "C", "slow-2": "C"}),
    Case(
        "a redrive",
        redriven(in_a_row, Status.FAILED),
        Status.SUCCESS,
        {"a": "S", "bad-once": "S", "last": "S"},
        frozenset({"flow", "bad-once"}),
    ),
    Case(
        "a redrive of what is done in part",
        redriven(in_part, Status.PARTIAL_SUCCESS),
        Status.SUCCESS,
        {"each": "SSS"},
        frozenset({"flow", "each 1"}),
    ),
    Case("a deadline", lambda: flow(step("slow-1"), timeout_s=3_000), Status.FAILED, {"slow-1": "C"}),
    Case("a job that waits", waiting("a", "bad", "b"), Status.SUCCESS, {"": "SFS"}),
    Case("a job that waits for a failure", waiting("a", "bad", fails_fast=True), Status.SUCCESS, {"": "SF"}),
    Case("a job that waits too long", waiting("slow-1"), Status.FAILED, {"": "C"}),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_every_crash_point_of_a_tree_has_one_outcome(case: Case, longshore: Longshore) -> None:
    def check(kit: Longshore) -> None:
        rows = kit.world.jobs.rows
        (tree,) = (row for row in rows.values() if row.type in {"flow", "parent"})
        assert tree.status is case.ends
        assert children_of(tree, rows) == case.children
        assert {name: count for name, count in successes(kit).items() if count > 1} == {}
        again = {name_of(row) for row in rows.values() if row.redrives}
        assert again == case.again
        if kit.world.plan.at % 10 == 0:
            before = dict(rows)
            bring_again(kit)
            assert rows == before

    longshore.use(deed)
    longshore.use(parent)
    assert longshore.crash_points(case.story(), check) > 50


def children_of(tree: Job, rows: Mapping[str, Job]) -> dict[str, str]:
    """step (none where there are no steps) → the first letter of how each of its children ended."""
    return {
        "" if tree.type == "parent" else group.step: "".join(
            rows[f"default#{child_id('default', tree.job_id, group, index)}"].status[0] for index in range(group.total)
        )
        for group in groups_of(tree)
    }


def name_of(row: Job) -> str:
    if row.parent is None:
        return row.type
    link = read_link(row.parent)
    return link.step if link.total == 1 else f"{link.step} {link.index}"


def successes(kit: Longshore) -> Counter[str]:
    """job and life → how often it moved into SUCCESS"""
    moves = ((record.old, record.new) for record in kit.world.jobs.stream)
    ended = (
        new for old, new in moves if new and new.status is Status.SUCCESS and (old is None or old.status != new.status)
    )
    return Counter(f"{new.job_id} {new.redrives}" for new in ended)


def bring_again(kit: Longshore) -> None:
    """The whole stream, in order and in disorder."""
    for seed in (None, 1, 2):
        records = list(kit.world.jobs.stream)
        if seed is not None:
            Random(seed).shuffle(records)
        assert kit.run(react(records, kit.ports, stack="test")) is None
        kit.run(kit.world.drain())
