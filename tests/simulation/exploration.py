"""Every state that the model can reach with a number of faults, each visited once.

Fewer faults first, then fewer steps: the first story to break a promise is the simplest one.
"""

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field

from tests.simulation.model import beginnings, judge, steps
from tests.simulation.states import State, canonical, is_over
from tests.simulation.writes import effect_of, is_unclear

Arrival = tuple[State, tuple[State, str] | None]
"""A state, and the step that leads there."""


@dataclass(slots=True)
class Exploration:
    came_from: dict[State, tuple[State, str] | None] = field(default_factory=dict)
    """The states visited, each with the step that led there first."""
    fair_before: dict[State, list[State]] = field(default_factory=dict)
    """Of each state, those that a fair step leads here from."""
    broken: str = ""
    """The promises that were broken, and the story of it."""

    def story(self, state: State) -> list[str]:
        labels: list[str] = []
        while (before := self.came_from[state]) is not None:
            state, label = before
            labels.append(label)
        return labels[::-1]

    def stranded(self) -> list[State]:
        """The states from which no world, however kind, leads to the end."""
        saved = {state for state in self.came_from if is_over(state)}
        waiting = list(saved)
        while waiting:
            for before in self.fair_before.get(waiting.pop(), ()):
                if before not in saved:
                    saved.add(before)
                    waiting.append(before)
        return [state for state in self.came_from if state not in saved]


def explore(faults: int) -> Exploration:
    """Until every state that takes at most so many faults has been visited, or a promise is broken."""
    effect_of.cache_clear()
    is_unclear.cache_clear()
    found = Exploration()
    frontier: list[Arrival] = [(state, None) for state in beginnings()]
    for left in range(faults, -1, -1):
        frontier = _level(found, frontier, with_faults=left > 0)
    return found


def _level(found: Exploration, frontier: Iterable[Arrival], *, with_faults: bool) -> list[Arrival]:
    """Visit everything that takes no more faults; → what one more fault leads to."""
    beyond: list[Arrival] = []
    waiting: deque[State] = deque()

    def arrive(arrival: Arrival) -> None:
        state, came_from = arrival
        if state not in found.came_from:
            found.came_from[state] = came_from
            waiting.append(state)

    for arrival in frontier:
        arrive(arrival)
    while waiting and not found.broken:
        state = waiting.popleft()
        for step in steps(state):
            if step.fault and not with_faults:
                continue
            if broken := (*step.broken, *judge(step.after)):
                found.broken = "\n  ".join([" and ".join(broken), *found.story(state), step.label])
                break
            after = canonical(step.after)
            if step.fault:
                beyond.append((after, (state, step.label)))
                continue
            arrive((after, (state, step.label)))
            if step.fair:
                found.fair_before.setdefault(after, []).append(state)
    return beyond
