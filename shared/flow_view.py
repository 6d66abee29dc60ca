"""A flow as people see it: while it runs (`FlowView`) and when it is over (`FlowResult`). Pure."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from math import floor
from typing import Literal

from pydantic import BaseModel, JsonValue

from shared.flow import Counts, Seen, StepState
from shared.job import Job, rfc3339
from shared.payloads.flow import FlowPayload, Step
from shared.payloads.results import ErrorBody
from shared.status import Status


@dataclass(frozen=True, slots=True)
class Told:
    """What the jobs of a step tell of it. `job_id`: of one that is not mapped; `data`: what its handler returned. Of a
    mapped step only when it began is known."""

    job_id: str | None = None
    started_at: int | None = None
    completed_at: int | None = None
    data: JsonValue = None


class CountsView(BaseModel):
    """Of jobs; `left` are not over yet."""

    total: int = 0
    succeeded: int = 0
    partly: int = 0
    failed: int = 0
    left: int = 0


class StepView(BaseModel):
    """`type` is its jobs'; `needs` are all that it waits for, those that it only refers to as well. `error`: of its
    job, or of the first of its jobs that failed. Times are RFC 3339, UTC."""

    name: str
    state: StepState
    type: str
    needs: list[str]
    mapped: bool
    on_failure: Literal["fail", "continue", "ignore"]
    when: list[dict[str, JsonValue]]
    job_id: str | None = None
    counts: CountsView | None = None
    error: ErrorBody | None = None
    started_at: str | None = None
    completed_at: str | None = None


class FlowView(BaseModel):
    """A flow and all its steps, in its own order. `percent`: 0 to 100."""

    job_id: str
    status: Status
    steps: list[StepView]
    percent: int
    counts: CountsView


class StepResult(BaseModel):
    """`data`: what the handler of its one job returned; a mapped step's jobs keep theirs."""

    step: str
    status: StepState
    error: ErrorBody | None = None
    started_at: str | None = None
    completed_at: str | None = None
    data: JsonValue = None
    counts: CountsView | None = None


class Times(BaseModel):
    """RFC 3339, UTC."""

    started_at: str
    completed_at: str
    duration_s: float


class FlowResult(BaseModel):
    """Of `total` steps `current` are over: `completed` with a result, `failed` without, the rest left out."""

    steps: list[StepResult]
    completed: int
    failed: int
    current: int
    total: int
    counts: CountsView
    times: Times


def flow_view(job: Job, flow: FlowPayload, states: Mapping[str, Seen], told: Mapping[str, Told]) -> FlowView:
    """`states` of all steps (`shared.flow.plan`); `told` of those that were begun: no other is shown as running."""
    states = {name: seen if name in told else _not_begun(seen) for name, seen in states.items()}
    return FlowView(
        job_id=job.job_id,
        status=job.status,
        steps=[_step_view(step, states[step.name], told.get(step.name, Told())) for step in flow.steps],
        percent=progress_of(states.values()),
        counts=_sum(states.values()),
    )


def flow_result(
    flow: FlowPayload, states: Mapping[str, Seen], told: Mapping[str, Told], *, began_at: int, ended_at: int
) -> FlowResult:
    """The same of a flow that is over, from `began_at` to `ended_at`."""
    found = [states[step.name].state for step in flow.steps]
    return FlowResult(
        steps=[_step_result(step, states[step.name], told.get(step.name, Told())) for step in flow.steps],
        completed=sum(state.is_well for state in found),
        failed=found.count(StepState.FAILED),
        current=sum(state.is_over for state in found),
        total=len(found),
        counts=_sum(states.values()),
        times=Times(
            started_at=rfc3339(began_at), completed_at=rfc3339(ended_at), duration_s=(ended_at - began_at) / 1000
        ),
    )


def progress_of(states: Iterable[Seen]) -> int:
    """Percent: the share of steps that are over; of one under way the share of its jobs, and 5 more while one is."""
    steps = list(states)
    if all(seen.state.is_over for seen in steps):
        return 100
    under_way = any(seen.state is StepState.RUNNING for seen in steps)
    return min(99, floor(100 * sum(map(_share, steps)) / len(steps)) + (5 if under_way else 0))


def _share(seen: Seen) -> float:
    if seen.state.is_over:
        return 1.0
    return seen.counts.over / seen.counts.total if seen.counts and seen.counts.total else 0.0


def _not_begun(seen: Seen) -> Seen:
    return Seen(StepState.PENDING) if seen.state is StepState.RUNNING else seen


def _step_view(step: Step, seen: Seen, told: Told) -> StepView:
    return StepView(
        name=step.name,
        state=seen.state,
        type=str(step.job["type"]),
        needs=list(step.requires),
        mapped=step.map is not None,
        on_failure=step.on_failure,
        when=[condition.model_dump(mode="json", by_alias=True, exclude_defaults=True) for condition in step.when],
        job_id=told.job_id,
        counts=_counts(seen.counts),
        error=_error(seen),
        started_at=_time(told.started_at),
        completed_at=_time(told.completed_at),
    )


def _step_result(step: Step, seen: Seen, told: Told) -> StepResult:
    return StepResult(
        step=step.name,
        status=seen.state,
        error=_error(seen),
        started_at=_time(told.started_at),
        completed_at=_time(told.completed_at),
        data=told.data,
        counts=_counts(seen.counts),
    )


def _time(at: int | None) -> str | None:
    return None if at is None else rfc3339(at)


def _error(seen: Seen) -> ErrorBody | None:
    fault = seen.error
    return None if fault is None else ErrorBody(code=fault.code, message=fault.message, field=fault.field)


def _counts(counts: Counts | None) -> CountsView | None:
    if counts is None:
        return None
    return CountsView(
        total=counts.total,
        succeeded=counts.succeeded,
        partly=counts.partly,
        failed=counts.failed,
        left=counts.total - counts.over,
    )


def _sum(states: Iterable[Seen]) -> CountsView:
    known = [view for seen in states if (view := _counts(seen.counts))]
    return CountsView(**{name: sum(getattr(view, name) for view in known) for name in CountsView.model_fields})
