"""Telling parents of their children's ends, and waking them: `shared/fan_in.py` carried out.

Two calls for most children (one if they come together): the union into their node, and nothing else. The one that
completes a node goes on upwards; the one that reaches the inbox reads the parent, and wakes it.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from shared.children import Group, awaited, groups_of
from shared.consequences import Report
from shared.fan_in import (
    HURT,
    End,
    Place,
    Sets,
    end_of_node,
    inbox_key,
    is_to_be_woken,
    leaf_key,
    leaves,
    node_key,
    places,
    tells_at_once,
)
from shared.flow import Counts
from shared.job import Job
from shared.limits import LIST_MAX
from shared.moves import RETENTION_MS, wake
from shared.ports import Ports

WHO: Final = "reactor"


def together(reports: Iterable[Report]) -> Mapping[tuple[str, str, int, int], list[Report]]:
    """Reports that one union tells: those of the same node."""
    found: dict[tuple[str, str, int, int], list[Report]] = {}
    for report in reports:
        link = report.link
        first = next(places(link.index, link.total), None)
        key = (report.tenant_id, link.parent_id, link.group, -1 if first is None else first.node)
        found.setdefault(key, []).append(report)
    return found


async def tell(ports: Ports, reports: list[Report]) -> None:
    """Of ends that belong together: at least one, all of the same node."""
    tenant_id, link = reports[0].tenant_id, reports[0].link
    news: dict[str, set[int]] = {}
    if any(tells_at_once(report.link, report.end) for report in reports):
        news[HURT] = {link.group}
    end = await _up(ports, reports)
    if end is not None:
        news[end] = {link.group}
    if news:
        inbox = await ports.side.unite(*inbox_key(tenant_id, link.parent_id), news, expires_at=_expiry(ports))
        await wake_if_due(ports, await ports.jobs.get(tenant_id, link.parent_id), inbox)


async def look(ports: Ports, parent: Job) -> bool:
    """Wake a job that waits, if what it waits for has happened. → has it been woken?"""
    (inbox,) = await ports.side.united([inbox_key(parent.tenant_id, parent.job_id)])
    return await wake_if_due(ports, parent, inbox)


async def wake_if_due(ports: Ports, parent: Job | None, inbox: Sets) -> bool:
    """A parent that moved on meanwhile refuses: whoever moved it has looked, or will."""
    if parent is None or not is_to_be_woken(parent, inbox):
        return False
    await ports.jobs.apply(wake(parent, ports.now(), token=ports.token(), who=WHO))
    return True


async def _up(ports: Ports, reports: list[Report]) -> End | None:
    """Record the ends; → how the whole group ended, if it is over."""
    tenant_id, link = reports[0].tenant_id, reports[0].link
    if link.total == 1:
        return reports[0].end
    sets: dict[str, set[int]] = {}
    for report in reports:
        sets.setdefault(report.end, set()).add(_first(report).member)
    end: End | None = None
    for place in places(link.index, link.total):
        told: dict[str, set[int]] = sets if end is None else {end: {place.member}}
        key = node_key(tenant_id, link.parent_id, link.group, place)
        node = await ports.side.unite(*key, told, expires_at=_expiry(ports))
        end = end_of_node(node, place.size)
        if end is None:
            return None
    return end


def _first(report: Report) -> Place:
    return next(places(report.link.index, report.link.total))


def _expiry(ports: Ports) -> int:
    return (ports.now() + 2 * RETENTION_MS) // 1000


# --- for people -------------------------------------------------------------------------------------------------------


async def left_of(ports: Ports, parent: Job) -> Sequence[tuple[Group, Counts]]:
    """What a job waits for that is not over."""
    waited = set(awaited(parent))
    groups = [group for group in groups_of(parent) if group.number in waited]
    (inbox,) = await ports.side.united([inbox_key(parent.tenant_id, parent.job_id)])
    counted = [(group, counts_of(group, await ends_in(ports, parent, inbox, group))) for group in groups]
    return [(group, counts) for group, counts in counted if counts.over < counts.total]


async def ends_in(ports: Ports, parent: Job, inbox: Sets, group: Group) -> Sequence[Sets]:
    """What a group's children have told, each 200 of them in a node: one read for each node."""
    if group.total == 1:
        return [{end: frozenset({0}) for end in End if group.number in inbox.get(end, ())}]
    keys = [leaf_key(parent.tenant_id, parent.job_id, group.number, node) for node in leaves(group.total)]
    batches = [keys[first : first + LIST_MAX] for first in range(0, len(keys), LIST_MAX)]
    return [sets for batch in batches for sets in await ports.side.united(batch)]


def counts_of(group: Group, ends: Sequence[Sets]) -> Counts:
    """A child that ended twice, since it was run again by hand, is counted by the better of its ends."""
    told = [[sets.get(end, frozenset()) for end in (End.OK, End.PARTLY, End.BAD)] for sets in ends]
    ok, partly = sum(len(ok) for ok, _, _ in told), sum(len(partly - ok) for ok, partly, _ in told)
    return Counts(group.total, ok, partly, sum(len(bad - ok - partly) for ok, partly, bad in told))
