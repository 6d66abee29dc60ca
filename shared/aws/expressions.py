"""The table of moves, compiled for DynamoDB. Pure: a Move goes in, the arguments of one UpdateItem come out.

- The condition is the event's rules, OR-ed; each is its source status and its tests, AND-ed. There is no other source
  of conditions, and no write without one.
- Comparing with an attribute that is not there is false, in DynamoDB as in `status.permitted`:
  https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Expressions.OperatorsAndFunctions.html
- Every attribute goes by a placeholder, since `status`, `type`, `token` and more are reserved words.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from shared.ids import row_key
from shared.job import ATTRIBUTES, Job, attributes
from shared.moves import Appended, Move, Plus
from shared.status import Facts, Status, Test, applicable, tests_of

Item = Mapping[str, Mapping[str, Any]]
"""An item as DynamoDB speaks it: attribute → {"S" | "N" | "BOOL" | "L": …}."""

Entry = dict[str, dict[str, Any]]
"""One entry of a TransactWriteItems: {"Put": its arguments}."""

Clause = tuple[Status | None, tuple[Test, ...]]
"""What one rule asks of the row: its status (None: no row), and every test."""


def update_arguments(move: Move) -> dict[str, Any]:
    """→ Key, ConditionExpression, UpdateExpression, ExpressionAttributeNames and …Values of UpdateItem."""
    terms = Terms()
    condition = condition_of(clauses_of(move), move.facts, terms)
    changes = move.changes if move.creates is None else attributes(move.creates)
    return {
        "Key": {"pk": {"S": row_key(move.tenant_id, move.job_id)}},
        "ConditionExpression": condition,
        "UpdateExpression": _update(changes, terms),
        "ExpressionAttributeNames": terms.names,
        "ExpressionAttributeValues": terms.values,
    }


def put_entry(move: Move, table: str) -> Entry:
    """A move that creates a row, as an entry of somebody's own transaction. A refusal brings the row that refused."""
    if move.creates is None:
        raise ValueError(f"{move.event} cannot create a row")
    terms = Terms()
    condition = condition_of(clauses_of(move), move.facts, terms)
    arguments = {"TableName": table, "Item": item_of(move.creates), "ConditionExpression": condition}
    told = {"ExpressionAttributeNames": terms.names, "ReturnValuesOnConditionCheckFailure": "ALL_OLD"}
    return {"Put": arguments | told}


class Terms:
    """The placeholders of one request: each attribute has one, each mention of a value its own."""

    def __init__(self) -> None:
        self.values: dict[str, dict[str, Any]] = {}
        self._by_attribute: dict[str, str] = {}

    @property
    def names(self) -> dict[str, str]:
        return {placeholder: attribute for attribute, placeholder in self._by_attribute.items()}

    def name(self, attribute: str) -> str:
        return self._by_attribute.setdefault(attribute, f"#{len(self._by_attribute)}")

    def value(self, value: object) -> str:
        placeholder = f":{len(self.values)}"
        self.values[placeholder] = to_attribute(value)
        return placeholder


def clauses_of(move: Move) -> tuple[Clause, ...]:
    return tuple((rule.source, tests_of(rule)) for rule in applicable(move.event, move.facts))


def condition_of(clauses: Sequence[Clause], facts: Facts, terms: Terms) -> str:
    return " OR ".join(_clause(source, tests, facts, terms) for source, tests in clauses)


def item_of(job: Job) -> dict[str, dict[str, Any]]:
    return {"pk": {"S": job.key}} | {name: to_attribute(value) for name, value in attributes(job).items()}


def job_of(item: Item) -> Job:
    """The row as a Job. Attributes that this version does not know are left out."""
    known = {name: _from_attribute(item[name]) for name in ATTRIBUTES if name in item}
    return Job(**known | {"status": Status(known["status"])})


def to_attribute(value: object) -> dict[str, Any]:
    match value:
        case bool():
            return {"BOOL": value}
        case int():
            return {"N": str(value)}
        case str():
            return {"S": str(value)}
        case tuple():
            return {"L": [to_attribute(entry) for entry in value]}
    raise TypeError(f"a row holds texts, whole numbers, flags and lists of texts, not {type(value).__name__}")


# --- below: one clause, one change ------------------------------------------------------------------------------------

_TESTS: Final = {
    "present": "attribute_exists({name})",
    "absent": "attribute_not_exists({name})",
    "=": "{name} = {value}",
    "<": "{name} < {value}",
    "<=": "{name} <= {value}",
    ">": "{name} > {value}",
    "not <=": "NOT {name} <= {value}",
}


def _clause(source: Status | None, tests: tuple[Test, ...], facts: Facts, terms: Terms) -> str:
    if source is None:
        return f"attribute_not_exists({terms.name('pk')})"
    parts = [f"{terms.name('status')} = {terms.value(source)}", *(_test(test, facts, terms) for test in tests)]
    return f"({' AND '.join(parts)})"


def _test(test: Test, facts: Facts, terms: Terms) -> str:
    fact = facts[test.fact] if isinstance(test.fact, str) else test.fact
    value = "" if fact is None else terms.value(fact)
    return _TESTS[test.operator].format(name=terms.name(test.attribute), value=value)


def _update(changes: Mapping[str, object], terms: Terms) -> str:
    assigned = [_assignment(name, change, terms) for name, change in changes.items() if change is not None]
    removed = [terms.name(name) for name, change in changes.items() if change is None]
    sections = (("SET", assigned), ("REMOVE", removed))
    return " ".join(f"{verb} {', '.join(entries)}" for verb, entries in sections if entries)


def _assignment(attribute: str, change: object, terms: Terms) -> str:
    name = terms.name(attribute)
    match change:
        case Plus(amount):
            return f"{name} = if_not_exists({name}, {terms.value(0)}) + {terms.value(amount)}"
        case Appended(entry):
            return f"{name} = list_append(if_not_exists({name}, {terms.value(())}), {terms.value((entry,))})"
    return f"{name} = {terms.value(change)}"


def _from_attribute(attribute: Mapping[str, Any]) -> Any:
    ((kind, value),) = attribute.items()
    match kind:
        case "N":
            return int(value)
        case "L":
            return tuple(_from_attribute(entry) for entry in value)
    return value
