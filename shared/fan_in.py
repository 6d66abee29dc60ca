"""Fan-in that cannot be fooled: the ends of children as sets that only grow. Pure.

    child ──▶ node of 200 children ──▶ node of 200 nodes ──▶ … ──▶ the parent's inbox

- Each node is an item of three sets of numbers: `ok`, `partly`, `bad`. An end is recorded by set union, so that telling
  it twice, late or out of order changes nothing, and no counter can be wrong.
- A node that holds all its members is over, and is itself a member of the node above; the last one's of the inbox,
  by the number of its group. The inbox has a fourth set, `hurt`: groups of which a child failed that must fail fast.
- An only child's end goes straight to the inbox.
- Level-triggered: whoever adds to the inbox looks at the parent after that, and whoever sees the parent WAITING looks
  into the inbox after that. One of the two sees both.

A child costs one union; each 200 of them one more. No node gets more than 200 members, and each is a partition of its
own: https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/bp-partition-key-design.html
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from shared.children import Link, awaited
from shared.job import Job
from shared.status import Status

RADIX: Final = 200
"""Members of a node: a set of so many numbers fits into one write unit."""


class End(StrEnum):
    """How a child, or all of a node, ended; the name of the set that it is a member of."""

    OK = "ok"
    PARTLY = "partly"
    BAD = "bad"


HURT: Final = "hurt"

END_OF: Final[Mapping[Status, End]] = {
    Status.SUCCESS: End.OK,
    Status.PARTIAL_SUCCESS: End.PARTLY,
    Status.FAILED: End.BAD,
    Status.CANCELLED: End.BAD,
}

Sets = Mapping[str, frozenset[int]]
"""A node as it is: the name of each set → its members."""


@dataclass(frozen=True, slots=True)
class Place:
    """One stop on the way up: `member` of `node` at `level`, which has `size` members when it is over."""

    level: int
    node: int
    member: int
    size: int


def places(index: int, total: int) -> Iterator[Place]:
    """The stops of the `index`-th of `total` children, from the bottom; none for an only child."""
    level, member, width = 0, index, total
    while width > 1:
        node = member // RADIX
        yield Place(level, node, member % RADIX, min(RADIX, width - node * RADIX))
        level, member, width = level + 1, node, -(-width // RADIX)


def leaves(total: int) -> range:
    """Numbers of the nodes at the bottom."""
    return range(-(-total // RADIX) if total > 1 else 0)


def end_of_node(sets: Sets, size: int) -> End | None:
    """How all of a node ended; None while a member is missing."""
    if len(members(sets)) < size:
        return None
    found = {end for end in End if sets.get(end)}
    return next(iter(found)) if len(found) == 1 else End.PARTLY


def members(sets: Sets) -> frozenset[int]:
    return frozenset().union(*(sets.get(end, frozenset()) for end in End))


def end_of_group(inbox: Sets, group: int) -> End | None:
    """The worst that was told of it: a group may be hurt long before it is over."""
    return next((end for end in reversed(End) if group in inbox.get(end, frozenset())), None)


def is_hurt(inbox: Sets, group: int) -> bool:
    return group in inbox.get(HURT, frozenset())


def is_to_be_woken(parent: Job, inbox: Sets) -> bool:
    """The one predicate: it waits, and something that it waits for has happened."""
    if parent.status is not Status.WAITING:
        return False
    return any(end_of_group(inbox, group) or is_hurt(inbox, group) for group in awaited(parent))


def inbox_key(tenant_id: str, parent_id: str) -> tuple[str, str]:
    return f"children#{tenant_id}#{parent_id}", "inbox"


def node_key(tenant_id: str, parent_id: str, group: int, place: Place) -> tuple[str, str]:
    return leaf_key(tenant_id, parent_id, group, place.node, place.level)


def leaf_key(tenant_id: str, parent_id: str, group: int, node: int, level: int = 0) -> tuple[str, str]:
    return f"children#{tenant_id}#{parent_id}#{group}#{level}#{node}", "ends"


def tells_at_once(link: Link, end: End) -> bool:
    """Is this end to be told to the parent before the rest of the group is over?"""
    return end is End.BAD and link.fails_fast and link.total > 1
