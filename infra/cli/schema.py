"""A payload's JSON Schema in words, for `longshore types TYPE`."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any  # Any: a JSON Schema is whatever JSON Schema says it is

from infra.cli.places import WORDS
from shared.payloads.base import BASE_FIELDS, SHAPES


@dataclass(frozen=True, slots=True)
class FieldWords:
    """`default` is "required" where there is none."""

    path: str
    default: str
    values: str


def described(schema: Mapping[str, Any]) -> list[FieldWords]:
    """Every field but `type`: the type's own, then those that all types have."""
    found = [field for field in _walk(schema, schema, "") if field.path != "type"]
    return sorted(found, key=lambda field: field.path in BASE_FIELDS)


def _walk(schema: Mapping[str, Any], root: Mapping[str, Any], before: str) -> Iterator[FieldWords]:
    for name, spec in schema["properties"].items():
        path = before + name
        nested = _nested(spec, root)
        if nested is not None:
            yield from _walk(nested, root, path + ".")
        else:
            default = "required" if name in schema.get("required", ()) else _shown(spec.get("default"))
            yield FieldWords(path, default, _values(spec))


def _nested(spec: Mapping[str, Any], root: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """The object that a field is, or may be."""
    for option in (spec, *spec.get("anyOf", ())):
        found: Mapping[str, Any] = root.get("$defs", {}).get(option.get("$ref", "").rpartition("/")[2], option)
        if "properties" in found:
            return found
    return None


def _shown(default: object) -> str:
    match default:
        case bool():
            return str(default).lower()
        case str() | int() | float():
            return str(default)
    return ""


def _values(spec: Mapping[str, Any]) -> str:
    match spec:
        case {"enum": names}:
            return " | ".join(map(str, names))
        case {"anyOf": options}:
            return " or ".join(_values(option) for option in options if option.get("type") != "null")
        case {"type": "boolean"}:
            return "true | false"
        case {"type": "integer" | "number"}:
            return f"number{_bounds(spec)}"
        case {"type": "array", "items": {"$ref": _}}:
            return "a list of objects, in a file or after :="
        case {"type": "array"}:
            return "names, by commas"
        case {"type": "object"}:
            return "NAME=VALUE or NAME:=JSON below it"
    words = SHAPES.get(spec.get("pattern", ""), "text")
    return WORDS.get(words, words)


def _bounds(spec: Mapping[str, Any]) -> str:
    low, high = spec.get("minimum"), spec.get("maximum")
    return f", {low:,} to {high:,}" if low is not None and high is not None else ""
