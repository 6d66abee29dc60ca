"""References: what stands in a document for a value that is not known yet. Pure.

    {"$from": "step", "path": "files.0.url"}   the result of an earlier step, as its handler returned it, or part of it
    {"$item": "path"}, {"$item": true}         the item, of the list that the step maps over, or part of it
    {"$index": true}                           its place in that list, from 0
    {"$input": "path"}                         part of the flow's inputs
    {"$literal": …}                            exactly what follows, though it looks like a reference

- Only a whole value is a reference: no text is searched for one.
- What a reference stands for is taken as it is: a result or an item cannot bring references in.
- A path is names and list indexes with dots between them. `*` is each value of a list in turn, but for those that are
  null: `*.artifact.url` of a mapped step's result is the list of its files, without what failed.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, TypeGuard

from pydantic import JsonValue

from shared.errors import Permanent

PATH: Final = r"^([^.]+(\.[^.]+)*)?$"

Place = tuple[str | int, ...]
"""Where something stands in a document: keys and indexes."""

_MUST_BE_TRUE: Final = "is a reference: its value must be true"
_PATH_EXPECTED: Final = "is a reference: its path must be names and list indexes with dots between, `a.0.b`"


@dataclass(frozen=True, slots=True)
class Reference:
    """`word`: the key that makes it one, `$from` and so on; `step` is that of `$from`."""

    word: str
    path: tuple[str, ...] = ()
    step: str = ""
    literal: JsonValue = None


@dataclass(frozen=True, slots=True)
class Values:
    """What references stand for. `results`: step → its result; of a step in `absent`, whatever is asked for is null."""

    results: Mapping[str, JsonValue]
    inputs: Mapping[str, JsonValue]
    absent: frozenset[str] = frozenset()
    item: JsonValue = None
    index: int = 0


def references(value: JsonValue, place: Place = ()) -> Iterator[tuple[Place, Reference | str]]:
    """Every reference in `value` and where it stands; a text says what is wrong with what ought to be one."""
    if isinstance(value, list):
        for index, part in enumerate(value):
            yield from references(part, (*place, index))
    elif isinstance(value, dict):
        if (found := read_reference(value)) is not None:
            yield place, found
            return
        for key, part in value.items():
            yield from references(part, (*place, key))


def resolve(value: JsonValue, values: Values, place: Place = ()) -> JsonValue:
    """`value` with what its references stand for. Raises Permanent naming the place of one that stands for nothing."""
    if isinstance(value, list):
        return [resolve(part, values, (*place, index)) for index, part in enumerate(value)]
    if not isinstance(value, dict):
        return value
    reference = read_reference(value)
    if reference is None:
        return {key: resolve(part, values, (*place, key)) for key, part in value.items()}
    if isinstance(reference, str):
        raise Permanent("invalid_reference", reference, field=dotted(place))
    try:
        return _stands_for(reference, values)
    except LookupError:
        raise Permanent("nothing_there", _nothing(reference), field=dotted(place)) from None


def is_larger(value: JsonValue, bytes_max: int) -> bool:
    """Would it be longer than this as JSON, roughly? Known before it is written: a few references to one large value
    may come to a thousand times it."""
    left, weight = [value], 0
    while left and weight <= bytes_max:
        match left.pop():
            case str() as text:
                weight += len(text)
            case list() as values:
                left.extend(values)
            case dict() as members:
                weight += sum(map(len, members))
                left.extend(members.values())
        weight += 4
    return weight > bytes_max


def descend(value: JsonValue, path: Sequence[str]) -> JsonValue:
    """What lies at `path` in `value`. Raises LookupError if nothing does."""
    for depth, part in enumerate(path, 1):
        if isinstance(value, dict):
            value = value[part]
        elif isinstance(value, list) and part == "*":
            return [descend(one, path[depth:]) for one in value if one is not None]
        elif isinstance(value, list) and re.fullmatch("[0-9]{1,9}", part):
            value = value[int(part)]
        else:
            raise LookupError(part)
    return value


def read_reference(document: dict[str, JsonValue]) -> Reference | str | None:
    """The reference that `document` is; a text says what is wrong with it; None: it is none."""
    words = [word for word in _READERS if word in document]
    if not words:
        return None
    others = document.keys() - {words[0]} - ({"path"} if words[0] == "$from" else set())
    if others:
        return f"is a reference, `{words[0]}`, and may hold nothing else: not `{min(others)}`"
    return _READERS[words[0]](document)


def parts(path: str) -> tuple[str, ...]:
    return tuple(path.split(".")) if path else ()


def dotted(place: Place) -> str:
    return ".".join(str(part) for part in place)


def _from(document: dict[str, JsonValue]) -> Reference | str:
    step, path = document["$from"], document.get("path", "")
    if not isinstance(step, str):
        return "is a reference: `$from` must be the name of a step"
    return Reference("$from", parts(path), step) if _is_path(path) else _PATH_EXPECTED


def _item(document: dict[str, JsonValue]) -> Reference | str:
    path = document["$item"]
    if path is True:
        return Reference("$item")
    return Reference("$item", parts(path)) if _is_path(path) else _PATH_EXPECTED


def _index(document: dict[str, JsonValue]) -> Reference | str:
    return Reference("$index") if document["$index"] is True else _MUST_BE_TRUE


def _input(document: dict[str, JsonValue]) -> Reference | str:
    path = document["$input"]
    return Reference("$input", parts(path)) if _is_path(path) else _PATH_EXPECTED


def _literal(document: dict[str, JsonValue]) -> Reference:
    return Reference("$literal", literal=document["$literal"])


_READERS: Final = {"$from": _from, "$item": _item, "$index": _index, "$input": _input, "$literal": _literal}


def _is_path(path: JsonValue) -> TypeGuard[str]:
    return isinstance(path, str) and re.fullmatch(PATH, path) is not None


def _stands_for(reference: Reference, values: Values) -> JsonValue:
    match reference.word:
        case "$from":
            absent = reference.step in values.absent
            found = None if absent else descend(values.results[reference.step], reference.path)
            return _without_secrets(found, reference.step)
        case "$item":
            return descend(values.item, reference.path)
        case "$index":
            return values.index
        case "$input":
            return descend(dict(values.inputs), reference.path)
    return reference.literal


def _without_secrets(value: JsonValue, step: str) -> JsonValue:
    """A result may be an outsider's answer: it chooses none of the tenant's secrets. Raises Permanent."""
    left = [value]
    while left:
        match left.pop():
            case str() as text if "secret://" in text or "env://" in text:
                raise Permanent(
                    "secret_in_result", f"the result of `{step}` names a secret: name it in the flow", field=step
                )
            case list() as values:
                left.extend(values)
            case dict() as members:
                left.extend(members.values())
    return value


def _nothing(reference: Reference) -> str:
    whose = {"$from": f"the result of `{reference.step}`", "$item": "the item", "$input": "the flow's inputs"}
    return f"there is no `{dotted(reference.path)}` in {whose[reference.word]}"
