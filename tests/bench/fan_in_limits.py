"""How long a flow of N children takes at AWS's own limits, and which of them binds first. Pure arithmetic.

Rules of this file:
1. Every resource is a rate that AWS documents; a child's share of it is what the wire counts. What is busy for longest
   binds.
2. Children spread evenly over partitions, as hashed keys do; a fan-in node is a partition of its own.

Sources: docs.aws.amazon.com/amazondynamodb/latest/developerguide/bp-partition-key-design.html (1,000 write units a
second of one partition), …/HowItWorks.ReadWriteCapacityMode.html (an on-demand table starts at 4,000 and doubles within
30 minutes; 40,000 is the default quota), docs.aws.amazon.com/lambda/latest/dg/with-ddb.html (one invocation per shard
at a time), docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/quotas-messages.html (120,000 in flight).
"""

import math
from dataclasses import dataclass
from typing import Final

from shared.fan_in import RADIX, places

TABLE_UNITS_PER_S: Final = 4_000.0
"""Of an on-demand table that nobody has warmed; the jobs' table and the side table have as much each."""
PARTITION_UNITS_PER_S: Final = 1_000.0
STREAM_BATCH: Final = 100
REACTOR_S: Final = 0.25
"""Of one batch of the stream: a send for each ten, the unions side by side. Assumed."""
SHARDS_MIN: Final = 4
"""Of a new on-demand table: one partition for each 1,000 write units."""
PLANNER_AT_ONCE: Final = 25
WRITE_S: Final = 0.01
"""Until a write is answered. Assumed, as are a job's seconds."""
JOB_S: Final = 0.1
CONCURRENCY: Final = 1_000
"""Invocations at a time, of an account by default; ten jobs in each."""
BATCH: Final = 10


@dataclass(frozen=True, slots=True)
class Fanned:
    """`seconds`: resource → how long it is busy. `unions_max`: of the busiest node."""

    children: int
    seconds: dict[str, float]
    units_per_child: float
    nodes: int
    unions_max: int

    @property
    def binds(self) -> str:
        return max(self.seconds, key=lambda name: self.seconds[name])


def fanned(children: int) -> Fanned:
    """All ends told one by one: the dearest that a fan-in can be."""
    ways = (list(places(first, children)) for first in range(0, children, RADIX))
    unions = {(place.level, place.node): place.size for way in ways for place in way}
    side_units, records = sum(unions.values()) + 1, 3 * children
    jobs_units = 3 * children
    seconds = {
        "the planner's writes, one run at a time": children / PLANNER_AT_ONCE * WRITE_S,
        "write units of the jobs' table": jobs_units / TABLE_UNITS_PER_S,
        "write units of the side table": side_units / TABLE_UNITS_PER_S,
        "the busiest node's partition": max(unions.values(), default=1) / PARTITION_UNITS_PER_S,
        "the stream's shards": math.ceil(records / STREAM_BATCH) * REACTOR_S / SHARDS_MIN,
        "the workers": math.ceil(children / BATCH) * JOB_S / CONCURRENCY,
    }
    most = max(unions.values(), default=0)
    return Fanned(children, seconds, (jobs_units + side_units) / children, len(unions), most)


def limits() -> list[dict[str, object]]:
    """Seconds that each resource is busy at AWS's limits with a flow of so many children; the longest binds."""
    rows = [fanned(children) for children in (1_000, 10_000, 100_000, 1_000_000)]
    return [
        {"children": f"{row.children:,}", "binds first": row.binds, "after s": row.seconds[row.binds]}
        | {"units per child": row.units_per_child, "nodes": row.nodes, "unions of the busiest": row.unions_max}
        for row in rows
    ]
