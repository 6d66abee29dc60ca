"""The intrinsic functions of CloudFormation, evaluated on plain values: pure, and refusing what they do not know.

https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/intrinsic-function-reference.html
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from infra.local.naming import KINDS
from shared.errors import InvalidInput

NO_VALUE: Final = object()
"""What `Ref: AWS::NoValue` gives: the property, or the item of a list, is left out."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where the stack is: the pseudo parameters, and the address that queue URLs begin with."""

    stack: str = "longshore"
    region: str = "us-east-1"
    account: str = "123456789012"
    endpoint_url: str = "http://127.0.0.1:4566"


class Functions:
    """Evaluates nodes of one document. Every method takes the path of what it looks at, for the error."""

    def __init__(
        self,
        place: Place,
        *,
        parameters: Mapping[str, Any],
        mappings: Mapping[str, Any],
        conditions: Mapping[str, Any],
    ) -> None:
        self._place = place
        self._known = {**_pseudo_parameters(place), **parameters}
        self._mappings = mappings
        self._conditions = conditions
        self._resources: Mapping[str, Any] = {}
        self._naming: list[str] = []

    def learn_resources(self, resources: Mapping[str, Any]) -> None:
        """From now on `Ref` and `GetAtt` find these: loops must be unrolled before, and need functions themselves."""
        self._resources = resources

    def value(self, node: Any, path: str) -> Any:
        """Any node of the document → its JSON value."""
        if isinstance(node, list):
            return self._list(node, path)
        if not isinstance(node, dict):
            return node
        if len(node) == 1:
            ((name, argument),) = node.items()
            if name in _FUNCTIONS:
                return _FUNCTIONS[name](self, argument, f"{path}.{name}")
            if isinstance(name, str) and name.startswith("Fn::"):
                raise refused(path, f"the function {name} is not known; known are {', '.join(sorted(_FUNCTIONS))}")
        evaluated = {key: self.value(item, f"{path}.{key}") for key, item in node.items()}
        return {key: item for key, item in evaluated.items() if item is not NO_VALUE}

    def _list(self, node: list[Any], path: str) -> list[Any]:
        evaluated = (self.value(item, f"{path}[{index}]") for index, item in enumerate(node))
        return [item for item in evaluated if item is not NO_VALUE]

    def _ref(self, argument: Any, path: str) -> Any:
        name = self._text(argument, path)
        if name in self._known:
            return self._known[name]
        return self._attribute(name, "Ref", path)

    def _get_att(self, argument: Any, path: str) -> Any:
        parts = argument.split(".", 1) if isinstance(argument, str) else self.value(argument, path)
        match parts:
            case [str(name), str(attribute)]:
                return self._attribute(name, attribute, path)
        raise refused(path, "expected [logical id, attribute]")

    def _attribute(self, name: str, attribute: str, path: str) -> Any:
        if name not in self._resources:
            raise refused(path, f"there is no parameter or resource {name!r}")
        kind_name = self._resources[name]["Type"]
        kind = KINDS.get(kind_name)
        if kind is None or attribute not in kind.identifiers:
            raise refused(path, f"{attribute} of a {kind_name} is not known here")
        return kind.identifiers[attribute].format(
            name=self.physical_name(name),
            region=self._place.region,
            account=self._place.account,
            endpoint=self._place.endpoint_url,
        )

    def physical_name(self, name: str) -> str:
        """What the world calls a resource: its name property, or `<stack>-<logical id>`."""
        kind = KINDS.get(self._resources[name]["Type"])
        given = self._resources[name].get("Properties", {}).get(kind.name_property) if kind else None
        if given is None:
            return f"{self._place.stack}-{name}"
        path = f"Resources.{name}.Properties"
        if name in self._naming:
            raise refused(path, f"the name depends on itself: {' → '.join([*self._naming, name])}")
        self._naming.append(name)
        try:
            return self._text(given, path)
        finally:
            self._naming.pop()

    def _sub(self, argument: Any, path: str) -> str:
        match argument:
            case str(text):
                variables: dict[str, Any] = {}
            case [str(text), dict(given)]:
                variables = {key: self._text(item, f"{path}.{key}") for key, item in given.items()}
            case _:
                raise refused(path, "expected a text, or [text, {name: value}]")

        def substitute(match: re.Match[str]) -> str:
            name = match[1]
            if name.startswith("!"):
                return f"${{{name[1:]}}}"
            if name in variables:
                return str(variables[name])
            return self._text({"Fn::GetAtt": name} if "." in name else {"Ref": name}, path)

        return re.sub(r"\$\{([^}]+)\}", substitute, text)

    def _join(self, argument: Any, path: str) -> str:
        match argument:
            case [str(separator), parts]:
                items = self.value(parts, path)
                if isinstance(items, list):
                    return separator.join(as_text(item, path) for item in items)
        raise refused(path, "expected [separator, list]")

    def _select(self, argument: Any, path: str) -> Any:
        match self.value(argument, path):
            case [index, list(items)] if str(index).isdecimal() and int(index) < len(items):
                return items[int(index)]
        raise refused(path, "expected [index, list], the index within the list")

    def _split(self, argument: Any, path: str) -> list[str]:
        match self.value(argument, path):
            case [str(separator), str(text)]:
                return text.split(separator)
        raise refused(path, "expected [separator, text]")

    def _find_in_map(self, argument: Any, path: str) -> Any:
        match argument:
            case [*keys, {"DefaultValue": default}]:
                pass
            case [*keys]:
                default = NO_VALUE
            case _:
                raise refused(path, "expected [mapping, key, key]")
        found: Any = self._mappings
        for key in (self._text(key, path) for key in keys):
            if not isinstance(found, dict) or key not in found:
                if default is NO_VALUE:
                    raise refused(path, f"Mappings has no {key!r} there")
                return self.value(default, path)
            found = found[key]
        return found

    # ------------------------------------------------------------------------------------------ conditions

    def _if(self, argument: Any, path: str) -> Any:
        match argument:
            case [str(name), then, otherwise]:
                return self.value(then if self.condition(name, path) else otherwise, path)
        raise refused(path, "expected [condition, value if true, value if false]")

    def condition(self, name: Any, path: str) -> bool:
        if not isinstance(name, str) or name not in self._conditions:
            raise refused(path, f"there is no condition {name!r}")
        return bool(self.value(self._conditions[name], f"Conditions.{name}"))

    def _equals(self, argument: Any, path: str) -> bool:
        match self.value(argument, path):
            case [left, right]:
                return as_text(left, path) == as_text(right, path)
        raise refused(path, "expected two values")

    def _text(self, node: Any, path: str) -> str:
        return as_text(self.value(node, path), path)


_FUNCTIONS: Final[dict[str, Callable[[Functions, Any, str], Any]]] = {
    "Ref": Functions._ref,
    "Condition": Functions.condition,
    "Fn::And": lambda reader, argument, path: all(reader.value(argument, path)),
    "Fn::Equals": Functions._equals,
    "Fn::FindInMap": Functions._find_in_map,
    "Fn::GetAtt": Functions._get_att,
    "Fn::If": Functions._if,
    "Fn::Join": Functions._join,
    "Fn::Not": lambda reader, argument, path: not all(reader.value(argument, path)),
    "Fn::Or": lambda reader, argument, path: any(reader.value(argument, path)),
    "Fn::Select": Functions._select,
    "Fn::Split": Functions._split,
    "Fn::Sub": Functions._sub,
}


def _pseudo_parameters(place: Place) -> dict[str, Any]:
    return {
        "AWS::AccountId": place.account,
        "AWS::NoValue": NO_VALUE,
        "AWS::Partition": "aws",
        "AWS::Region": place.region,
        "AWS::StackId": f"arn:aws:cloudformation:{place.region}:{place.account}:stack/{place.stack}/local",
        "AWS::StackName": place.stack,
        "AWS::URLSuffix": "amazonaws.com",
    }


def as_text(value: Any, path: str) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str | int | float):
        return str(value)
    raise refused(path, f"expected a text or a number, not {type(value).__name__}")


def refused(path: str, message: str) -> InvalidInput:
    return InvalidInput("template", message, field=path)
