"""Every flow of up to four steps, through everything that can happen to it, against rules written another way.

A step may be skipped by what the first step that it needs returned. The facts of a step: "-" not begun, "R" running,
"H" running with a failed job, and how it ended: "S", "P" (partly), "Q" (partly, with a failed job), "F".
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import combinations, permutations, product

import pytest
from pydantic import JsonValue

from shared.flow import Plan, Seen, StepState, plan
from shared.payloads.flow import Condition, FlowPayload, Step
from shared.status import Status

Edges = frozenset[tuple[int, int]]
"""(a step, one that needs it)"""

SEEN = {
    "R": Seen(StepState.RUNNING),
    "H": Seen(StepState.RUNNING, hurt=True),
    "S": Seen(StepState.SUCCESS),
    "P": Seen(StepState.PARTIAL_SUCCESS),
    "Q": Seen(StepState.PARTIAL_SUCCESS, hurt=True),
    "F": Seen(StepState.FAILED),
}

POLICIES = ("fail", "continue", "ignore")


def graphs(size: int) -> list[Edges]:
    """All without circles, one of each shape."""
    pairs = [*combinations(range(size), 2)]
    found: dict[Edges, Edges] = {}
    for chosen in product((False, True), repeat=len(pairs)):
        edges = frozenset(pair for pair, is_in in zip(pairs, chosen, strict=True) if is_in)
        shapes = (frozenset((order[a], order[b]) for a, b in edges) for order in permutations(range(size)))
        found.setdefault(min(shapes, key=sorted), edges)
    return [*found.values()]


@dataclass(frozen=True)
class Case:
    """`skipped`: the steps whose condition will not hold."""

    size: int
    edges: Edges
    policies: tuple[str, ...]
    skipped: frozenset[int]

    def needs(self, step: int) -> list[int]:
        return sorted(before for before, after in self.edges if after == step)

    def flow(self) -> FlowPayload:
        """Written backwards: the order of steps means nothing."""
        return FlowPayload(steps=tuple(self._step(number) for number in reversed(range(self.size))))

    def _step(self, number: int) -> Step:
        needs = [f"s{need}" for need in self.needs(number)]
        runs = [Condition(step=first, path=f"s{number}", verb="not_equals", value=False) for first in needs[:1]]
        return Step(
            name=f"s{number}",
            job={"type": "generic", "operation": "echo"},
            needs=tuple(needs[1:]),
            when=tuple(runs),
            on_failure=self.policies[number],  # type: ignore[arg-type]  # one of POLICIES
        )

    def results(self) -> dict[str, JsonValue]:
        verdicts: JsonValue = {f"s{number}": number not in self.skipped for number in range(self.size)}
        return {f"s{number}": verdicts for number in range(self.size)}


def cases(size: int, edges: Edges, *, skips: bool) -> Iterator[Case]:
    after = sorted({step for _, step in edges})
    sets = [frozenset(some) for length in range(len(after) + 1) for some in combinations(after, length)]
    for policies in product(POLICIES, repeat=size):
        for skipped in sets if skips else sets[:1]:
            yield Case(size, edges, policies, skipped)


def descendants(edges: Edges, some: set[int]) -> set[int]:
    reached = {after for before, after in edges if before in some}
    return reached | descendants(edges, reached) if reached else set()


def expected(case: Case, facts: str) -> tuple[dict[int, str], Status | None]:
    """step → its state's letter, "+" if it is to be begun, "~" skipped, "x" blocked; and the end."""
    steps = {*range(case.size)}
    unseen = {step for step in steps if facts[step] == "-"}
    fatal = {step for step in steps if facts[step] in "FHQ" and case.policies[step] == "fail"}
    failed = {step for step in steps if facts[step] == "F"} | fatal
    blocked = descendants(case.edges, {step for step in failed if case.policies[step] != "ignore"}) & unseen
    over = {step for step in steps if facts[step] in "SPQF"} | failed
    skipped: set[int] = set()
    while more := {step for step in unseen - blocked - skipped if is_skipped(case, facts, step, over, skipped)}:
        skipped |= more
    begun = {step for step in unseen - blocked - skipped if {*case.needs(step)} <= over | skipped}
    letters = {step: "F" if step in fatal else facts[step].replace("Q", "P") for step in steps}
    letters |= dict.fromkeys(blocked, "x") | dict.fromkeys(skipped, "~")
    if fatal:
        return letters, Status.FAILED
    if begun or "R" in letters.values() or "H" in letters.values() or "-" in letters.values():
        return letters | dict.fromkeys(begun, "+"), None
    count = dict.fromkeys("SPF~x", 0)
    for step in steps:
        count[letters[step]] += case.policies[step] != "ignore"
    if not count["F"]:
        return letters, Status.PARTIAL_SUCCESS if count["P"] else Status.SUCCESS
    return letters, Status.PARTIAL_SUCCESS if count["S"] + count["P"] else Status.FAILED


def is_skipped(case: Case, facts: str, step: int, over: set[int], skipped: set[int]) -> bool:
    needs = case.needs(step)
    if not needs or not {*needs} <= over | skipped:
        return False
    return {*needs} <= skipped or (step in case.skipped and facts[needs[0]] in "SPQ")


LETTERS = {
    StepState.PENDING: "-",
    StepState.RUNNING: "R",
    StepState.SUCCESS: "S",
    StepState.PARTIAL_SUCCESS: "P",
    StepState.FAILED: "F",
    StepState.SKIPPED: "~",
    StepState.BLOCKED: "x",
}


def letters_of(case: Case, facts: str, found: Plan) -> dict[int, str]:
    started = {start.step.name for start in found.start}
    letters = {step: LETTERS[found.states[f"s{step}"].state] for step in range(case.size)}
    for step, letter in letters.items():
        if letter == "R":
            letters[step] = "+" if f"s{step}" in started else facts[step]
    assert started == {f"s{step}" for step, letter in letters.items() if letter == "+"}
    return letters


def next_facts(facts: str, letters: Mapping[int, str], ends: str, *, one_by_one: bool) -> Iterator[str]:
    begun = [step for step, letter in letters.items() if letter == "+"]
    if begun and not one_by_one:
        yield "".join("R" if step in begun else fact for step, fact in enumerate(facts))
        return
    for step in begun:
        yield facts[:step] + "R" + facts[step + 1 :]
    for step, fact in enumerate(facts):
        if fact in "RH":
            yield from (facts[:step] + end + facts[step + 1 :] for end in ("QF" if fact == "H" else ends))


def walk(case: Case, ends: str, *, one_by_one: bool) -> int:
    """Through all facts that can be, by every way; → how many there are."""
    flow, results = case.flow(), case.results()
    known: dict[str, dict[int, str]] = {}
    waiting = [("-" * case.size, dict[int, str]())]
    while waiting:
        facts, before = waiting.pop()
        if facts not in known:
            found = plan(flow, {f"s{n}": SEEN[fact] for n, fact in enumerate(facts) if fact != "-"}, results)
            known[facts] = letters = letters_of(case, facts, found)
            assert (letters, found.end and found.end.outcome) == expected(case, facts), (case, facts)
            waiting += [(later, letters) for later in next_facts(facts, letters, ends, one_by_one=one_by_one)]
        after = known[facts]
        assert all(after[step] == letter for step, letter in before.items() if letter in "SPF~x"), (case, facts)
    return len(known)


@pytest.mark.parametrize("size", [1, 2, 3])
def test_up_to_three_steps_go_as_the_rules_say_in_whatever_order_they_are_begun_and_end(size: int) -> None:
    walked = [walk(case, "HSPF", one_by_one=True) for g in graphs(size) for case in cases(size, g, skips=True)]
    assert sum(walked) == {1: 21, 2: 747, 3: 34_605}[size]


@pytest.mark.parametrize("edges", graphs(4), ids=lambda edges: " ".join(f"{a}{b}" for a, b in sorted(edges)) or "none")
def test_four_steps_go_as_the_rules_say(edges: Edges) -> None:
    assert all(walk(case, "SF", one_by_one=False) >= 4 for case in cases(4, edges, skips=True))
