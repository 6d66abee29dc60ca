"""The reactor: carries out what follows from each write, from the table's stream, at least once, idempotently.

- The world's faults (throttle, time-out, denied) block the shard: the first record that could not be carried out is
  named, and the stream brings it and all after it again, for 23 hours. Sending a wake-up twice is harmless.
- A record's own faults (it can't be read, its queue does not exist) do not: it is quarantined, the stream goes on.
- Workers send nothing: only this sends wake-ups.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from shared.consequences import Later, Record, consequence, routed
from shared.errors import LongshoreError, WorldFault
from shared.payloads import TYPES
from shared.ports import Outgoing, Ports
from shared.runtime.logs import get_logger
from shared.runtime.quarantine import quarantine


@dataclass(frozen=True, slots=True)
class _Task:
    """`act` as a text says why nothing can be done."""

    record: Record
    act: Outgoing | Later | str


async def react(records: Sequence[Record], ports: Ports, *, stack: str) -> str | None:
    """Carry out what follows from `records`, in batches; → the sequence of the first that must come again, or None."""
    tasks = _tasks(records, ports.now())
    queues: dict[str, list[_Task]] = {}
    for task in tasks:
        if isinstance(task.act, Outgoing):
            queues.setdefault(task.act.job_type, []).append(task)
    results = await asyncio.gather(
        *(_send(group, ports, stack) for group in queues.values()),
        *(_schedule(task, task.act, ports, stack) for task in tasks if isinstance(task.act, Later)),
        *(_give_up([task.record], task.act, ports, stack) for task in tasks if isinstance(task.act, str)),
    )
    failed = {sequence for result in results for sequence in result}
    return next((record.sequence for record in records if record.sequence in failed), None)


def _tasks(records: Sequence[Record], now: int) -> list[_Task]:
    acts = ((record, act_of(record, now)) for record in records)
    return [_Task(record, act) for record, act in acts if act is not None]


def act_of(record: Record, now: int) -> Outgoing | Later | str | None:
    """What to do for one record; a text says why it can't be done, ever."""
    if record.problem is not None:
        return record.problem
    dispatch = consequence(record.old, record.new)
    if dispatch is None:
        return None
    if dispatch.type not in TYPES:  # not left to SQS to say: a queue that a role may not see is "denied", for ever
        return f"there is no job type {dispatch.type!r}"
    return routed(dispatch, now)


async def _send(group: Sequence[_Task], ports: Ports, stack: str) -> set[str]:
    """All of one queue; → the sequences of those that were not taken."""
    try:
        missed = await ports.queues.send([task.act for task in group if isinstance(task.act, Outgoing)])
    except WorldFault as fault:
        get_logger().warning("dispatch_failed", records=len(group), reason=str(fault))
        return {task.record.sequence for task in group}
    except LongshoreError as error:
        return await _give_up([task.record for task in group], str(error), ports, stack)
    get_logger().debug("dispatched", messages=len(group) - len(missed))
    return {group[index].record.sequence for index in missed}


async def _schedule(task: _Task, later: Later, ports: Ports, stack: str) -> set[str]:
    try:
        await ports.schedules.wake_at(later.name, later.at, later.message)
    except WorldFault as fault:
        get_logger().warning("schedule_failed", name=later.name, reason=str(fault))
        return {task.record.sequence}
    except LongshoreError as error:
        return await _give_up([task.record], str(error), ports, stack)
    return set()


async def _give_up(records: Sequence[Record], reason: str, ports: Ports, stack: str) -> set[str]:
    """Quarantine; → the sequences of those that could not even be kept."""
    for place, record in enumerate(records):
        try:
            await quarantine(
                ports,
                stack=stack,
                source="stream",
                item_id=record.sequence,
                body=record.raw or repr(record.new),
                reason=reason,
            )
        except WorldFault as fault:
            get_logger().warning("quarantine_failed", sequence=record.sequence, reason=str(fault))
            return {left.sequence for left in records[place:]}
    return set()
