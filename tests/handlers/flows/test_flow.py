"""Flows, as their users see them: what runs, in which order, and how it all ends."""

from typing import Literal

import pytest
from pydantic import BaseModel, JsonValue
from pydantic_core import to_json

from infra.testing import Longshore
from shared.errors import Permanent
from shared.flow_view import FlowResult
from shared.outcomes import Partial, Snooze
from shared.payloads import read_payload
from shared.payloads.base import Payload
from shared.payloads.results import RowError
from shared.retry import Policy
from shared.runtime.context import Context
from shared.runtime.definition import job
from shared.status import Status
from shared.throttle import Concurrency
from shared.view import JobView


class WorkPayload(Payload):
    policy = Policy(attempts_max=1, inline_result=True)
    type: Literal["work"] = "work"
    name: str
    value: JsonValue = None


class Worked(BaseModel):
    value: JsonValue = None


class Works:
    """`runs`: names in the order in which they ran. `bad`, `partly`, `slow`: what becomes of them."""

    def __init__(self, longshore: Longshore) -> None:
        self.runs: list[str] = []
        self.bad: set[str] = set()
        self.partly: set[str] = set()
        self.slow: set[str] = set()

        @longshore.use
        @job(WorkPayload)
        async def work(payload: WorkPayload, _context: Context) -> Worked | Partial | Snooze:
            self.runs.append(payload.name)
            if payload.name in self.bad:
                raise Permanent("bad_luck", f"{payload.name} went wrong", field="name")
            if payload.name in self.slow:
                return Snooze(3_600)
            if payload.name in self.partly:
                return Partial(Worked(), [RowError(table="t", code="c", message="m")])
            return Worked(value=payload.value)


@pytest.fixture
def works(longshore: Longshore) -> Works:
    return Works(longshore)


def step(name: str, *needs: str, **more: JsonValue) -> dict[str, JsonValue]:
    return {"name": name, "job": {"type": "work", "name": name}, "needs": [*needs], **more}


def mapped(name: str, items: JsonValue, **more: JsonValue) -> dict[str, JsonValue]:
    work: JsonValue = {"type": "work", "name": {"$item": True}, "value": {"$index": True}}
    return {"name": name, "map": items, "job": work, **more}


def flow(*steps: JsonValue, **more: JsonValue) -> Payload:
    return read_payload(to_json({"type": "flow", "steps": list(steps), **more}))


def result_of(longshore: Longshore, flow_job: JobView) -> FlowResult:
    return FlowResult.model_validate(longshore.result(flow_job).data.result)


def states(longshore: Longshore, flow_job: JobView) -> dict[str, str]:
    return {each.step: each.status for each in result_of(longshore, flow_job).steps}


# --- order and values -------------------------------------------------------------------------------------------------


def test_a_step_begins_when_all_that_it_needs_is_over(longshore: Longshore, works: Works) -> None:
    submitted = longshore.submit(flow(step("d", "b", "c"), step("b", "a"), step("c", "a"), step("a")))
    longshore.drain()
    assert longshore.job(submitted).status is Status.SUCCESS
    assert works.runs[0] == "a"
    assert set(works.runs[1:3]) == {"b", "c"}
    assert works.runs[3:] == ["d"]


def test_a_slow_neighbour_holds_up_nobody_who_does_not_need_it(longshore: Longshore, works: Works) -> None:
    works.slow = {"slow"}
    longshore.submit(flow(step("slow"), step("a"), step("b", "a"), step("c", "b")))
    longshore.drain()
    assert works.runs in (["slow", "a", "b", "c"], ["a", "slow", "b", "c"])


def test_values_travel_from_step_to_step_and_through_a_map(longshore: Longshore, works: Works) -> None:
    first: JsonValue = {"name": "list", "job": {"type": "work", "name": "list", "value": {"names": ["x", "y", "z"]}}}
    total: JsonValue = {"name": "sum", "job": {"type": "work", "name": "sum", "value": {"$from": "each"}}}
    submitted = longshore.submit(flow(first, mapped("each", {"$from": "list", "path": "value.names"}), total))
    longshore.drain()
    assert works.runs == ["list", "x", "y", "z", "sum"]
    data = {each.step: each.data for each in result_of(longshore, submitted).steps}
    assert data["sum"] == {"value": [{"value": 0}, {"value": 1}, {"value": 2}]}
    assert data["each"] is None, "a mapped step's results are its jobs' to tell"


def test_a_sub_flow_is_a_step_like_any_other(longshore: Longshore, works: Works) -> None:
    inner: JsonValue = {
        "type": "flow",
        "inputs": {"who": {"$from": "first", "path": "value"}},
        "steps": [{"name": "in", "job": {"type": "work", "name": "in", "value": {"$input": "who"}}}],
    }
    first: JsonValue = {"name": "first", "job": {"type": "work", "name": "first", "value": "me"}}
    submitted = longshore.submit(flow(first, {"name": "inner", "job": inner}, step("last", "inner")))
    longshore.drain()
    assert works.runs == ["first", "in", "last"]
    inner_result = next(each for each in result_of(longshore, submitted).steps if each.step == "inner").data
    assert FlowResult.model_validate(inner_result).steps[0].data == {"value": "me"}


def test_a_condition_that_does_not_hold_skips_its_step_and_what_hangs_on_it_alone(
    longshore: Longshore, works: Works
) -> None:
    probe: JsonValue = {"name": "probe", "job": {"type": "work", "name": "probe", "value": 720}}
    high: JsonValue = {"$from": "probe", "path": "value", "is": "above", "value": 1080}
    submitted = longshore.submit(
        flow(probe, step("high", when=high), step("after", "high"), step("always", "high", "probe"))
    )
    longshore.drain()
    assert works.runs == ["probe", "always"]
    assert states(longshore, submitted) == {
        "probe": "SUCCESS",
        "high": "SKIPPED",
        "after": "SKIPPED",
        "always": "SUCCESS",
    }


def test_an_empty_map_is_done_at_once(longshore: Longshore, works: Works) -> None:
    submitted = longshore.submit(flow(mapped("none", []), step("after", "none")))
    longshore.drain()
    assert (works.runs, longshore.job(submitted).status) == (["after"], Status.SUCCESS)


# --- failures ---------------------------------------------------------------------------------------------------------


def test_a_failed_step_ends_the_flow_at_once_and_cancels_what_still_waits(longshore: Longshore, works: Works) -> None:
    works.bad, works.slow = {"bad"}, {"slow"}
    submitted = longshore.submit(flow(step("slow"), step("bad"), step("after", "bad")))
    longshore.drain()
    failed = longshore.job(submitted)
    assert failed.status is Status.FAILED
    assert failed.error is not None
    assert (failed.error.code, failed.error.field) == ("step_failed", "bad")
    assert "bad_luck: bad went wrong" in failed.error.message
    assert "after" not in works.runs
    assert alive(longshore) == set(), "the slow one was cancelled with its flow"


def test_one_bad_child_of_many_ends_the_flow_before_the_others_are_over(longshore: Longshore, works: Works) -> None:
    works.bad, works.slow = {"n1"}, {"n0", "n2"}
    submitted = longshore.submit(flow(mapped("each", ["n0", "n1", "n2"])))
    longshore.drain()
    assert longshore.job(submitted).status is Status.FAILED
    assert alive(longshore) == set()


def test_what_may_fail_leaves_the_rest_alone_and_the_flow_is_partly_done(longshore: Longshore, works: Works) -> None:
    works.bad = {"bad"}
    submitted = longshore.submit(flow(step("bad", on_failure="continue"), step("after", "bad"), step("other")))
    longshore.drain()
    assert longshore.job(submitted).status is Status.PARTIAL_SUCCESS
    assert states(longshore, submitted) == {"bad": "FAILED", "after": "BLOCKED", "other": "SUCCESS"}


def test_a_map_that_may_fail_in_part_is_counted_child_by_child(longshore: Longshore, works: Works) -> None:
    works.bad, works.partly = {"n1"}, {"n2"}
    names: list[JsonValue] = [f"n{n}" for n in range(5)]
    total: JsonValue = {"name": "sum", "job": {"type": "work", "name": "sum", "value": {"$from": "each"}}}
    submitted = longshore.submit(flow(mapped("each", names, on_failure="continue"), total))
    longshore.drain()
    assert longshore.job(submitted).status is Status.PARTIAL_SUCCESS
    each, summed = result_of(longshore, submitted).steps
    assert each.counts is not None
    assert (each.counts.succeeded, each.counts.partly, each.counts.failed) == (3, 1, 1)
    assert each.error is not None
    assert "n1 went wrong" in each.error.message
    assert isinstance(summed.data, dict)
    assert summed.data["value"] == [{"value": 0}, None, {}, {"value": 3}, {"value": 4}]


def test_an_ignored_failure_is_none(longshore: Longshore, works: Works) -> None:
    works.bad = {"bad"}
    last: JsonValue = {"name": "last", "job": {"type": "work", "name": "last", "value": {"$from": "bad"}}}
    submitted = longshore.submit(flow(step("bad", on_failure="ignore"), last))
    longshore.drain()
    assert longshore.job(submitted).status is Status.SUCCESS
    assert works.runs == ["bad", "last"]


def test_a_value_that_turns_out_wrong_fails_its_step_with_the_fields_name(longshore: Longshore, works: Works) -> None:
    wrong: JsonValue = {"name": "wrong", "job": {"type": "work", "name": {"$from": "a", "path": "value"}}}
    submitted = longshore.submit(flow(step("a"), wrong))
    longshore.drain()
    failed = longshore.job(submitted)
    assert failed.status is Status.FAILED
    assert failed.error is not None
    assert failed.error.field == "wrong"
    assert works.runs == ["a"]


# --- time-outs, cancels, redrives -------------------------------------------------------------------------------------


def test_a_flow_that_takes_too_long_has_failed_and_its_children_are_cancelled(
    longshore: Longshore, works: Works
) -> None:
    works.slow = {"slow"}
    submitted = longshore.submit(flow(step("slow"), timeout_s=100_000))
    longshore.drain()
    longshore.clock.advance(99_000)
    longshore.drain()
    assert longshore.job(submitted).status is Status.WAITING
    longshore.clock.advance(1_100)
    longshore.drain()
    failed = longshore.job(submitted)
    assert failed.status is Status.FAILED
    assert failed.error is not None
    assert failed.error.code == "timed_out"
    assert alive(longshore) == set()


def test_a_cancelled_flow_takes_its_whole_tree_with_it(longshore: Longshore, works: Works) -> None:
    works.slow = {"in", "slow"}
    inner: JsonValue = {"type": "flow", "steps": [step("in")]}
    submitted = longshore.submit(flow({"name": "inner", "job": inner}, step("slow"), step("after", "slow")))
    longshore.drain()
    assert len(alive(longshore)) == 4
    assert longshore.cancel(submitted).status is Status.CANCELLED
    longshore.drain()
    assert alive(longshore) == set()
    assert "after" not in works.runs


def test_a_redrive_runs_just_what_failed_and_what_never_ran(longshore: Longshore, works: Works) -> None:
    names: list[JsonValue] = [f"n{n}" for n in range(5)]
    works.bad = {"n1", "n3"}
    submitted = longshore.submit(flow(step("a"), mapped("each", names, needs=["a"]), step("last", "each")))
    longshore.drain()
    assert longshore.job(submitted).status is Status.FAILED
    once = [name for name in works.runs if name not in works.bad]
    works.bad.clear()
    works.runs.clear()
    longshore.redrive(submitted)
    longshore.drain(with_scheduled=True)
    assert longshore.job(submitted).status is Status.SUCCESS
    assert works.runs[-1] == "last"
    assert sorted([*once, *works.runs]) == sorted(["a", *map(str, names), "last"]), "nothing succeeded twice"


def test_a_redrive_goes_down_into_sub_flows(longshore: Longshore, works: Works) -> None:
    works.bad = {"y"}
    inner: JsonValue = {"type": "flow", "steps": [step("x"), step("y", "x")]}
    submitted = longshore.submit(flow({"name": "inner", "job": inner}, step("last", "inner")))
    longshore.drain()
    assert longshore.job(submitted).status is Status.FAILED
    works.bad.clear()
    longshore.redrive(submitted)
    longshore.drain(with_scheduled=True)
    assert longshore.job(submitted).status is Status.SUCCESS
    assert works.runs == ["x", "y", "y", "last"]


def test_a_flow_may_be_redriven_as_often_as_it_fails(longshore: Longshore, works: Works) -> None:
    works.bad = {"b"}
    submitted = longshore.submit(flow(step("a"), step("b", "a")))
    longshore.drain()
    for _ in range(3):
        longshore.redrive(submitted)
        longshore.drain(with_scheduled=True)
        assert longshore.job(submitted).status is Status.FAILED
    works.bad.clear()
    longshore.redrive(submitted)
    longshore.drain(with_scheduled=True)
    assert longshore.job(submitted).status is Status.SUCCESS
    assert works.runs == ["a", "b", "b", "b", "b", "b"]


def test_a_cancelled_flow_can_be_taken_up_again(longshore: Longshore, works: Works) -> None:
    works.slow = {"b"}
    submitted = longshore.submit(flow(step("a"), step("b", "a"), step("c", "b")))
    longshore.drain()
    longshore.cancel(submitted)
    longshore.drain()
    works.slow.clear()
    longshore.redrive(submitted)
    longshore.drain(with_scheduled=True)
    assert longshore.job(submitted).status is Status.SUCCESS
    assert works.runs == ["a", "b", "b", "c"]


def alive(longshore: Longshore) -> set[str]:
    return {row.job_id for row in longshore.world.jobs.rows.values() if not row.status.is_terminal}


# --- what a redrive must not mix up, and what a small request must not cost -------------------------------------------


def test_what_depends_on_what_had_failed_is_run_anew_with_the_new_values(longshore: Longshore, works: Works) -> None:
    works.bad = {"n0"}
    names: list[JsonValue] = ["n0", "n1", "n2"]
    second: JsonValue = {
        "name": "second",
        "map": {"$from": "first", "path": "*.value"},
        "job": {"type": "work", "name": "second", "value": {"$item": True}},
    }
    submitted = longshore.submit(flow(mapped("first", names, on_failure="continue"), second))
    longshore.drain()
    assert longshore.job(submitted).status is Status.PARTIAL_SUCCESS
    assert works.runs.count("second") == 2
    works.bad.clear()
    works.runs.clear()
    longshore.redrive(submitted)
    longshore.drain(with_scheduled=True)
    assert longshore.job(submitted).status is Status.SUCCESS
    assert works.runs == ["n0", "second", "second", "second"]
    rows = [row for row in longshore.world.jobs.rows.values() if row.parent and row.parent.endswith(" second")]
    latest = [row.inline_result for row in rows if row.parent and row.parent.split()[3] == "3"]
    assert sorted(str(one) for one in latest) == ['{"value":0}', '{"value":1}', '{"value":2}']


def test_a_redrive_goes_down_into_a_sub_flow_that_was_partly_done(longshore: Longshore, works: Works) -> None:
    works.bad = {"y"}
    inner: JsonValue = {"type": "flow", "steps": [step("x"), step("y", on_failure="continue")]}
    submitted = longshore.submit(flow({"name": "inner", "job": inner}))
    longshore.drain()
    assert longshore.job(submitted).status is Status.PARTIAL_SUCCESS
    works.bad.clear()
    longshore.redrive(submitted)
    longshore.drain(with_scheduled=True)
    assert longshore.job(submitted).status is Status.SUCCESS
    assert sorted(works.runs) == ["x", "y", "y"]


def test_no_more_jobs_are_begun_than_the_flow_may_begin_sub_flows_included(longshore: Longshore, works: Works) -> None:
    lists: dict[str, JsonValue] = {"ten": [*range(10)]}
    work: JsonValue = {"type": "work", "name": "w"}
    inner: JsonValue = {
        "type": "flow",
        "inputs": {"ten": {"$input": "ten"}},
        "steps": [{"name": "in", "map": {"$input": "ten"}, "job": work}],
    }
    outer: JsonValue = {"name": "out", "map": {"$input": "ten"}, "job": inner, "on_failure": "continue"}
    submitted = longshore.submit(flow(outer, inputs=lists, jobs_max=50))
    longshore.drain()
    assert longshore.job(submitted).status is Status.FAILED, "five jobs for each of ten sub-flows that want ten"
    assert works.runs == []
    submitted = longshore.submit(flow(outer, inputs=lists, jobs_max=5))
    longshore.drain()
    failed = longshore.job(submitted)
    assert failed.error is not None
    assert (failed.error.code, failed.error.field) == ("too_many_jobs", "jobs_max")


def test_a_few_references_to_one_large_value_do_not_become_a_thousand_times_it(
    longshore: Longshore, works: Works
) -> None:
    large: dict[str, JsonValue] = {"text": "x" * 100_000}
    greedy: JsonValue = {
        "name": "greedy",
        "job": {"type": "work", "name": "greedy", "value": [{"$input": "text"}] * 1_000},
    }
    submitted = longshore.submit(flow(greedy, inputs=large))
    longshore.drain()
    failed = longshore.job(submitted)
    assert failed.error is not None
    assert "payload_too_large" in failed.error.message
    assert works.runs == []


def test_a_childs_throttles_are_its_own_tenants(longshore: Longshore) -> None:
    class GatedPayload(Payload):
        policy = Policy(throttles=(Concurrency(at_once=2, by="tenant"),))
        type: Literal["gated"] = "gated"

    @longshore.use
    @job(GatedPayload)
    async def gated(_payload: GatedPayload, _context: Context) -> None:
        return None

    document: JsonValue = {"type": "flow", "tenant_id": "alice", "steps": [{"name": "a", "job": {"type": "gated"}}]}
    longshore.submit(read_payload(to_json(document)))
    longshore.drain()
    (child,) = [row for row in longshore.world.jobs.rows.values() if row.type == "gated"]
    assert child.throttles is not None
    assert "alice" in child.throttles
    assert "default" not in child.throttles


def test_a_flow_of_many_steps_may_be_redriven_again_and_again(longshore: Longshore, works: Works) -> None:
    works.bad = {f"s{n}" for n in range(150)}
    submitted = longshore.submit(flow(*[step(f"s{n}", on_failure="continue") for n in range(150)]))
    longshore.drain()
    for _ in range(3):
        longshore.redrive(submitted)
        longshore.drain(with_scheduled=True)
    works.bad.clear()
    longshore.redrive(submitted)
    longshore.drain(with_scheduled=True)
    assert longshore.job(submitted).status is Status.SUCCESS


def test_a_child_that_is_on_its_way_by_itself_is_waited_for_and_no_longer_than_the_flow_may_take(
    longshore: Longshore, works: Works
) -> None:
    works.bad = {"b"}
    submitted = longshore.submit(flow(step("a"), step("b", "a"), timeout_s=1_000))
    longshore.drain()
    (child,) = [row for row in longshore.world.jobs.rows.values() if row.status is Status.FAILED and row.parent]
    longshore.run(longshore.service.redrive("default", child.job_id, who="by hand", delay_s=5_000))
    longshore.redrive(submitted)
    longshore.clock.advance(60)
    longshore.drain()
    assert longshore.job(submitted).status is Status.QUEUED, "nobody cancels what somebody else has begun"
    longshore.clock.advance(1_000)
    longshore.drain(with_scheduled=True)
    failed = longshore.job(submitted)
    assert failed.error is not None
    assert failed.error.code == "timed_out"
