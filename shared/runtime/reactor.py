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
from shared.ports import Outgoing, Ports
from shared.runtime.logs import get_logger
from shared.runtime.quarantine import quarantine


@dataclass(frozen=True, slots=True)
class _Task:
    record: Record
    act: Outgoing | Later


async def react(records: Sequence[Record], ports: Ports, *, stack: str) -> str | None:
    """Carry out what follows from `records`, in batches; → the sequence of the first that must come again, or None."""
    failed = await _quarantine_unreadable(records, ports, stack)
    tasks = _tasks(records, ports.now())
    messages: dict[str, list[_Task]] = {}
    for task in tasks:
        if isinstance(task.act, Outgoing):
            messages.setdefault(task.act.job_type, []).append(task)
    results = await asyncio.gather(
        *(_send(group, ports, stack) for group in messages.values()),
        *(_schedule(task, ports, stack) for task in tasks if isinstance(task.act, Later)),
    )
    failed |= {sequence for result in results for sequence in result}
    return next((record.sequence for record in records if record.sequence in failed), None)


def _tasks(records: Sequence[Record], now: int) -> list[_Task]:
    pairs = ((record, consequence(record.old, record.new)) for record in records if record.problem is None)
    return [_Task(record, routed(dispatch, now)) for record, dispatch in pairs if dispatch is not None]


async def _send(group: Sequence[_Task], ports: Ports, stack: str) -> set[str]:
    """All of one queue; → the sequences of those that were not taken."""
    try:
        missed = await ports.queues.send([task.act for task in group if isinstance(task.act, Outgoing)])
    except WorldFault as fault:
        get_logger().warning("dispatch_failed", records=len(group), reason=str(fault))
        return {task.record.sequence for task in group}
    except LongshoreError as error:
        for task in group:
            await _give_up(task.record, str(error), ports, stack)
        return set()
    get_logger().debug("dispatched", messages=len(group) - len(missed))
    return {group[index].record.sequence for index in missed}


async def _schedule(task: _Task, ports: Ports, stack: str) -> set[str]:
    if not isinstance(task.act, Later):
        return set()
    try:
        await ports.schedules.wake_at(task.act.name, task.act.at, task.act.message)
    except WorldFault as fault:
        get_logger().warning("schedule_failed", name=task.act.name, reason=str(fault))
        return {task.record.sequence}
    except LongshoreError as error:
        await _give_up(task.record, str(error), ports, stack)
    return set()


async def _quarantine_unreadable(records: Sequence[Record], ports: Ports, stack: str) -> set[str]:
    failed: set[str] = set()
    for record in records:
        if record.problem is not None:
            try:
                await _give_up(record, record.problem, ports, stack)
            except WorldFault:
                failed.add(record.sequence)
    return failed


async def _give_up(record: Record, reason: str, ports: Ports, stack: str) -> None:
    await quarantine(ports, stack=stack, source="stream", item_id=record.sequence, body=record.raw, reason=reason)
