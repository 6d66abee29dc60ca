"""What it costs in CPU to read a flow, and to plan one round of it."""

import json
import time
from collections.abc import Callable
from dataclasses import dataclass

from pydantic import JsonValue

from shared.flow import Seen, StepState, plan
from shared.payloads import read_payload
from shared.payloads.flow import FlowPayload

SHAPES: dict[str, Callable[[int], range]] = {
    "one after the other": lambda step: range(max(0, step - 1), step),
    "rows of ten": lambda step: range(max(0, step // 10 * 10 - 10), step // 10 * 10),
    "each after all": range,
}
"""What a step needs."""


@dataclass(frozen=True, slots=True)
class Planned:
    """Milliseconds, of the fastest of some."""

    shape: str
    steps: int
    read_ms: float
    plan_ms: float


def measure() -> list[Planned]:
    """With half of the steps over, and every step taking a value from one before it."""
    return [_measured(shape, steps) for shape in SHAPES for steps in (10, 50, 200)]


def _measured(shape: str, steps: int) -> Planned:
    document = json.dumps({"type": "flow", "steps": [_step(number, SHAPES[shape](number)) for number in range(steps)]})
    flow = read_payload(document)
    assert isinstance(flow, FlowPayload)
    seen = {f"s{number}": Seen(StepState.SUCCESS) for number in range(steps // 2)}
    results: dict[str, JsonValue] = {name: {"x": 1} for name in seen}
    assert plan(flow, seen, results).start
    return Planned(
        shape, steps, _fastest_ms(lambda: read_payload(document)), _fastest_ms(lambda: plan(flow, seen, results))
    )


def _step(number: int, needs: range) -> dict[str, JsonValue]:
    taken: JsonValue = {"$from": f"s{needs[-1]}", "path": "x"} if needs else None
    job: dict[str, JsonValue] = {"type": "generic", "operation": "echo", "parameters": {"x": taken}}
    return {"name": f"s{number}", "needs": [f"s{need}" for need in needs], "job": job}


def _fastest_ms(work: Callable[[], object]) -> float:
    found = []
    for _ in range(30):
        began = time.process_time_ns()
        work()
        found.append((time.process_time_ns() - began) / 1e6)
    return min(found)
