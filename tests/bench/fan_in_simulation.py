"""A fan-in carried to a million children, step by step, against AWS's limits: which of them is used up most often?

Rules of this file:
1. What is told to whom is the product's own arithmetic: `places`, `end_of_node`, one union for all ends of a node in a
   batch. The world around it is played: shards, tables, partitions, workers.
2. The units of the jobs' table are a budget that planner and workers share. Those of the side table and of each node's
   partition are counted as they are asked for, and compared with what AWS gives: no burst capacity.
3. Children are made in a shuffled order, the dearest there is: ends of one node seldom come together. One record in a
   hundred comes twice.

Sources of the limits: `fan_in_limits.py`.
"""

import random
from collections import Counter, deque
from dataclasses import dataclass, field
from typing import Final

from shared.fan_in import RADIX, End, end_of_node, places
from tests.bench.fan_in_limits import PARTITION_UNITS_PER_S, PLANNER_AT_ONCE, STREAM_BATCH, TABLE_UNITS_PER_S, WRITE_S

STEP_S: Final = 0.25
"""Also what one batch of the stream is assumed to take."""
SHARDS: Final = 4
GROUP_MAX: Final = 100_000
JOBS_PER_STEP: Final = 25_000
"""1,000 invocations at a time, ten jobs in each, a tenth of a second: assumed."""
REPEATED: Final = 0.01


@dataclass(slots=True)
class Simulated:
    """`used_up`: limit → in how many steps somebody had to wait for it. `demand_max`: units that a partition was asked
    for in one second, at most. `ends`: group → how it ended."""

    children: int
    steps: int = 0
    units: int = 0
    used_up: Counter[str] = field(default_factory=Counter)
    demand_max: int = 0
    nodes: dict[tuple[int, int, int], dict[str, set[int]]] = field(default_factory=dict)
    ends: dict[int, list[End]] = field(default_factory=dict)

    @property
    def binds(self) -> str:
        return self.used_up.most_common(1)[0][0]


def simulate(children: int, *, seed: int = 1) -> Simulated:
    """→ what came of it when every group had ended."""
    dice, sim = random.Random(seed), Simulated(children)
    to_make = list(range(children))
    dice.shuffle(to_make)
    shards: list[deque[int]] = [deque() for _ in range(SHARDS)]  # child * 2, and 1 more if it is its end
    ready: deque[int] = deque()
    groups = -(-children // GROUP_MAX)
    while len(sim.ends) < groups:
        sim.steps += 1
        left = int(TABLE_UNITS_PER_S * STEP_S)
        made = min(len(to_make), int(PLANNER_AT_ONCE / WRITE_S * STEP_S), left)
        if made < len(to_make):
            sim.used_up["the planner, one run at a time"] += 1
        for child in (to_make.pop() for _ in range(made)):
            shards[child % SHARDS].append(child * 2)
        left -= made
        run = min(len(ready), JOBS_PER_STEP, left // 2)
        if run < len(ready):
            sim.used_up["write units of the jobs' table"] += 1
        for child in (ready.popleft() for _ in range(run)):
            shards[child % SHARDS].extend([child * 2 + 1] * (2 if dice.random() < REPEATED else 1))
        sim.units += made + 2 * run
        _react(sim, shards, ready)
    return sim


def _react(sim: Simulated, shards: list[deque[int]], ready: deque[int]) -> None:
    """One batch of each shard."""
    left, asked = int(TABLE_UNITS_PER_S * STEP_S), Counter[tuple[int, int, int]]()
    for shard in shards:
        batch = [shard.popleft() for _ in range(min(STREAM_BATCH, len(shard)))]
        if shard:
            sim.used_up["the stream's shards"] += 1
        ready.extend(record // 2 for record in batch if record % 2 == 0)
        by_node: dict[tuple[int, int], list[int]] = {}
        for child in (record // 2 for record in batch if record % 2):
            by_node.setdefault((child // GROUP_MAX, child % GROUP_MAX // RADIX), []).append(child)
        for together in by_node.values():
            units = _tell(sim, together, asked)
            sim.units += units
            left -= units
        if left < 0:
            sim.used_up["write units of the side table"] += 1
    if asked:
        sim.demand_max = max(sim.demand_max, round(asked.most_common(1)[0][1] / STEP_S))
    if asked and asked.most_common(1)[0][1] > PARTITION_UNITS_PER_S * STEP_S:
        sim.used_up["a node's partition"] += 1


def _tell(sim: Simulated, together: list[int], asked: "Counter[tuple[int, int, int]]") -> int:
    """Ends of one node, up to the inbox if it was the last one; → write units."""
    group, first = divmod(together[0], GROUP_MAX)
    total = min(GROUP_MAX, sim.children - group * GROUP_MAX)
    end, units = None, 0
    for place in places(first, total):
        key = (group, place.level, place.node)
        told = {child % GROUP_MAX % RADIX for child in together} if end is None else {place.member}
        node = sim.nodes.setdefault(key, {})
        node.setdefault(end or End.OK, set()).update(told)
        asked[key] += 1
        units += 1
        end = end_of_node({name: frozenset(members) for name, members in node.items()}, place.size)
        if end is None:
            return units
    if end is not None:
        sim.ends.setdefault(group, []).append(end)
    return units + 1


def carried() -> list[dict[str, object]]:
    """Fan-ins of a thousand to a million children, in groups of 100,000, at AWS limits: what is used up most often."""
    rows = [simulate(children) for children in (1_000, 10_000, 100_000, 1_000_000)]
    return [
        {
            "children": f"{row.children:,}",
            "binds": row.binds,
            "in % of steps": round(100 * min(row.used_up[row.binds], row.steps) / row.steps),
            "simulated s": row.steps * STEP_S,
            "units per child": round(row.units / row.children, 3),
            "largest demand on a partition /s": row.demand_max,
        }
        for row in rows
    ]
