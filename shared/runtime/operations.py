"""Operations of `generic` jobs: Longshore's own, and those that installed packages register.

    [project.entry-points."longshore.operations"]
    resize = "acme_images.jobs:resize"

    async def resize(parameters: ResizeParameters, context: Reporter) -> dict[str, JsonValue]: ...

- A first argument that is a pydantic model is checked: by the door, if the package is installed there, and by the run.
- A name is read from the package's metadata; its code is imported when it is asked for. One that cannot be imported,
  or that two packages claim, is told to whoever asks for it, and to nobody else.
"""

import inspect
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, partial
from importlib.metadata import EntryPoint, entry_points
from typing import Any, Final, cast  # Any: a JSON Schema is what it says it is

from pydantic import BaseModel, ValidationError
from pydantic_core import to_json

from shared.errors import InvalidInput, Problem
from shared.operations import OPERATIONS, Answer, Parameters, Reporter
from shared.payloads.base import Payload
from shared.payloads.generic import GenericPayload
from shared.runtime.calling import in_thread

GROUP: Final = "longshore.operations"
OURS: Final = "longshore"
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.@-]{0,63}")


@dataclass(frozen=True, slots=True)
class Registered:
    """One operation; `parameters`: the model of its first argument, if it has one."""

    name: str
    package: str
    function: Callable[[Any, Reporter], object]  # Any: a model or a dictionary, as it says itself
    parameters: type[BaseModel] | None

    @property
    def about(self) -> str:
        return (inspect.getdoc(self.function) or "").partition("\n\n")[0].replace("\n", " ")

    @property
    def schema(self) -> dict[str, Any] | None:
        return None if self.parameters is None else self.parameters.model_json_schema()

    def checked(self, parameters: Parameters) -> BaseModel | Parameters:
        """Raises InvalidInput("invalid_parameters") with every field that is wrong."""
        if self.parameters is None:
            return parameters
        try:
            return self.parameters.model_validate_json(to_json(parameters))
        except ValidationError as error:
            found = error.errors(include_input=False, include_url=False)
            problems = tuple(Problem(".".join(["parameters", *map(str, one["loc"])]), one["msg"]) for one in found)
            first = problems[0]
            raise InvalidInput("invalid_parameters", first.expected, field=first.field, problems=problems) from None

    async def run(self, parameters: Parameters, context: Reporter) -> Answer:
        """A plain function gets a thread."""
        call = partial(self.function, self.checked(parameters), context)
        value = call() if inspect.iscoroutinefunction(self.function) else await in_thread(call)
        answer = await value if inspect.isawaitable(value) else value
        if isinstance(answer, BaseModel):
            answer = answer.model_dump(mode="json")
        if answer is not None and not isinstance(answer, dict):
            raise TypeError(f"{self.name} returned {type(answer).__name__}: a dict, a pydantic model or None")
        return cast("Answer", answer or {})


def names() -> Sequence[str]:
    return sorted({*OPERATIONS, *_points()})


def find(name: str) -> Registered:
    """Raises InvalidInput about `operation`: unknown_operation, operation_taken, invalid_name, operation_broken."""
    points = _points().get(name, ())
    claims = [*([OURS] if name in OPERATIONS else ()), *sorted(_package(point) for point in points)]
    if not claims:
        raise _refused("unknown_operation", f"{name!r}; registered are: {', '.join(names())}")
    if len(claims) > 1:
        raise _refused("operation_taken", f"{name!r} is registered by {' and '.join(claims)}: remove one")
    if not _NAME.fullmatch(name):
        raise _refused("invalid_name", f"{claims[0]} registers {name!r}: up to 64 letters, digits and _.@-")
    try:
        function = OPERATIONS[name] if name in OPERATIONS else points[0].load()
        return Registered(name, claims[0], function, _model(function))
    except (Exception, SystemExit) as error:  # another's code, whatever it raises while it is imported
        broken = f"{claims[0]} registers {name!r}, which cannot be used: {type(error).__name__}: {error}"
        raise _refused("operation_broken", broken) from error


def check_at_door(payload: Payload) -> None:
    """Refuse what the run surely would. What is not installed here, or cannot be imported, is left to the run."""
    if isinstance(payload, GenericPayload) and payload.operation in _points():
        try:
            found = find(payload.operation)
        except InvalidInput as refusal:
            if refusal.code == "operation_broken":
                return
            raise
        found.checked(payload.parameters)


@cache
def _points() -> Mapping[str, Sequence[EntryPoint]]:
    found: dict[str, list[EntryPoint]] = {}
    for point in entry_points(group=GROUP):
        found.setdefault(point.name, []).append(point)
    return found


def _package(point: EntryPoint) -> str:
    return f"{point.dist.name} {point.dist.version}" if point.dist else point.value


def _model(function: Callable[..., object]) -> type[BaseModel] | None:
    """Raises TypeError if it is no function of two arguments."""
    signature = inspect.signature(function, eval_str=True)
    signature.bind(None, None)
    kind = next(iter(signature.parameters.values())).annotation
    return kind if isinstance(kind, type) and issubclass(kind, BaseModel) else None


def _refused(code: str, message: str) -> InvalidInput:
    return InvalidInput(code, message, field="operation")
