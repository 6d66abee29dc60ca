"""The reactor: carries out what follows from each write, from the table's stream, at least once, idempotently.

- The world's faults (throttle, time-out, denied) block the shard: the first record that could not be carried out is
  named, and the stream brings it and all after it again, for 23 hours. Sending a wake-up twice is harmless.
- A record's own faults (it can't be read, its queue does not exist) do not: it is quarantined, the stream goes on.
- Workers send nothing: only this sends wake-ups.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

from shared.consequences import Act, CleanUp, Dispatch, Later, Look, Prune, Record, Report, Vacate, consequences, routed
from shared.errors import LongshoreError, WorldFault
from shared.payloads import TYPES
from shared.ports import Outgoing, Ports
from shared.runtime.fan_in import look, tell, together
from shared.runtime.logs import get_logger
from shared.runtime.parking import vacate
from shared.runtime.pruning import clean_up, prune
from shared.runtime.quarantine import quarantine
from shared.throttle import Room

Deed = Later | Report | Look | Prune | Vacate | CleanUp

ReadyAct = Outgoing | Deed | str
"""What to do; a text says why nothing can be done, ever."""


@dataclass(frozen=True, slots=True)
class _Task:
    record: Record
    act: ReadyAct


async def react(records: Sequence[Record], ports: Ports, *, stack: str) -> str | None:
    """Carry out what follows from `records`, in batches; → the sequence of the first that must come again, or None."""
    tasks = [_Task(record, act) for record in records for act in acts_of(record, ports.now())]
    results = await asyncio.gather(*_works(tasks, ports, stack))
    failed = {sequence for result in results for sequence in result}
    return next((record.sequence for record in records if record.sequence in failed), None)


def acts_of(record: Record, now: int) -> Iterator[ReadyAct]:
    """What to do for one record."""
    if record.problem is not None:
        yield record.problem
        return
    try:
        acts = consequences(record.old, record.new)
    except Exception as error:  # noqa: BLE001  a type's own `cleanup`, too, is asked: its bug must not block the stream
        yield f"what follows can't be told: {type(error).__name__}: {error}"
        return
    for act in acts:
        yield _ready(act, now)


def _ready(act: Act, now: int) -> ReadyAct:
    if not isinstance(act, Dispatch):
        return act
    if act.type not in TYPES:  # not left to SQS to say: a queue that a role may not see is "denied", for ever
        return f"there is no job type {act.type!r}"
    return routed(act, now)


def _works(tasks: Sequence[_Task], ports: Ports, stack: str) -> Iterator[Awaitable[set[str]]]:
    """Each tells the sequences of those that must come again."""
    queues: dict[str, list[_Task]] = {}
    reports: list[tuple[Record, Report]] = []
    rooms: dict[Room, list[tuple[Record, Vacate]]] = {}
    for task in tasks:
        match task.act:
            case Outgoing(job_type=job_type):
                queues.setdefault(job_type, []).append(task)
            case Report() as report:
                reports.append((task.record, report))
            case Vacate() as left:
                rooms.setdefault(left.room, []).append((task.record, left))
            case str() as reason:
                yield _give_up([task.record], reason, ports, stack)
            case act:
                yield _carried([task.record], partial(carried_out, act, ports), ports, stack)
    for group in queues.values():
        yield _send(group, ports, stack)
    for some in together(report for _, report in reports).values():
        told = [record for record, report in reports if report in some]
        yield _carried(told, partial(tell, ports, some), ports, stack)
    for room, left_it in rooms.items():
        vacates = [left for _, left in left_it]
        yield _carried([record for record, _ in left_it], partial(vacate, ports, room, vacates), ports, stack)


async def carried_out(act: Deed, ports: Ports) -> None:
    """One by itself."""
    match act:
        case Later():
            await ports.schedules.wake_at(act.name, act.at, act.message)
        case Report():
            await tell(ports, [act])
        case Look():
            await look(ports, act.parent)
        case Prune():
            await prune(ports, act.parent)
        case Vacate():
            await vacate(ports, act.room, [act])
        case CleanUp():
            await clean_up(ports, act.ended, act.work)


async def _carried(
    records: Sequence[Record], work: Callable[[], Awaitable[object]], ports: Ports, stack: str
) -> set[str]:
    try:
        await work()
    except WorldFault as fault:
        get_logger().warning("consequence_failed", records=len(records), reason=str(fault))
        return {record.sequence for record in records}
    except LongshoreError as error:
        return await _give_up(records, str(error), ports, stack)
    return set()


async def _send(group: Sequence[_Task], ports: Ports, stack: str) -> set[str]:
    """All of one queue; → the sequences of those that were not taken."""
    messages = [task.act for task in group if isinstance(task.act, Outgoing)]
    missed: list[int] = []

    async def send() -> None:
        missed.extend(await ports.queues.send(messages))
        get_logger().debug("dispatched", messages=len(messages) - len(missed))

    failed = await _carried([task.record for task in group], send, ports, stack)
    return failed | {group[index].record.sequence for index in missed}


async def _give_up(records: Iterable[Record], reason: str, ports: Ports, stack: str) -> set[str]:
    """Quarantine; → the sequences of those that could not even be kept."""
    left = list(records)
    for place, record in enumerate(left):
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
            return {missed.sequence for missed in left[place:]}
    return set()
