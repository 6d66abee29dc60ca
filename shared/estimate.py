"""What a job will come to, before it starts: how many jobs, at what price, for how long. Pure.

A guess that says what it is made of: conditions hold, nothing fails; a step begins when the last that it needs ends,
and its jobs run so many at a time. Prices as in `shared/cost.py`, writes by the design's budget:

    a job     put, claim, settlement, and its end told to its parent or its place in the list; what its run takes
    a flow    and a round for each of its steps: claim, groups, wait, their end in the inbox, wake
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from graphlib import TopologicalSorter
from typing import Final

from pydantic import BaseModel, JsonValue, TypeAdapter
from pydantic_core import to_json

from shared.admission import ROW_BYTES_MAX
from shared.cost import BEAT_S, INVOCATION_SHARE, OVERHEAD_S, SIDE_PAYLOAD_UNITS, WAKEUP_REQUESTS, Spent
from shared.errors import Permanent
from shared.payloads import TYPES
from shared.payloads.base import Payload
from shared.payloads.flow import Step
from shared.references import Values, resolve

JOB_UNITS: Final = 4
ROUND_UNITS: Final = 5

RUN_S: Final = 1.0
FLOW_RUN_S: Final = 0.2
"""Of a type, and of a round of a flow, of which none has ended lately."""

STEP_S: Final = 2.0
"""From the end of what a step needs to the beginning of its first job: two wake-ups, and a round of the flow."""

STEPS: Final = TypeAdapter(tuple[Step, ...])


@dataclass(frozen=True, slots=True)
class Facts:
    """`run_s`: type → how long its jobs run, of those that is known of. `items`: of a list that is not known yet."""

    run_s: Mapping[str, float]
    memory_mb: Callable[[str], int]
    items: int
    at_once: int


class StepEstimate(BaseModel):
    """`step` with the names of the flows that it is in: `outer.inner`. `duration_s`: of all its jobs, flows whole."""

    step: str
    type: str
    jobs: int
    price_usd: float
    duration_s: float


class Estimate(BaseModel):
    """`jobs`: all of them, the one that was asked about as well. `assumed`: in words, what this is made of."""

    jobs: int
    price_usd: float
    duration_s: float
    steps: list[StepEstimate]
    assumed: list[str]


def estimate(payload: Payload, facts: Facts) -> Estimate:
    guess, document = _Guess(facts), payload.model_dump(mode="json", by_alias=True, exclude_defaults=True)
    duration_s = guess.of_jobs(1, document | {"type": payload.type}, "")
    return Estimate(
        jobs=guess.jobs,
        price_usd=_rounded(guess.usd),
        duration_s=round(duration_s, 1),
        steps=guess.steps,
        assumed=["every condition holds, and nothing fails", *guess.assumed],
    )


@dataclass(slots=True)
class _Guess:
    facts: Facts
    jobs: int = 0
    usd: float = 0.0
    steps: list[StepEstimate] = field(default_factory=list)
    assumed: dict[str, None] = field(default_factory=dict)

    def of_jobs(self, count: int, job: Mapping[str, JsonValue], path: str) -> float:
        """So many like this one. → how long they take, in seconds"""
        kind = str(job["type"])
        steps = STEPS.validate_json(to_json(job["steps"])) if kind == "flow" else ()
        usd = count * self._spent(kind, len(to_json(job)), len(steps)).usd
        self.jobs, self.usd = self.jobs + count, self.usd + usd
        place = len(self.steps)
        duration_s = self._run_s(kind) * math.ceil(count / self.facts.at_once)
        duration_s += self._of_steps(steps, job.get("inputs"), count, path) if steps else 0.0
        if count > self.facts.at_once:
            self.assumed[f"at most {self.facts.at_once:,} jobs of a step at once"] = None
        if path:
            line = StepEstimate(
                step=path, type=kind, jobs=count, price_usd=_rounded(usd), duration_s=round(duration_s, 1)
            )
            self.steps.insert(place, line)
        return duration_s

    def _of_steps(self, steps: Sequence[Step], inputs: JsonValue, times: int, path: str) -> float:
        """The longest way through the graph."""
        named, ends_s = {step.name: step for step in steps}, dict[str, float]()
        for name in TopologicalSorter({step.name: step.requires for step in steps}).static_order():
            step = named[name]
            begins_s = max((ends_s[need] for need in step.requires), default=0.0) + STEP_S
            inner = f"{path}.{name}" if path else name
            ends_s[name] = begins_s + self.of_jobs(times * self._items(step, inputs, inner), step.job, inner)
        return max(ends_s.values())

    def _items(self, step: Step, inputs: JsonValue, path: str) -> int:
        if step.map is None:
            return 1
        try:
            items = resolve(step.map, Values({}, inputs if isinstance(inputs, dict) else {}))
        except Permanent:  # a result, which nobody knows yet
            items = None
        if isinstance(items, list):
            return len(items)
        self.assumed[f"the list of {path} is known when it runs: taken for {self.facts.items:,} items"] = None
        return self.facts.items

    def _run_s(self, kind: str) -> float:
        known = self.facts.run_s.get(kind)
        assumed = FLOW_RUN_S if kind == "flow" else RUN_S
        how = f"{assumed:g} s a run: none has ended" if known is None else f"{known:.3g} s a run, as half of those took"
        self.assumed[f"{kind}: {how} in the last 24 hours"] = None
        return assumed if known is None else known

    def _spent(self, kind: str, size_bytes: int, rounds: int) -> Spent:
        run_s, beside = self._run_s(kind), size_bytes > ROW_BYTES_MAX
        gb_s = (run_s + INVOCATION_SHARE * OVERHEAD_S) * (1 + rounds) * self.facts.memory_mb(kind) / 1024
        return Spent(
            write_units=JOB_UNITS + ROUND_UNITS * rounds + SIDE_PAYLOAD_UNITS * beside + run_s // BEAT_S,
            read_units=beside * (1 + rounds),
            sqs_requests=WAKEUP_REQUESTS * (1 + rounds),
            s3_puts=not TYPES[kind].policy.inline_result,
            invocations=INVOCATION_SHARE * (1 + rounds),
            gb_s=gb_s,
        )


def _rounded(usd: float) -> float:
    return float(f"{usd:.3g}")
