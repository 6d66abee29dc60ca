"""Event filtering: which records an event source hands to its function at all. Pure.

A record passes if any of the patterns matches it; a pattern matches if every field it names does. Operators that are
not written here are refused when the template is read.
https://docs.aws.amazon.com/lambda/latest/dg/invocation-eventfiltering.html#filtering-syntax
https://docs.aws.amazon.com/lambda/latest/dg/with-ddb-filtering.html: only what is below `dynamodb` can be asked for.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from infra.local.intrinsics import refused

Pattern = Mapping[str, Any]
"""Field → a pattern for what is below it, or a list of alternatives for its value."""

OPERATORS: Final[Mapping[str, Callable[[Any, Any], bool]]] = {
    "prefix": lambda value, wanted: isinstance(value, str) and value.startswith(wanted),
    "suffix": lambda value, wanted: isinstance(value, str) and value.endswith(wanted),
    "anything-but": lambda value, unwanted: value is not None and value not in unwanted,
}


def read_patterns(filters: Sequence[Mapping[str, str]], path: str) -> tuple[Pattern, ...]:
    """`FilterCriteria.Filters` → its patterns. Raises InvalidInput naming the path of what has no local twin."""
    return tuple(_read(one.get("Pattern"), f"{path}[{index}].Pattern") for index, one in enumerate(filters))


def passes(record: Mapping[str, Any], patterns: Sequence[Pattern]) -> bool:
    """Without patterns everything does."""
    return not patterns or any(_matches(record, pattern) for pattern in patterns)


def _matches(value: Any, pattern: Any) -> bool:
    if isinstance(pattern, dict):
        below = value if isinstance(value, dict) else {}
        return all(_matches(below.get(name, ABSENT), part) for name, part in pattern.items())
    return any(_is_one(value, alternative) for alternative in pattern)


def _is_one(value: Any, alternative: Any) -> bool:
    if not isinstance(alternative, dict):
        return value is not ABSENT and type(value) is type(alternative) and bool(value == alternative)
    ((operator, wanted),) = alternative.items()
    if operator == "exists":  # of a leaf: an object is not one
        return (value is not ABSENT and not isinstance(value, dict)) is wanted
    return value is not ABSENT and OPERATORS[operator](value, wanted)


def _read(text: Any, path: str) -> Pattern:
    try:
        pattern = json.loads(text)
    except (TypeError, ValueError) as error:
        raise refused(path, f"expected a pattern as JSON: {error}") from error
    if not isinstance(pattern, dict) or pattern.keys() != {"dynamodb"}:
        raise refused(path, "only what is below the key `dynamodb` can be filtered")
    _check(pattern, path)
    return pattern


def _check(pattern: Any, path: str) -> None:
    if isinstance(pattern, dict):
        for name, below in pattern.items():
            _check(below, f"{path}.{name}")
        return
    for alternative in pattern if isinstance(pattern, list) else [{"": None}]:
        if isinstance(alternative, dict) and not (
            len(alternative) == 1 and alternative.keys() <= {"exists", *OPERATORS}
        ):
            raise refused(path, f"expected a list of values, or of one of exists, {', '.join(OPERATORS)}")


ABSENT: Final = object()
