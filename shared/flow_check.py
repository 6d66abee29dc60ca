"""Can this flow run? All that is wrong with it, before it starts. Pure.

- Names are unique; every step named is there; no step needs itself, nor any in a circle.
- Each job is an open type's payload. Its own model checks it with the references in place: what is wrong with a value
  that is not known yet is not asked; it will be, when it is known (`shared/flow.py`).
- A job takes its tenant and its id from the flow. `$item` and `$index` stand only in a job that is mapped.
- A flow in a step is checked by the same rules; at most 5 deep, and at most a million jobs that can be counted now.
"""

from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from typing import Final

from pydantic import JsonValue, ValidationError
from pydantic.alias_generators import to_camel
from pydantic_core import InitErrorDetails, PydanticCustomError, to_json

from shared.children import CHILDREN_MAX
from shared.payloads import open_types
from shared.payloads.flow import JOBS_MAX, FlowPayload, Step
from shared.references import Place, Reference, descend, dotted, read_reference, references

DEPTH_MAX: Final = 5

INHERITED: Final = frozenset(
    spelling for name in ("tenant_id", "job_id", "worker_id", "user_id") for spelling in (name, to_camel(name))
)

Fault = tuple[Place, str, str]
"""(place, kind as pydantic names kinds, what was expected)"""


def check(flow: FlowPayload) -> None:
    """Raises pydantic's ValidationError with every fault, each at its place; a validator may let it through."""
    faults = [*_faults(flow)] or [*_circles(flow), *_crowds(flow)]
    if faults:
        details = [_detail(*fault) for fault in faults]
        raise ValidationError.from_exception_data("flow", details)


def known_jobs(flow: FlowPayload) -> int:
    """How many jobs its steps are, as far as the length of their lists is known: one for each list that is not."""
    return sum(_jobs(step.map, step.job) for step in flow.steps)


def _detail(place: Place, kind: str, expected: str) -> InitErrorDetails:
    return InitErrorDetails(type=PydanticCustomError(kind, "{expected}", {"expected": expected}), loc=place, input=None)


def _faults(flow: FlowPayload) -> Iterator[Fault]:
    names = {step.name for step in flow.steps}
    for number, step in enumerate(flow.steps):
        if step.name in {earlier.name for earlier in flow.steps[:number]}:
            yield ("steps", number, "name"), "flow_name", f"another step is called `{step.name}`"
        for place, kind, expected in (*_needs(step, names), *_references(step, flow), *_map(step), *_job(step)):
            yield ("steps", number, *place), kind, expected


def _needs(step: Step, names: set[str]) -> Iterator[Fault]:
    named: list[tuple[Place, str]] = [(("needs", index), name) for index, name in enumerate(step.needs)]
    named += [(("when", index, "$from"), condition.step) for index, condition in enumerate(step.when)]
    named += [(place, found.step) for place, found in step.references if isinstance(found, Reference) and found.step]
    for place, name in named:
        if name == step.name:
            yield place, "flow_need", f"`{name}` cannot need itself"
        elif name not in names:
            yield place, "flow_need", f"there is no step `{name}`"


def _references(step: Step, flow: FlowPayload) -> Iterator[Fault]:
    for place, found in step.references:
        if isinstance(found, str):
            yield place, "flow_reference", found
        elif found.word in {"$item", "$index"} and (step.map is None or place[0] == "map"):
            yield place, "flow_reference", f"`{found.word}` stands only in the job of a step with a `map`"
        elif found.word == "$input" and not _is_given(flow.inputs, found.path):
            yield place, "flow_reference", f"there is no `{dotted(found.path)}` in the flow's inputs"


def _is_given(value: JsonValue, path: tuple[str, ...]) -> bool:
    """Is there anything at `path`, or may there be when a reference on the way to it is known?"""
    for part in path:
        if isinstance(value, dict) and read_reference(value) is not None:
            return True
        try:
            value = descend(value, (part,))
        except LookupError:
            return False
    return True


def _map(step: Step) -> Iterator[Fault]:
    if isinstance(step.map, list) and len(step.map) > CHILDREN_MAX:
        yield ("map",), "flow_map", f"{len(step.map):,} items; at most {CHILDREN_MAX:,}"
    if isinstance(step.map, dict) and all(place != ("map",) for place, _ in step.references):
        yield ("map",), "flow_map", 'a list, or a reference to one: {"$from": "a step"}'


def _job(step: Step) -> Iterator[Fault]:
    kind, types = step.job.get("type"), open_types()
    for name in sorted(INHERITED & step.job.keys()):
        yield ("job", name), "flow_inherited", "is taken from the flow"
    if not isinstance(kind, str) or kind not in types:
        yield ("job", "type"), "flow_type", f"is required: one of {', '.join(types)}"
    elif _depth(step.job) >= DEPTH_MAX:
        yield ("job", "type"), "flow_depth", f"flows in flows, at most {DEPTH_MAX} deep"
    else:
        try:
            types[kind].model_validate_json(to_json(_checkable(step)))
        except ValidationError as error:
            yield from _not_open(error, step)


def _checkable(step: Step) -> dict[str, JsonValue]:
    """A flow's own fields that are not known yet would keep pydantic from asking whether its steps can run."""
    if step.job["type"] != "flow":
        return step.job
    return {
        name: part for name, part in step.job.items() if name in {"type", "steps", "inputs"} or not [*references(part)]
    }


def _not_open(error: ValidationError, step: Step) -> Iterator[Fault]:
    """What is wrong in the job whatever its references stand for: not at one, nor below. An unknown field always is.

    pydantic's location of a member of a union names the member as well: no reference is told from another there. And of
    a list it counts what it could read.
    """
    at = {place[1:] for place, _ in step.references if place[0] == "job"}
    above = {place[:length] for place in at for length in range(len(place))}
    for item in error.errors(include_input=False, include_url=False):
        location, kind = item["loc"], item["type"]
        place, at_union = _in_document(location[:-1] if kind == "missing" else location, step.job)
        below = {place[: length + 1] for length in range(len(place) - (kind == "extra_forbidden"))}
        if not (below & at or (place in above and (at_union or kind == "too_short"))):
            yield ("job", *location), kind, item["msg"].removeprefix("Value error, ")


def _in_document(location: Place, document: JsonValue) -> tuple[Place, bool]:
    """The part of `location` that the document has, and whether it names anything else on the way."""
    place: list[str | int] = []
    for part in location:
        try:
            document = descend(document, (str(part),))
        except LookupError:
            continue
        place.append(part)
    return tuple(place), len(place) < len(location)


def _depth(job: JsonValue) -> int:
    """How many flows deep a job is: 0 if it is none."""
    inner = _steps_in(job)
    return 0 if inner is None else 1 + max((_depth(step.get("job")) for step in inner), default=0)


def _circles(flow: FlowPayload) -> Iterator[Fault]:
    try:
        TopologicalSorter({step.name: step.requires for step in flow.steps}).prepare()
    except CycleError as error:
        circle: list[str] = error.args[1]
        number = [step.name for step in flow.steps].index(circle[-1])
        yield ("steps", number, "needs"), "flow_circle", f"steps wait for each other: {' → '.join(circle)}"


def _crowds(flow: FlowPayload) -> Iterator[Fault]:
    if (jobs := known_jobs(flow)) > JOBS_MAX:
        yield ("steps",), "flow_jobs", f"{jobs:,} jobs; at most {JOBS_MAX:,}"


def _jobs(items: JsonValue, job: JsonValue) -> int:
    """Of one step: for each item its job, and if that is a flow, the jobs of that."""
    inner = sum(_jobs(step.get("map"), step["job"]) for step in _steps_in(job) or ())
    return (len(items) if isinstance(items, list) else 1) * (1 + inner)


def _steps_in(job: JsonValue) -> list[dict[str, JsonValue]] | None:
    """The steps of a job that is a flow, as far as they can be read; None of any other."""
    steps = job.get("steps") if isinstance(job, dict) and job.get("type") == "flow" else None
    return [step for step in steps if isinstance(step, dict)] if isinstance(steps, list) else None
