"""What a plan says of lists, results, and of what cannot be begun."""

import pytest
from pydantic import JsonValue

from shared.flow import Seen, StepState, plan, ready
from shared.flow_view import progress_of
from shared.status import Status
from tests.unit.flow.building import FAILED, RUNNING, SUCCESS, Document, document, flow, job, mapped, step

FROM_A: Document = {"$from": "a"}


def one_after_a(**fields: JsonValue) -> Document:
    return step("b", job(x={"$item": "id"}, n={"$index": True}), map={"$from": "a", "path": "rows"}, **fields)


def test_a_step_has_a_job_for_each_item_made_as_it_is_asked_for() -> None:
    (start,) = plan(flow(step("a"), one_after_a()), {"a": SUCCESS}, {"a": {"rows": [{"id": 7}, {"id": 8}]}}).start
    assert (start.step.name, start.total) == ("b", 2)
    assert [*start.documents(1)] == [(1, job(x=8, n=1))]
    assert start.document(0) == job(x=7, n=0)


def test_a_list_may_have_a_hundred_thousand_items() -> None:
    found = flow(step("a", job(x={"$item": True}), map=list(range(100_000))), step("b", job(y=FROM_A)))
    (start,) = plan(found, {}, {}).start
    assert (start.total, start.document(99_999)) == (100_000, job(x=99_999))
    assert plan(found, {"a": mapped(StepState.RUNNING, 100_000, succeeded=5)}, {}).start == ()


def test_a_list_of_nothing_is_done_and_its_result_is_a_list_of_nothing() -> None:
    found = flow(step("a", map=[]), step("b", job(all=FROM_A)), step("c", map=FROM_A))
    planned = plan(found, {}, {})
    assert planned.states["a"] == planned.states["c"] == mapped(StepState.SUCCESS, 0)
    assert [start.document(0) for start in planned.start] == [job(all=[])]
    assert ready(found, {}, {}) == frozenset()


def test_a_list_may_be_written_with_references_in_it() -> None:
    found = flow(step("a"), step("b", job(x={"$item": "url"}), map=[FROM_A, {"url": 2}]))
    (start,) = plan(found, {"a": SUCCESS}, {"a": {"url": 1}}).start
    assert [made for _, made in start.documents()] == [job(x=1), job(x=2)]


@pytest.mark.parametrize(
    ("result", "code", "field", "said"),
    [
        ({"rows": {"id": 1}}, "not_a_list", "steps.1.map", "not a list"),
        ({"rows": [0] * 100_001}, "too_many_items", "steps.1.map", "at most 100,000"),
        ({"lines": []}, "nothing_there", "steps.1.map", "no `rows` in the result of `a`"),
        ({"rows": [{"id": 1}, {}]}, "nothing_there", "steps.1.job.parameters.x", "item 1: there is no `id`"),
    ],
)
def test_what_cannot_be_begun_has_failed_at_its_place(result: JsonValue, code: str, field: str, said: str) -> None:
    planned = plan(flow(step("a"), one_after_a()), {"a": SUCCESS}, {"a": result})
    error = planned.states["b"].error
    assert error is not None
    assert (error.code, error.field) == (code, field)
    assert said in error.message
    assert planned.start == ()
    assert planned.end is not None
    assert (planned.end.outcome, planned.end.failed) == (Status.FAILED, ("b",))


def test_a_value_that_the_type_refuses_is_told_without_the_value() -> None:
    extract: Document = {"type": "extract", "database": {"$item": True}, "tables": ["a"]}
    found = flow(step("b", extract, map=["sqlite:///x", "hunter2"], on_failure="continue"), step("c"))
    planned = plan(found, {}, {})
    error = planned.states["b"].error
    assert error is not None
    assert (error.code, error.field) == ("invalid_payload", "steps.0.job.database")
    assert error.message.startswith("item 1: ")
    assert "hunter2" not in error.message
    assert [start.step.name for start in planned.start] == ["c"]


def test_a_flow_in_a_flow_is_checked_with_what_it_is_given_and_its_own_references_stay() -> None:
    inner = document(step("i", job(y={"$input": "rows.0"}, z={"$literal": 1})), inputs={"rows": FROM_A})
    found = flow(step("a"), step("b", inner))
    (start,) = plan(found, {"a": SUCCESS}, {"a": [5]}).start
    assert start.document(0) == {**inner, "inputs": {"rows": [5]}}
    error = plan(found, {"a": SUCCESS}, {"a": []}).states["b"].error
    assert error is not None
    assert error.field == "steps.1.job.steps.0.job.parameters.y"


def test_the_results_of_a_thousand_jobs_may_stand_in_one_and_more_only_be_mapped_over() -> None:
    found = flow(step("a", map=[0] * 1_000), step("b", job(x=FROM_A), on_failure="ignore"), step("c", map=FROM_A))
    over = mapped(StepState.SUCCESS, 1_000, succeeded=1_000)
    assert [start.total for start in plan(found, {"a": over}, {"a": [1] * 1_000}).start] == [1, 1_000]
    many = plan(found, {"a": mapped(StepState.SUCCESS, 1_001, succeeded=1_001)}, {"a": [1] * 1_001})
    assert [start.total for start in many.start] == [1_001]
    error = many.states["b"].error
    assert error is not None
    assert (error.code, error.field) == ("too_many_results", "steps.1")


def test_a_condition_on_too_many_results_is_refused_and_nothing_is_read_for_it() -> None:
    found = flow(step("a", map=[0] * 1_001), step("b", when={"$from": "a", "is": "exists"}))
    over = {"a": mapped(StepState.SUCCESS, 1_001, succeeded=1_001)}
    assert ready(found, over, {}) == frozenset()
    error = plan(found, over, {}).states["b"].error
    assert error is not None
    assert error.code == "too_many_results"


def test_of_a_list_that_failed_under_ignore_nothing_is_read() -> None:
    found = flow(step("a", map=[0] * 1_001, on_failure="ignore"), step("b", job(x=FROM_A)))
    (start,) = plan(found, {"a": mapped(StepState.FAILED, 1_001, failed=1_001)}, {}).start
    assert start.document(0) == job(x=None)


def test_only_results_that_are_needed_now_are_asked_for() -> None:
    found = flow(
        step("a"), step("b"), step("c", job(x=FROM_A), needs=["b"]), step("d", when={"$from": "b", "is": "exists"})
    )
    assert ready(found, {"a": SUCCESS, "b": RUNNING}, {}) == frozenset()
    assert ready(found, {"a": SUCCESS, "b": SUCCESS}, {}) == {"a", "b"}
    assert ready(found, {"a": SUCCESS, "b": SUCCESS, "c": RUNNING}, {"b": 1}) == frozenset()
    waiting = plan(found, {"a": SUCCESS, "b": SUCCESS}, {})
    assert (waiting.start, waiting.end) == ((), None)


@pytest.mark.parametrize(("least", "state"), [(1, StepState.RUNNING), (9, StepState.SKIPPED)])
def test_all_conditions_must_hold(least: int, state: StepState) -> None:
    above: list[JsonValue] = [{"$from": "a", "is": "at_least", "value": value} for value in (0, least)]
    assert plan(flow(step("a"), step("b", when=above)), {"a": SUCCESS}, {"a": 5}).states["b"].state is state


def test_what_a_plan_has_decided_may_be_repeated_instead_of_its_results() -> None:
    found = flow(step("a"), step("b", when={"$from": "a", "is": "exists"}), step("c", needs=["b"]), step("d"))
    first = plan(found, {"a": SUCCESS, "d": RUNNING}, {"a": None})
    assert (first.states["b"].state, first.states["c"].state) == (StepState.SKIPPED, StepState.SKIPPED)
    assert ready(found, first.states, {}) == frozenset()
    assert plan(found, first.states, {}).states == first.states


@pytest.mark.parametrize(
    ("policy", "state"), [("fail", StepState.FAILED), ("continue", StepState.RUNNING), ("ignore", StepState.RUNNING)]
)
def test_one_failed_job_of_many_fails_a_step_at_once_if_it_may(policy: str, state: StepState) -> None:
    found = flow(step("a", map=[1, 2], on_failure=policy), step("b", needs=["a"]), step("c", needs=["b"]))
    for hurt in (Seen(StepState.RUNNING, hurt=True), mapped(StepState.RUNNING, 2, failed=1)):
        planned = plan(found, {"a": hurt}, {})
        assert planned.states["a"].state is state
        assert (planned.end is not None) == (policy == "fail")


def test_a_list_some_of_whose_jobs_failed_goes_on_with_the_others_results() -> None:
    found = flow(step("a", map=[1, 2], on_failure="continue"), step("b", job(x=FROM_A)))
    part = mapped(StepState.PARTIAL_SUCCESS, 2, succeeded=1, failed=1)
    (start,) = plan(found, {"a": part}, {"a": [7, None]}).start
    assert start.document(0) == job(x=[7, None])
    end = plan(found, {"a": part, "b": SUCCESS}, {}).end
    assert end is not None
    assert (end.outcome, end.failed) == (Status.PARTIAL_SUCCESS, ())


def test_a_flow_that_has_failed_keeps_what_was_decided() -> None:
    found = flow(
        step("a"), step("b", when={"$from": "a", "is": "exists"}), step("c"), step("d", needs=["c"]), step("e")
    )
    before = plan(found, {"a": SUCCESS, "c": RUNNING}, {"a": None})
    after = plan(found, {"a": SUCCESS, "c": FAILED}, {"a": None})
    assert [start.step.name for start in before.start] == ["e"]
    assert {name: seen.state.value for name, seen in after.states.items()} == {
        "a": "SUCCESS",
        "b": "SKIPPED",
        "c": "FAILED",
        "d": "BLOCKED",
        "e": "PENDING",
    }


def test_percent_grows_with_steps_and_their_jobs_and_is_whole_only_at_the_end() -> None:
    pending, half = Seen(StepState.PENDING), mapped(StepState.RUNNING, 10, succeeded=3, partly=1, failed=1)
    assert progress_of([pending, pending]) == 0
    assert progress_of([RUNNING, pending]) == 5
    assert progress_of([half, pending]) == 30
    assert progress_of([SUCCESS, half]) == 80
    assert progress_of([SUCCESS, mapped(StepState.RUNNING, 10, succeeded=10)]) == 99
    assert progress_of([SUCCESS, Seen(StepState.SKIPPED)]) == 100
