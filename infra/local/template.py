"""template.yaml as plain data: what CloudFormation and SAM would make of it, without either.

Rules of this file:
1. Text in, data out. No I/O: where the stack is, and its parameters, are arguments.
2. What is not known is refused by its path: a function, a parameter, a resource, an attribute. Nothing is guessed.
3. A resource is called what its name property says, else `<stack>-<logical id>`: CloudFormation's random suffix would
   change at every start.

Loops: https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/intrinsic-function-reference-foreach.html
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import yaml

from infra.local.intrinsics import Functions, Place, as_text, refused

PRESET: Final = {"TokenIssuer": "https://longshore.invalid", "OpenDatabases": "1", "EmailFrom": "longshore@example.com"}
"""Of a laptop: an issuer that signs with this machine's development key, so that there is an API; its own files; a
sender of mail that goes nowhere."""


@dataclass(frozen=True, slots=True)
class Resource:
    """One resource with every function evaluated: the template calls it `logical_id`, the world calls it `name`.

    `properties` and `metadata` are plain JSON values.
    """

    logical_id: str
    name: str
    type: str
    properties: dict[str, Any]
    metadata: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Template:
    """Resources whose condition holds, by logical id; outputs by name."""

    resources: dict[str, Resource]
    outputs: dict[str, Any]

    def of_type(self, *types: str) -> list[Resource]:
        return [resource for resource in self.resources.values() if resource.type in types]


def read_template(text: str, place: Place, parameters: Mapping[str, str] | None = None) -> Template:
    """A template's YAML text → its resources and outputs. Raises InvalidInput naming the path that is wrong.

    A parameter of `PRESET` that nobody gives has its value there.
    """
    document = _load(text)
    preset = {name: value for name, value in PRESET.items() if name in document.get("Parameters", {})}
    functions = Functions(
        place,
        parameters=_parameters(document.get("Parameters", {}), preset | dict(parameters or {})),
        mappings=document.get("Mappings", {}),
        conditions=document.get("Conditions", {}),
    )
    resources = _unrolled(document["Resources"], "Resources", functions)
    functions.learn_resources(resources)
    outputs = _unrolled(document.get("Outputs", {}), "Outputs", functions)
    defaults = document.get("Globals", {}).get("Function", {})
    return Template(
        resources={
            name: _resource(name, raw, defaults, functions)
            for name, raw in resources.items()
            if _is_wanted(raw, f"Resources.{name}", functions)
        },
        outputs={
            name: functions.value(raw.get("Value"), f"Outputs.{name}.Value")
            for name, raw in outputs.items()
            if _is_wanted(raw, f"Outputs.{name}", functions)
        },
    )


def _resource(name: str, raw: dict[str, Any], defaults: dict[str, Any], functions: Functions) -> Resource:
    properties = raw.get("Properties", {})
    if raw["Type"] == "AWS::Serverless::Function":
        properties = _merged(defaults, properties)
    return Resource(
        logical_id=name,
        name=functions.physical_name(name),
        type=raw["Type"],
        properties=functions.value(properties, f"Resources.{name}.Properties"),
        metadata=functions.value(raw.get("Metadata", {}), f"Resources.{name}.Metadata"),
    )


def _is_wanted(raw: Any, path: str, functions: Functions) -> bool:
    if not isinstance(raw, dict):
        raise refused(path, "expected a mapping")
    return "Condition" not in raw or functions.condition(raw["Condition"], f"{path}.Condition")


def _merged(defaults: Any, own: Any) -> Any:
    """SAM's rule for Globals: mappings are merged, lists are joined, anything else is replaced.

    https://docs.aws.amazon.com/serverless-application-model/latest/developerguide/sam-specification-template-anatomy-globals.html
    """
    if isinstance(defaults, dict) and isinstance(own, dict):
        return {**defaults, **{key: _merged(defaults.get(key), item) for key, item in own.items()}}
    if isinstance(defaults, list) and isinstance(own, list):
        return defaults + own
    return own


# ---------------------------------------------------------------------------------------------- YAML


class _Loader(yaml.SafeLoader):
    """Knows `!Sub` and its like, and leaves `2012-10-17` a string."""


def _short_form(loader: yaml.SafeLoader, tag: str, node: yaml.Node) -> dict[str, Any]:
    name = tag if tag in ("Ref", "Condition") else f"Fn::{tag}"
    if isinstance(node, yaml.SequenceNode):
        return {name: loader.construct_sequence(node, deep=True)}
    if isinstance(node, yaml.MappingNode):
        return {name: loader.construct_mapping(node, deep=True)}
    return {name: node.value}


_Loader.add_multi_constructor("!", _short_form)
_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in pairs if tag != "tag:yaml.org,2002:timestamp"]
    for first, pairs in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


def _load(text: str) -> dict[str, Any]:
    try:
        document = yaml.load(text, _Loader)  # noqa: S506  # a SafeLoader that knows more tags
    except yaml.YAMLError as error:
        raise refused("template", f"is not YAML: {error}") from error
    if not isinstance(document, dict) or not isinstance(document.get("Resources"), dict):
        raise refused("Resources", "expected a mapping of resources")
    return document


# ---------------------------------------------------------------------------------------------- parameters


def _parameters(declared: Mapping[str, Any], given: Mapping[str, str]) -> dict[str, Any]:
    if unknown := sorted(given.keys() - declared.keys()):
        raise refused(f"Parameters.{unknown[0]}", f"there is no such parameter; there are {', '.join(declared)}")
    return {name: _parameter(f"Parameters.{name}", about, given.get(name)) for name, about in declared.items()}


def _parameter(path: str, about: Mapping[str, Any], given: str | None) -> str | list[str]:
    value = about.get("Default") if given is None else given
    if value is None:
        raise refused(path, "a value is needed: it has no default")
    text = as_text(value, path)
    allowed = [as_text(item, path) for item in about.get("AllowedValues", [text])]
    if text not in allowed:
        raise refused(path, f"{text!r} is not one of {', '.join(allowed)}")
    if about.get("Type") == "Number" and not re.fullmatch(r"-?\d+(\.\d+)?", text):
        raise refused(path, f"{text!r} is not a number")
    is_list = str(about.get("Type")).startswith(("CommaDelimitedList", "List<"))
    return [item.strip() for item in text.split(",")] if is_list else text


# ---------------------------------------------------------------------------------------------- loops


def _unrolled(node: Any, path: str, functions: Functions) -> Any:
    if isinstance(node, list):
        return [_unrolled(item, f"{path}[{index}]", functions) for index, item in enumerate(node)]
    if not isinstance(node, dict):
        return node
    unrolled: dict[str, Any] = {}
    for key, value in node.items():
        if str(key).startswith("Fn::ForEach::"):
            unrolled.update(_loop(value, f"{path}.{key}", functions))
        else:
            unrolled[key] = _unrolled(value, f"{path}.{key}", functions)
    return unrolled


def _loop(node: Any, path: str, functions: Functions) -> dict[str, Any]:
    match node:
        case [str(identifier), collection, dict(body)]:
            items = functions.value(collection, f"{path}[1]")
        case _:
            raise refused(path, "expected [identifier, collection, {key: value}]")
    unrolled: dict[str, Any] = {}
    for item in items:
        for one in item if isinstance(item, list) else [as_text(item, path)]:
            unrolled.update(_unrolled(_with_identifier(body, identifier, one), path, functions))
    return unrolled


def _with_identifier(node: Any, identifier: str, item: str) -> Any:
    """`${Identifier}` and `{Ref: Identifier}` → the item; `&{Identifier}` → its letters and digits, for logical ids."""
    if node == {"Ref": identifier}:
        return item
    if isinstance(node, dict):
        pairs = ((_with_identifier(key, identifier, item), value) for key, value in node.items())
        return {key: _with_identifier(value, identifier, item) for key, value in pairs}
    if isinstance(node, list):
        return [_with_identifier(value, identifier, item) for value in node]
    if isinstance(node, str):
        alphanumeric = re.sub(r"[^A-Za-z0-9]", "", item)
        return node.replace(f"${{{identifier}}}", item).replace(f"&{{{identifier}}}", alphanumeric)
    return node
