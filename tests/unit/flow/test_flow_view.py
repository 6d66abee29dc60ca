"""A flow as people see it."""

from dataclasses import replace

from shared.flow import Seen, StepState, plan
from shared.flow_view import Told, flow_result, flow_view
from shared.job import Job
from shared.status import Status
from tests.unit.flow.building import FAILED, SUCCESS, Document, flow, job, mapped, step

FROM_A: Document = {"$from": "a"}

JOB = Job(
    tenant_id="t",
    job_id="job_f",
    type="flow",
    status=Status.WAITING,
    seq=2,
    token="0" * 16,
    attempts_left=3,
    attempts_max=3,
    created_at=0,
    updated_at=0,
    due_at=0,
    payload_hash="h",
)


def test_people_see_steps_their_jobs_and_what_became_of_them() -> None:
    found = flow(
        step("a", on_failure="continue"),
        step("b", job(x=FROM_A), map=[1, 2], on_failure="continue"),
        step("c", when={"$from": "b", "path": "0", "is": "equals", "value": 1}),
    )
    states = {
        "a": SUCCESS,
        "b": mapped(StepState.PARTIAL_SUCCESS, 2, succeeded=1, failed=1),
        "c": Seen(StepState.SKIPPED),
    }
    told = {"a": Told("job_1", 1_000, 3_000, {"rows": 1})}
    view = flow_view(JOB, found, states, told)
    assert [(one.name, one.type, one.needs, one.mapped) for one in view.steps] == [
        ("a", "generic", [], False),
        ("b", "generic", ["a"], True),
        ("c", "generic", ["b"], False),
    ]
    assert view.steps[2].when == [{"$from": "b", "path": "0", "is": "equals", "value": 1}]
    assert (view.percent, view.steps[0].job_id, view.counts.failed, view.counts.left) == (100, "job_1", 1, 0)
    result = flow_result(found, states, told, began_at=0, ended_at=4_500)
    assert (result.completed, result.failed, result.current, result.total) == (2, 0, 3, 3)
    assert (result.steps[0].data, result.steps[0].completed_at) == ({"rows": 1}, "1970-01-01T00:00:03.000Z")
    assert result.times.duration_s == 4.5


def test_people_see_why_a_step_could_not_be_begun() -> None:
    found = flow(step("a"), step("b", map={"$from": "a", "path": "rows"}))
    states = plan(found, {"a": SUCCESS}, {"a": {}}).states
    error = flow_view(JOB, found, states, {}).steps[1].error
    assert error is not None
    assert (error.code, error.field) == ("nothing_there", "steps.1.map")


def test_of_a_flow_that_is_over_no_step_is_about_to_begin() -> None:
    found = flow(step("a"), step("b"))
    states = {**plan(found, {"a": FAILED}, {}).states, "b": Seen(StepState.RUNNING)}
    over = flow_view(replace(JOB, status=Status.FAILED), found, states, {"a": Told("job_1")})
    assert [one.state for one in over.steps] == [StepState.FAILED, StepState.PENDING]
