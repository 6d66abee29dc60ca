"""What could not run is refused at the door, each fault at its place."""

import json
from itertools import pairwise

import pytest
from pydantic import JsonValue

from shared.errors import InvalidInput
from shared.flow_check import known_jobs
from shared.payloads import json_schema, read_payload
from tests.unit.flow.building import Document, document, flow, job, step

FROM_A: Document = {"$from": "a"}
ABOVE: Document = {"$from": "a", "path": "rows", "is": "above", "value": 0}


def nested(depth: int) -> Document:
    return document(step("in", nested(depth - 1))) if depth else job()


def faults(*steps: Document, **fields: JsonValue) -> list[tuple[str, str]]:
    with pytest.raises(InvalidInput) as caught:
        flow(*steps, **fields)
    return [(problem.field, problem.expected) for problem in caught.value.problems]


@pytest.mark.parametrize(
    ("faulty", "field", "expected"),
    [
        ({"name": "a"}, "steps.1.name", "another step"),
        ({"name": "a.b"}, "steps.1.name", "letters, digits"),
        ({"needs": ["a", "c"]}, "steps.1.needs.1", "no step `c`"),
        ({"needs": ["b"]}, "steps.1.needs.0", "itself"),
        ({"when": {**ABOVE, "$from": "c"}}, "steps.1.when.0.$from", "no step `c`"),
        ({"when": {**ABOVE, "value": None}}, "steps.1.when.0", "a number or a text"),
        ({"when": {**ABOVE, "value": True}}, "steps.1.when.0", "a number or a text"),
        ({"when": {**ABOVE, "path": "a..b"}}, "steps.1.when.0.path", "dots between"),
        ({"when": {"$from": "a", "is": "in", "value": "x"}}, "steps.1.when.0", "a list"),
        ({"when": {"$from": "a", "is": "exists", "value": 1}}, "steps.1.when.0", "true or false"),
        ({"map": 5}, "steps.1.map", "a list, or a reference"),
        ({"map": {"from": "a"}}, "steps.1.map", "a list, or a reference"),
        ({"map": {"$from": "c"}}, "steps.1.map", "no step `c`"),
        ({"map": {"$item": "x"}}, "steps.1.map", "only in the job"),
        ({"map": [0] * 100_001}, "steps.1.map", "at most 100,000"),
        ({"job": job(x={"$from": "c"})}, "steps.1.job.parameters.x", "no step `c`"),
        ({"job": job(x={"$from": "b"})}, "steps.1.job.parameters.x", "itself"),
        ({"job": job(x=[{"$item": "y"}])}, "steps.1.job.parameters.x.0", "with a `map`"),
        ({"job": job(x={"$index": True})}, "steps.1.job.parameters.x", "with a `map`"),
        ({"job": job(x={"$index": 1}), "map": [1]}, "steps.1.job.parameters.x", "must be true"),
        ({"job": job(x={"$item": 1}), "map": [1]}, "steps.1.job.parameters.x", "path"),
        ({"job": job(x={"$from": 1})}, "steps.1.job.parameters.x", "name of a step"),
        ({"job": job(x={"$from": "a", "path": ".y"})}, "steps.1.job.parameters.x", "path"),
        ({"job": job(x={"$from": "a", "$item": "y"})}, "steps.1.job.parameters.x", "nothing else: not `$item`"),
        ({"job": job(x={"$from": "a", "paht": "y"})}, "steps.1.job.parameters.x", "nothing else: not `paht`"),
        ({"job": job(x={"$input": "y"})}, "steps.1.job.parameters.x", "no `y` in the flow's inputs"),
        ({"job": {"operation": "x"}}, "steps.1.job.type", "one of "),
        ({"job": {"type": "nope"}}, "steps.1.job.type", "one of "),
        ({"job": {"type": "webhook"}}, "steps.1.job.type", "one of "),
        ({"job": {"type": "generic"}}, "steps.1.job.operation", "is required"),
        ({"job": {"type": "generic", "parameters": {"x": FROM_A}}}, "steps.1.job.operation", "is required"),
        ({"job": {**job(), "options": {"timeout": "5"}}}, "steps.1.job.options.timeout", "integer"),
        ({"job": {**job(), "tenantId": "other"}}, "steps.1.job.tenantId", "taken from the flow"),
        ({"job": {**job(), "job_id": "mine"}}, "steps.1.job.job_id", "taken from the flow"),
        ({"job": {**job(), "optoins": {"timeout": FROM_A}}}, "steps.1.job.optoins", "no such field"),
        ({"job": {**job(), "optoins": FROM_A}}, "steps.1.job.optoins", "no such field"),
        ({"job": nested(5)}, "steps.1.job.type", "at most 5 deep"),
        ({"job": nested(60)}, "steps.1.job.type", "at most 5 deep"),
    ],
)
def test_a_fault_is_told_at_its_place(faulty: Document, field: str, expected: str) -> None:
    found = faults(step("a"), {**step("b"), **faulty})
    assert [field] == [where for where, _ in found]
    assert expected in found[0][1]


def test_all_faults_are_told_at_once() -> None:
    found = faults(step("a", {"type": "nope"}), step("b", job(x={"$from": "c"}), needs=["d"]))
    assert [where for where, _ in found] == ["steps.0.job.type", "steps.1.needs.0", "steps.1.job.parameters.x"]


def test_a_flow_has_steps_and_not_too_many() -> None:
    assert faults()[0][0] == "steps"
    assert faults(*(step(f"s{number}") for number in range(201)))[0][0] == "steps"
    assert len(flow(*(step(f"s{number}") for number in range(200))).steps) == 200


@pytest.mark.parametrize("timeout_s", [0, 30 * 24 * 3600 + 1, "5"])
def test_a_flow_has_an_end(timeout_s: JsonValue) -> None:
    assert faults(step("a"), timeout_s=timeout_s)[0][0] == "timeout_s"


def test_steps_that_wait_for_each_other_are_named_whatever_makes_them_wait() -> None:
    found = faults(step("a", needs=["d"]), step("b", job(x=FROM_A)), step("c", when={"$from": "b", "is": "exists"}),
                   step("d", job(), map={"$from": "c"}), step("e"))  # fmt: skip
    assert len(found) == 1
    assert found[0][0].endswith(".needs")
    circle = found[0][1].removeprefix("steps wait for each other: ").split(" → ")
    assert circle[0] == circle[-1]
    assert {"".join(pair) for pair in pairwise(circle)} == {"ab", "bc", "cd", "da"}


@pytest.mark.parametrize(
    "unknown",
    [
        {"type": "extract", "database": "sqlite:///x", "tables": FROM_A},
        {"type": "extract", "database": "sqlite:///x", "tables": [FROM_A, "b"]},
        {"type": "extract", "database": "sqlite:///x", "tables": [FROM_A]},
        {"type": "extract", "database": FROM_A, "query": "SELECT 1", "options": {"batchSize": FROM_A}},
        {"type": "generic", "operation": FROM_A, "options": FROM_A, "metadata": {"x": FROM_A}},
    ],
)
def test_what_is_not_known_yet_is_not_asked(unknown: Document) -> None:
    assert flow(step("a"), step("b", unknown)).steps[1].requires == ("a",)


def test_what_is_known_is_asked_though_the_rest_is_not() -> None:
    extract: Document = {"type": "extract", "database": FROM_A, "tables": [FROM_A, ""], "output_format": "xml"}
    assert {where for where, _ in faults(step("a"), step("b", extract))} == {
        "steps.1.job.tables.1",
        "steps.1.job.output_format",
    }


def test_a_flow_in_a_flow_has_names_and_inputs_of_its_own() -> None:
    inner = document(
        step("b", job(y={"$input": "rows"})), inputs={"rows": FROM_A}, metadata={"x": FROM_A}, timeout_s=FROM_A
    )
    assert flow(step("a"), step("b", inner)).steps[1].requires == ("a",)
    stranger = document(step("c", job(y=FROM_A, z={"$input": "row"})), inputs={"rows": FROM_A}, metadata={"x": FROM_A})
    assert [where for where, _ in faults(step("a"), step("b", stranger))] == [
        "steps.1.job.steps.0.job.parameters.y",
        "steps.1.job.steps.0.job.parameters.z",
    ]


def test_flows_may_be_five_deep() -> None:
    assert flow(step("in", nested(4))).steps


def test_jobs_that_can_be_counted_are_counted() -> None:
    inner = document(step("each", map=list(range(9_999))))
    assert known_jobs(flow(step("a", inner, map=list(range(99))), step("b", map=FROM_A))) == 99 * 10_000 + 1
    found = faults(step("a", inner, map=list(range(101))), step("b", map=FROM_A))
    assert found == [("steps", "1,010,001 jobs; at most 1,000,000")]


def test_what_looks_like_a_reference_may_be_meant_as_it_stands() -> None:
    read = flow(step("a", job(x={"$literal": {"$from": "nobody"}}, y={"$set": 1}), map={"$literal": [1]}))
    assert read.steps[0].requires == ()


def test_a_flow_is_kept_as_it_was_read() -> None:
    read = flow(
        step("a", on_failure="ignore"),
        step("b", job(x=FROM_A), map=[{"k": 1}], when=ABOVE, needs=["a"]),
        step("c", when=[ABOVE, {"$from": "b", "is": "exists"}]),
        inputs={"x": None},
        timeout_s=60,
    )
    again = read_payload(json.dumps({"type": "flow", **json.loads(read.body_json())}))
    assert again == read
    assert again.body_json() == read.body_json()


def test_the_schema_says_that_one_condition_needs_no_list() -> None:
    when = json_schema()["$defs"]["Step"]["properties"]["when"]
    assert {"$ref": "#/$defs/Condition"} in when["anyOf"]


def test_a_hostile_flow_is_refused_in_time() -> None:
    """Thousands of references, errors and inputs: none is searched for among all the others."""
    many: list[JsonValue] = [FROM_A, {"$input": "k9999"}, 5]
    extract: Document = {"type": "extract", "database": "sqlite:///x", "tables": many * 3_000}
    found = faults(step("a"), step("b", extract), inputs={f"k{number}": FROM_A for number in range(10_000)})
    assert len(found) == 3_000
