"""What a reference stands for, and what holds of it."""

import pytest
from pydantic import JsonValue

from shared.errors import Permanent
from shared.flow_conditions import holds
from shared.payloads.flow import Condition
from shared.references import Values, descend, references, resolve

RESULT: JsonValue = {"rows": 3, "files": [{"url": "s3://a"}, {"url": "s3://b"}], "none": None, "0": "zero"}

VALUES = Values(
    results={"a": RESULT, "nothing": None},
    inputs={"to": {"bucket": "b"}},
    absent=frozenset({"skipped"}),
    item={"id": 7},
    index=2,
)


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ({"$from": "a"}, RESULT),
        ({"$from": "a", "path": ""}, RESULT),
        ({"$from": "a", "path": "files.1.url"}, "s3://b"),
        ({"$from": "a", "path": "none"}, None),
        ({"$from": "a", "path": "0"}, "zero"),
        ({"$from": "skipped", "path": "any.thing"}, None),
        ({"$item": True}, {"id": 7}),
        ({"$item": ""}, {"id": 7}),
        ({"$item": "id"}, 7),
        ({"$index": True}, 2),
        ({"$input": "to.bucket"}, "b"),
        ({"$input": ""}, {"to": {"bucket": "b"}}),
        ({"$literal": {"$from": "a"}}, {"$from": "a"}),
        ({"$other": [{"deep": {"$item": "id"}}]}, {"$other": [{"deep": 7}]}),
        ("{{item.id}}", "{{item.id}}"),
    ],
)
def test_a_reference_stands_for_a_value(written: JsonValue, meant: JsonValue) -> None:
    assert resolve(written, VALUES) == meant


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ({"$from": "a", "path": "colour"}, "no `colour` in the result of `a`"),
        ({"$from": "a", "path": "files.2"}, "no `files.2`"),
        ({"$from": "a", "path": "files.-1"}, "no `files.-1`"),
        ({"$from": "a", "path": "files.x"}, "no `files.x`"),
        ({"$from": "a", "path": "rows.0"}, "no `rows.0`"),
        ({"$from": "nothing", "path": "x"}, "no `x` in the result of `nothing`"),
        ({"$item": "name"}, "no `name` in the item"),
        ({"$input": "from"}, "no `from` in the flow's inputs"),
        ({"$from": "a", "more": 1}, "nothing else"),
    ],
)
def test_one_that_stands_for_nothing_is_named_by_its_place(written: JsonValue, said: str) -> None:
    with pytest.raises(Permanent, match=said) as caught:
        resolve({"x": ["y", written]}, VALUES, ("job",))
    assert caught.value.field == "job.x.1"


def test_data_cannot_bring_references_in() -> None:
    bad: JsonValue = {"$from": "secrets"}
    values = Values(results={"a": bad}, inputs={"x": bad}, item=bad)
    written: JsonValue = [{"$from": "a"}, {"$item": True}, {"$input": "x"}]
    assert resolve(written, values) == [bad, bad, bad]


def test_what_follows_a_literal_is_not_searched() -> None:
    assert [*references({"x": {"$literal": {"$from": "a"}}, "y": [{"$item": ""}]})][1:] == [
        (("y", 0), *(found for _, found in references({"$item": ""})))
    ]


@pytest.mark.parametrize(
    ("path", "verb", "value", "so"),
    [
        ("rows", "equals", 3, True),
        ("rows", "equals", 3.0, True),
        ("rows", "equals", True, False),
        ("one", "equals", True, False),
        ("yes", "equals", 1, False),
        ("yes", "equals", True, True),
        ("list", "equals", [{"x": 1.0}], True),
        ("list", "equals", [{"x": True}], False),
        ("list", "equals", [], False),
        ("list.0", "equals", {"x": 1, "y": None}, False),
        ("missing", "equals", None, True),
        ("missing", "equals", 0, False),
        ("missing", "not_equals", 0, True),
        ("rows", "not_equals", 3, False),
        ("rows", "in", [1, 3], True),
        ("yes", "in", [1, 3], False),
        ("missing", "in", [1], False),
        ("rows", "above", 2, True),
        ("rows", "above", 3, False),
        ("rows", "at_least", 3, True),
        ("rows", "below", 3.5, True),
        ("rows", "below", 3, False),
        ("rows", "at_most", 3, True),
        ("rows", "at_most", 2, False),
        ("rows", "above", "2", False),
        ("rows", "below", "4", False),
        ("yes", "above", 0, False),
        ("day", "at_least", "2024-02-29", True),
        ("missing", "above", 0, False),
        ("missing", "below", 0, False),
        ("rows", "exists", None, True),
        ("rows", "exists", True, True),
        ("rows", "exists", False, False),
        ("missing", "exists", None, False),
        ("missing", "exists", False, True),
        ("null", "exists", None, False),
    ],
)
def test_a_condition_holds_or_does_not(path: str, verb: str, value: JsonValue, *, so: bool) -> None:
    found: JsonValue = {"rows": 3, "one": 1, "yes": True, "list": [{"x": 1}], "day": "2024-03-01", "null": None}
    condition = Condition.model_validate({"$from": "a", "path": path, "is": verb, "value": value})
    assert holds(condition, Values({"a": found}, {})) is so


def test_of_a_step_that_left_nothing_all_is_null() -> None:
    values = Values({}, {}, absent=frozenset({"a"}))
    assert holds(Condition(step="a", path="x.y", verb="exists", value=False), values)
    assert not holds(Condition(step="a", path="x", verb="below", value=1), values)


def test_a_star_is_each_value_of_a_list_but_for_those_that_are_null() -> None:
    results: JsonValue = [{"files": [{"url": "a"}, {"url": "b"}]}, None, {"files": [{"url": "c"}]}]
    assert descend(results, ("*", "files", "0", "url")) == ["a", "c"]
    assert descend(results, ("*", "files", "*", "url")) == [["a", "b"], ["c"]]
    assert descend({"*": 1}, ("*",)) == 1
    with pytest.raises(LookupError):
        descend(results, ("*", "gone"))
    with pytest.raises(LookupError):
        descend("text", ("*",))


@pytest.mark.parametrize("said", ["secret://shop", "Bearer secret://crm", ["x", {"y": "env://DB"}]])
def test_a_result_chooses_no_secret(said: JsonValue) -> None:
    values = Values({"a": {"b": said}}, {"mine": "secret://shop"})
    with pytest.raises(Permanent) as refused:
        resolve({"$from": "a", "path": "b"}, values)
    assert refused.value.code == "secret_in_result"
    assert resolve({"$input": "mine"}, values) == "secret://shop", "who wrote the flow may"
