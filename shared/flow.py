"""What a flow does next: a pure function of its steps and of how those that were begun are doing.

    PENDING           a step that it needs is not over yet
    RUNNING           its jobs are under way, or to be begun now
    SUCCESS           its jobs have succeeded; or its list was empty
    PARTIAL_SUCCESS   something of it is missing
    FAILED            its job or all its jobs failed, one did under `fail`, or it could not be begun
    SKIPPED           a condition does not hold, or all that it needs was skipped
    BLOCKED           what it needs failed, or was blocked

- A step is judged when all that it needs is over. Skipped, or failed under `ignore`: its result is null.
- A failure under `fail` ends the flow at once, FAILED; nothing more is begun. Under `continue` it makes the flow
  PARTIAL_SUCCESS, or FAILED if nothing succeeded. Steps under `ignore` count for neither.
- The first thousand items of a list are checked before the first of its jobs is begun: a bad one costs nothing but the
  step. One beyond them is a job that fails.
- The same facts give the same plan, and later facts change no step that is over. So a step whose jobs are not all made
  yet may be left out of `seen`: it is planned again, the same.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from graphlib import TopologicalSorter
from typing import Final

from pydantic import JsonValue
from pydantic_core import PydanticSerializationError, to_json

from shared.admission import PAYLOAD_BYTES_MAX
from shared.children import CHILDREN_MAX
from shared.errors import InvalidInput, Permanent
from shared.flow_conditions import holds
from shared.payloads import read_payload
from shared.payloads.flow import FlowPayload, Step
from shared.references import Reference, Values, dotted, is_larger, resolve
from shared.status import Status

RESULTS_MAX: Final = 1_000
"""Of a mapped step, that may stand in one job of another; a map over them may have a job for each."""


CHECKED_MAX: Final = 1_000

SMALL_BYTES: Final = 4 * 1024
ALL_BYTES_MAX: Final = 256 * 1024 * 1024
"""Of the payloads of all jobs of a step together; 4 KB each are never too much."""


class StepState(StrEnum):
    PENDING = "PENDING"
    RUNNING = "RUNNING"
    SUCCESS = "SUCCESS"
    PARTIAL_SUCCESS = "PARTIAL_SUCCESS"
    FAILED = "FAILED"
    SKIPPED = "SKIPPED"
    BLOCKED = "BLOCKED"

    @property
    def is_over(self) -> bool:
        return self not in {StepState.PENDING, StepState.RUNNING}

    @property
    def is_well(self) -> bool:
        return self in {StepState.SUCCESS, StepState.PARTIAL_SUCCESS}


@dataclass(frozen=True, slots=True)
class Fault:
    """Why a step could not be begun. `field` as its producer wrote it: `steps.2.job.tables`."""

    code: str
    message: str
    field: str | None = None


@dataclass(frozen=True, slots=True)
class Counts:
    """Of a step's jobs: how many there are, and how many of them are over, and how."""

    total: int
    succeeded: int = 0
    partly: int = 0
    failed: int = 0

    @property
    def over(self) -> int:
        return self.succeeded + self.partly + self.failed


@dataclass(frozen=True, slots=True)
class Seen:
    """How a step is doing. `hurt`: one of its jobs has failed, whatever the others do."""

    state: StepState
    hurt: bool = False
    counts: Counts | None = None
    error: Fault | None = None


@dataclass(frozen=True, slots=True)
class Start:
    """A step to begin now: `total` jobs, whose documents are made as they are asked for. They lack tenant and id."""

    step: Step
    number: int
    values: Values
    items: list[JsonValue] | None

    @property
    def total(self) -> int:
        return 1 if self.items is None else len(self.items)

    def document(self, index: int) -> dict[str, JsonValue]:
        """The payload of the `index`-th job. Raises Permanent naming the reference that stands for nothing."""
        values = self.values if self.items is None else replace(self.values, item=self.items[index], index=index)
        place = ("steps", self.number, "job")
        filled = {name: resolve(part, values, (*place, name)) for name, part in self.step.fillable.items()}
        document = {**self.step.job, **filled}
        if is_larger(document, bytes_max := max(SMALL_BYTES, min(PAYLOAD_BYTES_MAX, ALL_BYTES_MAX // self.total))):
            found = (
                f"with all values filled in it is larger than {bytes_max:,} bytes, its share with {self.total:,} jobs"
            )
            raise Permanent("payload_too_large", found, field=dotted(place))
        return document

    def documents(self, first: int = 0) -> Iterator[tuple[int, dict[str, JsonValue]]]:
        return ((index, self.document(index)) for index in range(first, self.total))


@dataclass(frozen=True, slots=True)
class End:
    """The flow is over. `failed`: the steps that made it so."""

    outcome: Status
    failed: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Plan:
    """`states` of all steps, in the flow's order; `end` is None while there is anything to wait for."""

    states: Mapping[str, Seen]
    start: tuple[Start, ...]
    end: End | None


def ready(flow: FlowPayload, seen: Mapping[str, Seen], results: Mapping[str, JsonValue]) -> frozenset[str]:
    """Steps whose results `plan` lacks: a step that refers to one stays PENDING until it is in `results`.

    Ask again when they are read: what they say may skip a step, and so make another ready.
    """
    return frozenset(_judged(flow, seen, results).lacking)


def plan(flow: FlowPayload, seen: Mapping[str, Seen], results: Mapping[str, JsonValue]) -> Plan:
    """What to begin now, and how all steps are.

    `seen`: step → how it is, of all that were begun. What an earlier plan said of the others may be repeated there, so
    that no result needs to be read for them again; but not after a redrive, when it may be another. `results`: step →
    what its handler returned; of a mapped step the list of these in order, null for one that failed. Never raises: what
    cannot be begun is FAILED, with its `error`.
    """
    board = _judged(flow, seen, results)
    states = {step.name: board.states[step.name] for step in flow.steps}
    if (end := _end(flow, states)) is None:
        return Plan(states, tuple(board.starts), None)
    return Plan(states | {start.step.name: Seen(StepState.PENDING) for start in board.starts}, (), end)


@dataclass(slots=True)
class _Board:
    """What is known so far, of the steps in an order in which each comes after all that it needs."""

    flow: FlowPayload
    results: Mapping[str, JsonValue]
    steps: dict[str, tuple[int, Step]]
    states: dict[str, Seen] = field(default_factory=dict)
    starts: list[Start] = field(default_factory=list)
    lacking: set[str] = field(default_factory=set)


def _judged(flow: FlowPayload, seen: Mapping[str, Seen], results: Mapping[str, JsonValue]) -> _Board:
    steps = {step.name: (number, step) for number, step in enumerate(flow.steps)}
    board = _Board(flow, results, steps)
    for name in TopologicalSorter({step.name: step.requires for step in flow.steps}).static_order():
        number, step = steps[name]
        known = seen.get(name, Seen(StepState.PENDING))
        pending = known.state is StepState.PENDING
        board.states[name] = _judge(board, number, step) if pending else _by_policy(step, known)
    return board


def _by_policy(step: Step, seen: Seen) -> Seen:
    """Under `fail`, one failed job is the step's failure, though others may still run or have succeeded."""
    hurt = seen.hurt or (seen.counts is not None and seen.counts.failed > 0)
    return replace(seen, state=StepState.FAILED) if hurt and step.on_failure == "fail" else seen


def _judge(board: _Board, number: int, step: Step) -> Seen:
    """How a step is that was not begun. One to begin now is put among the starts."""
    needed = [(board.steps[name][1], board.states[name].state) for name in step.requires]
    if any(_blocks(need, state) for need, state in needed):
        return Seen(StepState.BLOCKED)
    if not all(state.is_over for _, state in needed):
        return Seen(StepState.PENDING)
    if needed and all(state is StepState.SKIPPED for _, state in needed):
        return Seen(StepState.SKIPPED)
    try:
        return _begin(board, number, step)
    except Permanent as error:
        return Seen(StepState.FAILED, error=Fault(error.code, error.message, error.field))


def _blocks(need: Step, state: StepState) -> bool:
    return state is StepState.BLOCKED or (state is StepState.FAILED and need.on_failure != "ignore")


def _begin(board: _Board, number: int, step: Step) -> Seen:
    values = _values(board, number, step)
    if lacking := [name for name in step.sources if name not in values.results and name not in values.absent]:
        board.lacking.update(lacking)
        return Seen(StepState.PENDING)
    if not all(holds(condition, values) for condition in step.when):
        return Seen(StepState.SKIPPED)
    start = Start(step, number, values, _items(step, number, values))
    if start.total == 0:
        return Seen(StepState.SUCCESS, counts=Counts(0))
    _check(start)
    board.starts.append(start)
    return Seen(StepState.RUNNING, counts=Counts(start.total))


def _values(board: _Board, number: int, step: Step) -> Values:
    """Of what the step refers to, as far as it was read."""
    well = {name: board.states[name].counts for name in step.sources if board.states[name].state.is_well}
    for name in _taken_whole(step):
        if (counts := well.get(name)) is not None and counts.total > RESULTS_MAX:
            found = f"`{name}` has {counts.total:,} results; more than {RESULTS_MAX:,} can only be mapped over"
            raise Permanent("too_many_results", found, field=f"steps.{number}")
    results = {name: board.results[name] for name in well if name in board.results}
    empty: dict[str, JsonValue] = {name: [] for name, counts in well.items() if counts == Counts(0)}
    return Values({**results, **empty}, board.flow.inputs, frozenset(step.sources).difference(well))


def _taken_whole(step: Step) -> list[str]:
    """The steps that its job or its conditions refer to, and not its map alone."""
    in_job = (found for place, found in step.references if place[0] == "job" and isinstance(found, Reference))
    return [*(condition.step for condition in step.when), *(found.step for found in in_job)]


def _items(step: Step, number: int, values: Values) -> list[JsonValue] | None:
    """The list that the step maps over, if it does."""
    if step.map is None:
        return None
    items, where = resolve(step.map, values, ("steps", number, "map")), f"steps.{number}.map"
    if not isinstance(items, list):
        raise Permanent("not_a_list", "what it refers to is not a list", field=where)
    if len(items) > CHILDREN_MAX:
        raise Permanent("too_many_items", f"{len(items):,} items; at most {CHILDREN_MAX:,}", field=where)
    return items


def _check(start: Start) -> None:
    """Raises Permanent naming the first job that its type's model refuses."""
    words = {found.word for _, found in start.step.references if isinstance(found, Reference)}
    differ = start.items is not None and words & {"$item", "$index"}
    for index in range(min(start.total, CHECKED_MAX) if differ else 1):
        try:
            read_payload(to_json(start.document(index)))
        except PydanticSerializationError as error:  # deeper than JSON is written
            raise Permanent("invalid_payload", str(error), field=f"steps.{start.number}.job") from None
        except (InvalidInput, Permanent) as error:
            which = f"item {index}: " if differ else ""
            inside = f"steps.{start.number}.job." if isinstance(error, InvalidInput) else ""
            raise Permanent(error.code, f"{which}{error.message}", field=f"{inside}{error.field}") from None


def _end(flow: FlowPayload, states: Mapping[str, Seen]) -> End | None:
    counted = {step.name: states[step.name].state for step in flow.steps if step.on_failure != "ignore"}
    failed = tuple(name for name, state in counted.items() if state is StepState.FAILED)
    if any(step.on_failure == "fail" and step.name in failed for step in flow.steps):
        return End(Status.FAILED, failed)
    if not all(seen.state.is_over for seen in states.values()):
        return None
    if failed and not any(state.is_well for state in counted.values()):
        return End(Status.FAILED, failed)
    whole = not failed and StepState.PARTIAL_SUCCESS not in counted.values()
    return End(Status.SUCCESS if whole else Status.PARTIAL_SUCCESS, failed)
