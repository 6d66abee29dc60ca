"""A payload as it is typed: `FIELD=VALUE` for what a text can say, `FIELD:=JSON` for anything.

    tables=orders,customers    options.batch_size=500    parameters.to:=3    database=shop.db

The field's own model decides what a VALUE means: a text where texts are taken, else JSON (numbers, true, false), else a
list by commas. What fits nowhere is left as it is, for the payload's own validation to name with everything else.
"""

import difflib
import json
import re
from collections.abc import Iterable, Iterator, Sequence
from types import UnionType
from typing import Any, Final, Union, get_args, get_origin  # Any: annotations, and JSON before it is validated

from pydantic import BaseModel, JsonValue, TypeAdapter, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import from_json

from infra.cli.places import WORDS, Document
from shared.errors import InvalidInput, Problem
from shared.payloads import WORDS as REFUSALS
from shared.payloads import open_types, read_payload
from shared.payloads.base import Payload

_ASSIGNMENT: Final = re.compile(r"(?P<path>[A-Za-z_][A-Za-z0-9_.-]*?)(?P<sign>:=|=)(?P<value>.*)", re.DOTALL)


def payload_model(job_type: str) -> type[Payload]:
    """Raises InvalidInput with the nearest name for a type that does not exist."""
    known = open_types()
    if job_type not in known:
        raise unknown_type(job_type, known)
    return known[job_type]


def unknown_type(name: str, known: Iterable[str]) -> InvalidInput:
    known = list(known)
    message = f"there is no job type {name!r}{_nearest(name, known)}; the types are {', '.join(known)}"
    return InvalidInput("unknown_type", message, field="type")


def assigned(model: type[Payload], document: Document, assignments: Sequence[str]) -> Document:
    """`document` with every assignment made in it. Raises InvalidInput for what is no assignment."""
    for text in assignments:
        found = _ASSIGNMENT.fullmatch(text)
        if found is None:
            raise InvalidInput("no_assignment", f"FIELD=VALUE or FIELD:=JSON was expected, not {text!r}")
        path, value = found["path"].split("."), found["value"]
        read = _json(value, found["path"]) if found["sign"] == ":=" else _meant(model, path, value)
        document = _with(document, path, read, found["path"])
    return document


def checked(model: type[Payload], document: Document) -> Payload:
    """Raises InvalidInput naming every wrong field, what was expected there, and what was probably meant."""
    try:
        return read_payload(json.dumps(document))
    except InvalidInput as error:
        known = list(paths_of(model))
        problems = tuple(Problem(field, _in_words(field, expected, known)) for field, expected in error.problems)
        raise InvalidInput(error.code, error.message, field=error.field, problems=problems) from None


def paths_of(model: type[BaseModel], before: str = "") -> Iterator[str]:
    """Every field's path, as people should type it."""
    for name, field in model.model_fields.items():
        path = before + shown_name(name, field)
        nested = model_in(field.annotation)
        yield from paths_of(nested, path + ".") if nested else (path,)


def shown_name(name: str, field: FieldInfo) -> str:
    """As people write it: `validate` is `verify` to Python, which has another use for that name."""
    return field.serialization_alias or name


# --- values -----------------------------------------------------------------------------------------------------------


def _meant(model: type[BaseModel], path: Sequence[str], text: str) -> JsonValue:
    annotation = _annotation(model, path)
    adapter: TypeAdapter[Any] = TypeAdapter(annotation)
    wrong: dict[int, JsonValue] = {}  # how deep the mistake is → the first reading with it
    for candidate in _candidates(text):
        try:
            adapter.validate_json(json.dumps(candidate), strict=True)
        except ValidationError as error:
            wrong.setdefault(max(len(one["loc"]) for one in error.errors()), candidate)
        else:
            return candidate
    return wrong[max(wrong)]  # an element that is wrong was meant as one, not as a text in a list's place


def _candidates(text: str) -> Iterator[JsonValue]:
    yield text
    try:
        yield from_json(text, allow_inf_nan=False)
    except (ValueError, TypeError):  # the latter of an argument that is not in UTF-8
        yield [*text.split(",")]


def _annotation(model: type[BaseModel] | None, path: Sequence[str]) -> Any:
    """What the model says of the field at `path`; JsonValue where it says nothing."""
    for name in path[:-1]:
        field = _field(model, name)
        model = model_in(field.annotation) if field else None
    field = _field(model, path[-1])
    return field.annotation if field else JsonValue


def _field(model: type[BaseModel] | None, name: str) -> FieldInfo | None:
    fields = model.model_fields if model else {}
    return next((field for own, field in fields.items() if name in (own, field.serialization_alias)), None)


def model_in(annotation: Any) -> type[BaseModel] | None:
    """The model that an annotation is, or allows beside None."""
    options = get_args(annotation) if get_origin(annotation) in (Union, UnionType) else (annotation,)
    return next((kind for kind in options if isinstance(kind, type) and issubclass(kind, BaseModel)), None)


def _json(text: str, path: str) -> JsonValue:
    try:
        value: JsonValue = from_json(text, allow_inf_nan=False)
    except (ValueError, TypeError) as error:
        raise InvalidInput("not_json", f"JSON was expected after `:=` ({error})", field=path) from None
    return value


def _with(document: Document, path: Sequence[str], value: JsonValue, whole: str) -> Document:
    first, *rest = path
    if not rest:
        return document | {first: value}
    inner = document.get(first, {})
    if not isinstance(inner, dict):
        raise InvalidInput("not_an_object", f"{first} has a value already, so it has no fields", field=whole)
    return document | {first: _with(inner, rest, value, whole)}


# --- words ------------------------------------------------------------------------------------------------------------


def _in_words(field: str, expected: str, known: Iterable[str]) -> str:
    if expected == REFUSALS["extra_forbidden"]:
        return f"there is no such field{_nearest(field, known)}"
    return WORDS.get(expected, expected)


def _nearest(name: str, known: Iterable[str]) -> str:
    near = difflib.get_close_matches(name, list(known), n=1)
    return f"; did you mean {near[0]}?" if near else ""
