"""Flows of up to thirty steps, with lists, conditions and references, whose jobs end as chance has it."""

import json
from dataclasses import dataclass, field, replace

from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import JsonValue

from shared.flow import Counts, End, Plan, Seen, Start, StepState, plan, ready
from shared.flow_view import progress_of
from shared.payloads import read_payload
from shared.payloads.flow import FlowPayload, Step
from shared.status import Status
from tests.unit.flow.building import Document, flow, job

OVER = {StepState.SUCCESS, StepState.PARTIAL_SUCCESS, StepState.FAILED, StepState.SKIPPED, StepState.BLOCKED}

WELL = (StepState.SUCCESS, StepState.PARTIAL_SUCCESS)


RESULTS: st.SearchStrategy[JsonValue] = st.fixed_dictionaries(
    {"flag": st.booleans(), "rows": st.lists(st.fixed_dictionaries({"id": st.integers()}), max_size=3)}
)

LISTS: tuple[JsonValue, ...] = (None, None, None, [], [{"id": 1}], [{"id": 1}, {"id": 2}, {"id": 3}])


@st.composite
def steps(draw: st.DrawFn, name: str, earlier: dict[str, bool], policies: str) -> Document:
    """One step that may need, map over, refer to or depend on any of those before it (step → is it mapped?)."""
    rarely = st.integers(0, 15).map(lambda dice: dice == 15)
    one = st.sampled_from([None, None, *earlier])
    needs: list[JsonValue] = [need for need in draw(st.sets(one, max_size=2)) if need]
    made: Document = {"name": name, "needs": sorted(needs, key=str), "map": draw(st.sampled_from(LISTS))}
    parameters: Document = {}
    if draw(rarely) and earlier:
        parameters["wrong"] = {"$from": next(iter(earlier)), "path": "gone.x"}
    if source := draw(one):
        parameters["x"] = {"$from": source, "path": "" if earlier[source] else "flag"}
    if listed := draw(st.none() | one):
        made["map"] = {"$from": listed, "path": "" if earlier[listed] else "rows"}
    if made["map"] is not None:
        parameters["y"] = {"$item": "id" if draw(rarely) else ""}
    if source := draw(one):
        verb = draw(st.sampled_from(["equals", "not_equals"]))
        made["when"] = {"$from": source, "path": "flag", "is": verb, "value": True}
    return {**made, "job": job(**parameters), "on_failure": draw(st.sampled_from(policies.split()))}


@st.composite
def flows(draw: st.DrawFn) -> FlowPayload:
    policies = draw(st.sampled_from(["continue ignore", "continue ignore fail"]))
    made: dict[str, Document] = {}
    for number in range(draw(st.integers(1, 30))):
        earlier = {name: one["map"] is not None for name, one in made.items()}
        made[f"s{number}"] = draw(steps(f"s{number}", earlier, policies))
    return flow(*draw(st.permutations([*made.values()])))


@dataclass
class World:
    """What the jobs do. `begun`: step → its jobs' documents; `ends`: step → how each of its jobs is."""

    flow: FlowPayload
    data: st.DataObject
    begun: dict[str, list[Document]] = field(default_factory=dict)
    ends: dict[str, list[StepState]] = field(default_factory=dict)
    returned: dict[str, list[JsonValue]] = field(default_factory=dict)
    planned: dict[str, list[Document]] = field(default_factory=dict)

    def begin(self, start: Start) -> None:
        """Unless the process dies just before: then it is planned again, the same."""
        name, documents = start.step.name, [document for _, document in start.documents()]
        assert name not in self.begun
        assert self.planned.setdefault(name, documents) == documents
        if self.data.draw(st.integers(0, 5)) < 5:
            self.begun[name] = documents
            self.ends[name] = [StepState.RUNNING] * start.total
            self.returned[name] = [None] * start.total

    def end_one(self) -> None:
        alive = [(name, n) for name, ends in self.ends.items() for n, end in enumerate(ends) if end not in OVER]
        name, number = self.data.draw(st.sampled_from(alive))
        self.ends[name][number] = end = self.data.draw(st.sampled_from([*WELL, StepState.FAILED]))
        self.returned[name][number] = self.data.draw(RESULTS) if end in WELL else None

    def seen(self) -> dict[str, Seen]:
        return {name: self._seen(ends) for name, ends in self.ends.items()}

    def _seen(self, ends: list[StepState]) -> Seen:
        counts = Counts(len(ends), *(ends.count(end) for end in (*WELL, StepState.FAILED)))
        state = StepState.RUNNING
        if counts.over == counts.total:
            state = ends[0] if len({*ends}) == 1 else StepState.PARTIAL_SUCCESS
        return Seen(state, StepState.FAILED in ends, counts)

    def result(self, name: str) -> JsonValue:
        mapped = next(step.map for step in self.flow.steps if step.name == name) is not None
        return list(self.returned[name]) if mapped else self.returned[name][0]


def plan_of(world: World) -> Plan:
    """With all results that it asks for; and the same however often it is asked, and if what it said is repeated."""
    seen, results = world.seen(), dict[str, JsonValue]()
    while lacking := ready(world.flow, seen, results):
        assert lacking <= seen.keys() - results.keys()
        results |= {name: world.result(name) for name in lacking}
    found = plan(world.flow, seen, results)
    assert plan(world.flow, dict(reversed(seen.items())), results).states == found.states
    decided = {name: one for name, one in found.states.items() if one.state in OVER}
    again = plan(world.flow, decided | seen, results)
    assert (again.states, again.end) == (found.states, found.end)
    return found


def check_starts(found: Plan, steps: dict[str, Step]) -> None:
    for start in found.start:
        for need in start.step.requires:
            state = found.states[need].state
            forgiven = state is StepState.FAILED and steps[need].on_failure == "ignore"
            assert state in (*WELL, StepState.SKIPPED) or forgiven
        for _, document in start.documents():
            assert '"$' not in json.dumps(document)
            read_payload(json.dumps(document))


def check_end(end: End, found: Plan, steps: dict[str, Step]) -> None:
    states = {name: found.states[name].state for name, one in steps.items() if one.on_failure != "ignore"}
    failed = {name for name, state in states.items() if state is StepState.FAILED}
    assert {*end.failed} == failed
    if any(steps[name].on_failure == "fail" for name in failed):
        assert end.outcome is Status.FAILED
        return
    assert all(seen.state in OVER for seen in found.states.values())
    some_well, all_whole = {*states.values()} & {*WELL}, {*states.values()} <= {StepState.SUCCESS, StepState.SKIPPED}
    wanted = Status.SUCCESS if all_whole else Status.PARTIAL_SUCCESS if some_well else Status.FAILED
    assert end.outcome is wanted


def check_kept(before: Plan, found: Plan) -> None:
    """What is over stays so; a failure's counts may go on."""
    for name, seen in before.states.items():
        if seen.state in OVER:
            assert replace(found.states[name], counts=None, hurt=False) == replace(seen, counts=None, hurt=False)
    if found.end is None:
        assert progress_of(before.states.values()) <= progress_of(found.states.values()) < 100


@settings(max_examples=100, deadline=None, derandomize=True, database=None)
@given(flows(), st.data())
def test_a_flow_ends_as_it_should_whatever_its_jobs_do(made: FlowPayload, data: st.DataObject) -> None:
    world, by_name = World(made, data), {one.name: one for one in made.steps}
    before = None
    while True:
        found = plan_of(world)
        if before:
            check_kept(before, found)
        check_starts(found, by_name)
        fatal = any(seen.hurt and by_name[name].on_failure == "fail" for name, seen in world.seen().items())
        assert not fatal or (found.end and not found.start)
        if found.end:
            break
        before = found
        for start in found.start:
            world.begin(start)
        running = [name for name, seen in world.seen().items() if seen.state is StepState.RUNNING]
        assert found.start or running, "a flow that nobody would ever wake"
        if running:
            world.end_one()
    check_end(found.end, found, by_name)
