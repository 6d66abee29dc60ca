"""Flows at the command line, against a running local cloud."""

from collections.abc import Iterator

import pytest

from tests.e2e.cli import Longshore, up

FLOW = """
steps:
  - name: list
    job: {type: generic, operation: echo, parameters: {items: [1, 2, 3], day: 2026-01-31}}
  - name: each
    map: {$from: list, path: data.items}
    on_failure: continue
    job: {type: generic, operation: echo, parameters: {n: {$item: true}}}
  - {name: bad, on_failure: continue, job: {type: generic, operation: fail}}
  - {name: after, needs: [bad], job: {type: generic, operation: echo}}
"""


@pytest.fixture(scope="module")
def longshore(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Longshore]:
    with up(tmp_path_factory.mktemp("flows")) as running:
        (running.directory / "flow.yaml").write_text(FLOW)
        yield running


def test_a_flow_is_a_file_that_is_estimated_submitted_followed_and_looked_at(longshore: Longshore) -> None:
    estimated = longshore("estimate", "flow", "--file", "flow.yaml", "--items", "3")
    assert estimated.code == 0
    assert "about 7 jobs, $" in estimated.out
    assert "the list of each is known when it runs: taken for 3 items" in estimated.out

    submitted = longshore("submit", "flow", "--file", "flow.yaml", "--watch", "--json")
    assert submitted.code == 0
    end = submitted.lines[-1]
    assert end["status"] == "PARTIAL_SUCCESS"
    states = {step["name"]: step["state"] for step in end["flow"]["steps"]}
    assert states == {"list": "SUCCESS", "each": "SUCCESS", "bad": "FAILED", "after": "BLOCKED"}

    followed = longshore("watch", end["job_id"])
    assert f"{end['job_id']}  each  SUCCESS  3/3" in followed.err
    shown = longshore("status", end["job_id"])
    assert "asked_to_fail (parameters.attempts): this job was asked to fail" in shown.out
    assert longshore("status", end["job_id"], "--json").document["flow"]["counts"]["total"] == 5
    child = end["flow"]["steps"][0]["job_id"]
    assert f"{end['job_id']}  list" in longshore("status", child).out


def test_a_flow_that_waits_says_what_for_and_is_cancelled_with_its_jobs(longshore: Longshore) -> None:
    slow = '{"steps": [{"name": "slow", "job": {"type": "generic", "operation": "count", "parameters": {"to": 600}}}]}'
    job_id = longshore("submit", "flow", "--payload", slow.replace("600", '600, "every_s": 0.1')).out.strip()
    while longshore("status", job_id, "--json").document["status"] != "WAITING":
        pass
    assert "the job of 'slow' is not over" in longshore("why", job_id).out
    assert "CANCELLED, and so is what it has started" in longshore("cancel", job_id).out
    child = longshore("status", job_id, "--json").document["flow"]["steps"][0]["job_id"]
    assert longshore("watch", child).code == 1
    assert longshore("status", child, "--json").document["status"] == "CANCELLED"
