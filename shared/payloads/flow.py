"""`flow`: steps that need each other, each a job of any type or one job for every item of a list.

Checked as a whole when it is read (`shared/flow_check.py`), so that every door refuses what could not run.
"""

from functools import cached_property
from typing import Annotated, ClassVar, Literal, Self

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    JsonValue,
    WithJsonSchema,
    model_validator,
)

from shared.payloads.base import Payload, Strict, shaped
from shared.references import PATH, Place, Reference, references
from shared.retry import Policy

STEPS_MAX = 200
JOBS_MAX = 1_000_000

StepName = Annotated[str, shaped(r"^[A-Za-z0-9][A-Za-z0-9_-]*$", "up to 64 letters, digits and _ -", max_length=64)]
"""No dots: they part a path."""

COMPARISONS = frozenset({"above", "at_least", "below", "at_most"})


def _all_of(when: object) -> object:
    """One condition may be written without a list."""
    if when is None:
        return ()
    return tuple(when) if isinstance(when, list | tuple) else (when,)


def _list_or_reference(value: JsonValue) -> JsonValue:
    if not isinstance(value, list | dict | None):
        raise ValueError('a list, or a reference to one: {"$from": "a step"}')
    return value


class Condition(Strict):
    """Of an earlier step's result: what lies at `path` there `is` so, compared with `value`.

    What does not lie there is null. `exists`: it is not null (or, with `value` false, it is). `above`, `at_least`,
    `below` and `at_most` hold between two numbers or two texts alone.
    """

    step: StepName = Field(validation_alias="$from", serialization_alias="$from")
    path: Annotated[str, shaped(PATH, "names and list indexes with dots between, a.0.b", max_length=512)] = ""
    verb: Literal["equals", "not_equals", "in", "above", "at_least", "below", "at_most", "exists"] = Field(
        validation_alias="is", serialization_alias="is"
    )
    value: JsonValue = None

    @model_validator(mode="after")
    def _comparable(self) -> Self:
        value = self.value
        if self.verb in COMPARISONS and (isinstance(value, bool) or not isinstance(value, int | float | str)):
            raise ValueError(f"`{self.verb}` needs a number or a text as its value")
        if self.verb == "in" and not isinstance(value, list):
            raise ValueError("`in` needs a list as its value")
        if self.verb == "exists" and not isinstance(value, bool | None):
            raise ValueError("`exists` needs true or false as its value, or none")
        return self


class Step(Strict):
    """One step: `job` is the payload of any open type, with references (`shared/references.py`) in place of values.

    It starts when all that it needs is over: the steps in `needs`, and those that it refers to. `map`: a list, or a
    reference to one: one job for each item. `when`: all conditions must hold, or it is skipped. `on_failure`: `fail`
    ends the flow at once; `continue` lets the rest go on, to PARTIAL_SUCCESS; `ignore` takes its result as null.
    """

    name: StepName
    job: dict[str, JsonValue]
    needs: Annotated[tuple[StepName, ...], Field(max_length=STEPS_MAX)] = ()
    map: Annotated[
        JsonValue,
        AfterValidator(_list_or_reference),
        WithJsonSchema({"anyOf": [{"type": "array", "items": {}}, {"type": "object"}, {"type": "null"}]}),
    ] = None
    when: Annotated[
        tuple[Condition, ...],
        Field(max_length=32),
        BeforeValidator(_all_of, json_schema_input_type=Condition | list[Condition] | None),
    ] = ()
    on_failure: Literal["fail", "continue", "ignore"] = "fail"

    @property
    def fillable(self) -> dict[str, JsonValue]:
        """The part of `job` in which references are this step's: the steps of a flow in it have their own."""
        return {key: part for key, part in self.job.items() if key != "steps" or self.job.get("type") != "flow"}

    @cached_property
    def references(self) -> tuple[tuple[Place, Reference | str], ...]:
        """All in `job` and `map`, with their places in the step; a text instead of one says what is wrong with it."""
        return (*references(self.fillable, ("job",)), *references(self.map, ("map",)))

    @cached_property
    def sources(self) -> tuple[str, ...]:
        """The steps whose results must be read for this one."""
        named = (found.step for _, found in self.references if isinstance(found, Reference) and found.word == "$from")
        return tuple(dict.fromkeys((*(condition.step for condition in self.when), *named)))

    @cached_property
    def requires(self) -> tuple[str, ...]:
        """The steps that must be over before this one."""
        return tuple(dict.fromkeys((*self.needs, *self.sources)))


class FlowPayload(Payload):
    """`inputs`: what `{"$input": "path"}` in its steps refers to. `timeout_s`: of the whole flow. `jobs_max`: how many
    jobs it may begin, those of its sub-flows among them: each has its share."""

    policy: ClassVar[Policy] = Policy(timeout_s=60, attempts_max=20)
    """A round that ran out of time or met a fault is made again, and costs nothing that is there already."""

    type: Literal["flow"] = "flow"
    steps: Annotated[tuple[Step, ...], Field(min_length=1, max_length=STEPS_MAX)]
    inputs: dict[str, JsonValue] = Field(default_factory=dict)
    jobs_max: Annotated[int, Field(ge=1, le=JOBS_MAX)] = JOBS_MAX
    timeout_s: Annotated[int, Field(ge=1, le=30 * 24 * 3600)] = 7 * 24 * 3600

    @model_validator(mode="after")
    def _can_run(self) -> Self:
        from shared.flow_check import check  # it knows every payload, this one too

        check(self)
        return self
