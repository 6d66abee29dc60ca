"""A payload model's fields in words, for `longshore types TYPE`."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any  # Any: a JSON Schema is whatever JSON Schema says it is

from pydantic import BaseModel

from infra.cli.fields import EXPECTED, model_in, shown_name
from shared.payloads.base import BASE_FIELDS, Payload


@dataclass(frozen=True, slots=True)
class FieldWords:
    """`default` is "required" where there is none."""

    path: str
    default: str
    values: str


def described(model: type[Payload]) -> list[FieldWords]:
    """Every field but `type`: the type's own, then those that all types have."""
    schema = model.model_json_schema()
    found = [field for field in _walk(model, schema, schema, "") if field.path != "type"]
    return sorted(found, key=lambda field: field.path in BASE_FIELDS)


def _walk(model: type[BaseModel], schema: dict[str, Any], root: dict[str, Any], before: str) -> Iterator[FieldWords]:
    for name, field in model.model_fields.items():
        shown = shown_name(name, field)
        spec, path = schema["properties"][shown], before + shown
        nested = model_in(field.annotation)
        if nested is not None:
            yield from _walk(nested, root["$defs"][nested.__name__], root, path + ".")
        else:
            default = "required" if field.is_required() else _shown(spec.get("default"))
            yield FieldWords(path, default, EXPECTED.get(path) or _values(spec))


def _shown(default: object) -> str:
    match default:
        case bool():
            return str(default).lower()
        case str() | int() | float():
            return str(default)
    return ""


def _values(spec: dict[str, Any]) -> str:
    match spec:
        case {"enum": names}:
            return " | ".join(map(str, names))
        case {"anyOf": options}:
            return " or ".join(_values(option) for option in options if option.get("type") != "null")
        case {"type": "boolean"}:
            return "true | false"
        case {"type": "integer" | "number"}:
            return f"number{_bounds(spec)}"
        case {"type": "array"}:
            return "names, by commas"
        case {"type": "object"}:
            return "NAME=VALUE or NAME:=JSON below it"
    return "text"


def _bounds(spec: dict[str, Any]) -> str:
    low, high = spec.get("minimum"), spec.get("maximum")
    return f", {low:,} to {high:,}" if low is not None and high is not None else ""
