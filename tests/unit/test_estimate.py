"""What a job will come to, before it starts."""

import pytest
from pydantic import JsonValue
from pydantic_core import to_json

from shared.estimate import FLOW_RUN_S, STEP_S, Estimate, Facts, estimate
from shared.payloads import read_payload


def guess(*steps: JsonValue, items: int = 1, at_once: int = 100, inputs: JsonValue = None) -> Estimate:
    return of({"type": "flow", "steps": [*steps], "inputs": inputs or {}}, items=items, at_once=at_once)


def of(payload: dict[str, JsonValue], *, items: int = 1, at_once: int = 100) -> Estimate:
    facts = Facts({"generic": 4.0}, lambda _type: 512, items=items, at_once=at_once)
    return estimate(read_payload(to_json(payload)), facts)


def step(name: str, *needs: str, **more: JsonValue) -> dict[str, JsonValue]:
    return {"name": name, "job": {"type": "generic", "operation": "echo"}, "needs": [*needs], **more}


def test_a_single_job_is_itself() -> None:
    found = of({"type": "generic", "operation": "echo"})
    assert (found.jobs, found.steps, found.duration_s) == (1, [], 4.0)
    assert "generic: 4 s a run, as half of those took in the last 24 hours" in found.assumed
    run_usd = 13.3334e-6 * 4 / 2
    assert found.price_usd == pytest.approx(run_usd + 4 * 0.625e-6, rel=0.05), "its result is inline"


def test_a_flow_takes_as_long_as_its_longest_way() -> None:
    found = guess(step("a"), step("b", "a"), step("c", "b"), step("aside"))
    assert found.jobs == 5
    assert found.duration_s == pytest.approx(FLOW_RUN_S + 3 * (STEP_S + 4))


def test_a_lists_jobs_run_so_many_at_a_time() -> None:
    found = guess(step("each", map=[*range(250)]), at_once=100)
    assert (found.jobs, found.steps[0].jobs) == (251, 250)
    assert found.duration_s == pytest.approx(FLOW_RUN_S + STEP_S + 3 * 4)
    assert "at most 100 jobs of a step at once" in found.assumed


def test_a_list_in_the_inputs_is_counted_and_one_that_is_a_result_is_assumed_and_said_to_be() -> None:
    each = step("each", map={"$from": "list", "path": "data.items"})
    found = guess(step("list"), each, step("given", map={"$input": "names"}), items=7, inputs={"names": ["x", "y"]})
    assert {line.step: line.jobs for line in found.steps} == {"list": 1, "each": 7, "given": 2}
    assert "the list of each is known when it runs: taken for 7 items" in found.assumed
    assert not any("given" in text for text in found.assumed)


def test_flows_in_flows_are_counted_whole() -> None:
    inner: JsonValue = {"type": "flow", "steps": [step("x", map=[1, 2, 3]), step("y", "x")]}
    found = guess({"name": "outer", "map": [*range(10)], "job": inner})
    assert {line.step: line.jobs for line in found.steps} == {"outer": 10, "outer.x": 30, "outer.y": 10}
    assert found.jobs == 51
    assert found.price_usd == pytest.approx(51 * of(step("z")["job"]).price_usd, rel=0.5)  # type: ignore[arg-type]


def test_twice_the_jobs_are_twice_the_price() -> None:
    once, twice = guess(step("each", map=[*range(1_000)])), guess(step("each", map=[*range(2_000)]))
    assert twice.price_usd == pytest.approx(2 * once.price_usd, rel=0.01)
