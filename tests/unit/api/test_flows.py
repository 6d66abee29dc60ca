"""The routes of flows, and of any job's children, on the whole product in memory."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pytest

from infra.testing import Longshore
from shared.runtime.api.app import Api
from shared.runtime.api.messages import Answer, Caller, Request, Role
from shared.runtime.api.routes import ROUTES

ANN = Caller("acme", "ann", Role.OPERATOR)
EVE = Caller("evil", "eve", Role.OPERATOR)


@dataclass
class Asked:
    longshore: Longshore

    def __call__(self, path: str, body: object = None, *, caller: Caller = ANN, **query: str) -> tuple[int, Any]:
        data, method = (b"", "GET") if body is None else (json.dumps(body).encode(), "POST")
        answer: Answer = self.longshore.run(self.api.answer(Request(method, path, query, {}, data, caller)))
        return answer.status, json.loads(answer.body)

    def __post_init__(self) -> None:
        async def no_limit(_caller: Caller) -> None:
            """Nobody is held up."""

        self.api = Api(ROUTES, self.longshore.ports, no_limit)

    def submit(self, *steps: Mapping[str, object]) -> str:
        status, accepted = self("/jobs", {"type": "flow", "steps": steps})
        assert status == 202, accepted
        return str(accepted["job_id"])

    def steps(self, job_id: str) -> dict[str, dict[str, Any]]:
        _, view = self(f"/jobs/{job_id}/flow")
        return {step["name"]: step for step in view["steps"]}


@pytest.fixture
def ask(longshore: Longshore) -> Asked:
    return Asked(longshore)


def step(name: str, operation: str = "echo", **more: object) -> dict[str, object]:
    return {"name": name, "job": {"type": "generic", "operation": operation}, **more}


def over(items: object, operation: str = "echo", **more: object) -> dict[str, object]:
    return step("each", operation, map=items, **more)


# --- how a flow is ----------------------------------------------------------------------------------------------------


def test_a_flow_is_shown_before_it_runs_and_when_it_is_over(ask: Asked) -> None:
    flow = ask.submit(step("first"), over([1, 2, 3], needs=["first"]), step("last", needs=["each"]))
    assert {name: found["state"] for name, found in ask.steps(flow).items()} == dict.fromkeys(
        ("first", "each", "last"), "PENDING"
    )
    ask.longshore.drain()
    _, view = ask(f"/jobs/{flow}/flow")
    assert (view["job_id"], view["status"], view["percent"]) == (flow, "SUCCESS", 100)
    assert view["counts"] == {"total": 5, "succeeded": 5, "partly": 0, "failed": 0, "left": 0}
    steps = ask.steps(flow)
    assert steps["each"]["needs"] == ["first"]
    assert steps["each"]["counts"]["succeeded"] == 3
    assert "job_id" not in steps["each"]
    assert ask(f"/jobs/{steps['first']['job_id']}")[1]["parent"] == {
        "job_id": flow, "step": "first", "index": 0, "total": 1,
    }  # fmt: skip
    assert ask(f"/jobs/{flow}")[1]["children"] == [
        {"step": "first", "total": 1}, {"step": "each", "total": 3}, {"step": "last", "total": 1},
    ]  # fmt: skip


def test_every_failed_step_tells_its_error_and_what_it_blocked_is_said(ask: Asked) -> None:
    flow = ask.submit(
        over([1, 2], "fail", on_failure="continue"),
        step("alone", "fail", on_failure="continue"),
        step("after", needs=["each"]),
        step("good"),
    )
    ask.longshore.drain()
    steps = ask.steps(flow)
    assert steps["each"]["error"]["message"] == "item 0: this job was asked to fail"
    assert steps["alone"]["error"]["code"] == "asked_to_fail"
    assert steps["after"]["state"] == "BLOCKED"


def test_what_a_cancelled_flow_did_not_begin_is_not_shown_as_running(ask: Asked) -> None:
    flow = ask.submit(step("first"))
    assert ask(f"/jobs/{flow}/cancel", {})[1]["status"] == "CANCELLED"
    assert ask.steps(flow)["first"]["state"] == "PENDING"


def test_a_job_that_is_no_flow_and_one_that_is_not_there_are_told_apart(ask: Asked) -> None:
    _, accepted = ask("/jobs", {"type": "generic", "operation": "echo"})
    status, problem = ask(f"/jobs/{accepted['job_id']}/flow")
    assert (status, problem["code"]) == (409, "not_a_flow")
    assert ask("/jobs/job_none/flow")[0] == 404


@pytest.mark.parametrize("below", ["flow", "children"])
def test_nobody_sees_the_flow_of_another_tenant(ask: Asked, below: str) -> None:
    flow = ask.submit(step("first"))
    ask.longshore.drain()
    assert ask(f"/jobs/{flow}/{below}", caller=EVE)[0] == 404


# --- children ---------------------------------------------------------------------------------------------------------


def test_children_are_read_page_by_page_each_once_and_in_order(ask: Asked) -> None:
    flow = ask.submit(step("first"), over([*range(230)]))
    ask.longshore.drain()
    found, cursor = [], "0-0"
    while cursor:
        _, page = ask(f"/jobs/{flow}/children", limit="70", cursor=cursor)
        found += [(child["parent"]["step"], child["parent"]["index"]) for child in page["children"]]
        cursor = page.get("cursor", "")
    assert found == [("first", 0), *(("each", index) for index in range(230))]
    assert len(ask(f"/jobs/{flow}/children", step="each", limit="100")[1]["children"]) == 100


def test_a_few_failures_among_many_children_are_found_without_reading_the_others(ask: Asked) -> None:
    jobs = over([*({"operation": "echo"},) * 1_500, {"operation": "fail"}, {"operation": "echo"}], on_failure="ignore")
    jobs["job"] = {"type": "generic", "operation": {"$item": "operation"}}
    flow = ask.submit(jobs)
    ask.longshore.drain()
    _, page = ask(f"/jobs/{flow}/children", step="each", status="failed")
    assert [child["parent"]["index"] for child in page["children"]] == [1_500]
    assert page["children"][0]["error"]["code"] == "asked_to_fail"
    assert "cursor" not in page


def test_a_filter_that_finds_nothing_gives_up_and_says_where_to_go_on(ask: Asked) -> None:
    flow = ask.submit(over([*range(1_200)]))
    ask.longshore.drain()
    _, page = ask(f"/jobs/{flow}/children", text="nowhere")
    assert (page["children"], page["cursor"]) == ([], "0-1000")
    assert ask(f"/jobs/{flow}/children", text="nowhere", cursor=page["cursor"])[1] == {"children": []}


def test_a_job_without_children_has_an_empty_list_and_a_forged_cursor_is_refused(ask: Asked) -> None:
    _, accepted = ask("/jobs", {"type": "generic", "operation": "echo"})
    path = f"/jobs/{accepted['job_id']}/children"
    assert ask(path) == (200, {"children": []})
    for cursor in ("0", "-1-0", "0-0;", "9999999-0"):
        assert ask(path, cursor=cursor)[0] == 422


# --- why it waits -----------------------------------------------------------------------------------------------------


def test_a_flow_that_waits_says_for_which_steps_and_how_many_jobs_are_left(ask: Asked) -> None:
    later = {"type": "generic", "operation": "echo"}
    flow = ask.submit({"name": "each", "map": [1, 2, 3], "job": later}, {"name": "one", "job": later})
    run = ask.longshore.run
    run(ask.longshore.world.react())
    run(ask.longshore.world.invoke("flow"))
    run(ask.longshore.world.react())
    _, told = ask(f"/jobs/{flow}/why")
    assert told["status"] == "WAITING"
    assert [reason["text"] for reason in told["reasons"]] == [
        "It waits for its children: 3 of 3 jobs of 'each' are not over.",
        "It waits for its children: the job of 'one' is not over.",
    ]


# --- before it starts -------------------------------------------------------------------------------------------------


def test_an_estimate_is_of_the_tenants_own_numbers_and_leaves_nothing_behind(ask: Asked) -> None:
    body = {"type": "flow", "steps": [step("first"), over({"$from": "first", "path": "data.items"})]}
    status, told = ask("/estimates", body, assume_items="3")
    assert (status, told["jobs"]) == (200, 5)
    assert "generic: 1 s a run: none has ended in the last 24 hours" in told["assumed"]
    assert ask("/jobs")[1]["jobs"] == []
    status, problem = ask("/estimates", {"type": "flow", "steps": [step("a", needs=["b"])]})
    assert (status, problem["problems"][0]["field"]) == (422, "steps.0.needs.0")
    assert ask("/estimates", {**body, "tenant_id": "evil"})[0] == 403
