"""Does a condition of a step hold? Pure.

- What does not lie at the path is null, and so is all of a step that was skipped, or that failed under `ignore`.
- Equal are what JSON holds for equal: 1 and 1.0, but not 1 and true.
- More and less are known of two numbers or two texts alone; between others neither holds.
"""

from collections.abc import Callable, Mapping
from typing import Final

from pydantic import JsonValue

from shared.payloads.flow import Condition
from shared.references import Values, descend, parts


def holds(condition: Condition, values: Values) -> bool:
    """`values` must have the result of the condition's step, or have it among the absent."""
    found = None if condition.step in values.absent else _find(values.results[condition.step], condition.path)
    return _VERBS[condition.verb](found, condition.value)


def _find(value: JsonValue, path: str) -> JsonValue:
    try:
        return descend(value, parts(path))
    except LookupError:
        return None


def _equal(one: JsonValue, other: JsonValue) -> bool:
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(_equal(part, other[key]) for key, part in one.items())
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(_equal, one, other))
    return isinstance(one, bool) == isinstance(other, bool) and one == other


def _order(one: JsonValue, other: JsonValue) -> int | None:
    """-1, 0, 1: less, equal, more. None: nobody knows."""
    if isinstance(one, bool) or isinstance(other, bool):
        return None
    if isinstance(one, int | float) and isinstance(other, int | float):
        return (one > other) - (one < other)
    if isinstance(one, str) and isinstance(other, str):
        return (one > other) - (one < other)
    return None


_VERBS: Final[Mapping[str, Callable[[JsonValue, JsonValue], bool]]] = {
    "equals": _equal,
    "not_equals": lambda found, value: not _equal(found, value),
    "in": lambda found, value: isinstance(value, list) and any(_equal(found, one) for one in value),
    "above": lambda found, value: _order(found, value) == 1,
    "at_least": lambda found, value: _order(found, value) in {0, 1},
    "below": lambda found, value: _order(found, value) == -1,
    "at_most": lambda found, value: _order(found, value) in {-1, 0},
    "exists": lambda found, value: (found is not None) == (value is not False),
}
