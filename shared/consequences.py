"""What follows from a write to a row. Pure: (old image, new image) → what must happen, idempotently, at least once.

    moved into QUEUED (its seq is new)      → a wake-up when it is due
    created RUNNING by `start`              → a wake-up when its lease is over: no message stands for it
    moved into WAITING                      → a look whether its children are over already; a wake-up at its deadline
    a child is over                         → its end is told to its parent
    left RUNNING, or over, and has a place  → the place goes to who waits for it
    a parent failed or was cancelled        → a job that cancels what its children still do
    so did what had begun something elsewhere → a job that ends it there

A wake-up is an SQS message with a delay of up to 900 s, or a one-off schedule beyond. The same record again sends the
same wake-up again, and the claim refuses it.
"""

from dataclasses import dataclass, replace
from typing import Final

from shared.children import Link, read_link
from shared.envelope import DEADLINE, Wakeup, wakeup_body
from shared.fan_in import END_OF, End
from shared.ids import digest
from shared.job import Job, read_history_entry
from shared.payloads import TYPES
from shared.payloads.base import Payload
from shared.ports import Outgoing
from shared.status import Event, Status
from shared.throttle import Room, read_throttles

DELAY_MAX_S: Final = 900
"""SQS DelaySeconds: https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_SendMessage.html"""


@dataclass(frozen=True, slots=True)
class Record:
    """One record of the table's stream. `raw` is kept if it must be quarantined; `problem` says it can't be read."""

    sequence: str
    old: Job | None
    new: Job | None
    raw: str = ""
    problem: str | None = None


@dataclass(frozen=True, slots=True)
class Dispatch:
    """Wake the job's worker at `due_at` (milliseconds)."""

    type: str
    wakeup: Wakeup
    due_at: int
    why: str = ""
    """Part of the schedule's name."""
    lane: str | None = None


@dataclass(frozen=True, slots=True)
class Later:
    """Beyond SQS's reach: a schedule of this name, unique to the job's `seq`."""

    name: str
    at: int
    message: Outgoing


@dataclass(frozen=True, slots=True)
class Report:
    """Tell a parent of its child's end."""

    tenant_id: str
    link: Link
    end: End


@dataclass(frozen=True, slots=True)
class Look:
    """Wake this parent, which has begun to wait, if what it waits for has happened already."""

    parent: Job


@dataclass(frozen=True, slots=True)
class Prune:
    """Cancel what the children of this job, which is over, still do."""

    parent: Job


@dataclass(frozen=True, slots=True)
class Vacate:
    """The run of this epoch is over, or will never begin: its place (`shared/throttle.py`) is another's."""

    job: Job
    room: Room
    epoch: int


@dataclass(frozen=True, slots=True)
class CleanUp:
    """`work` ends what this job, which is over, has begun elsewhere."""

    ended: Job
    work: Payload


Act = Dispatch | Report | Look | Prune | Vacate | CleanUp

SAD_ENDS: Final = frozenset({Status.FAILED, Status.CANCELLED})


def consequences(old: Job | None, new: Job | None) -> tuple[Act, ...]:
    """Of one stream record: a few at most, O(1) calls each."""
    if new is None:
        return ()
    if old is not None and (old.status, old.seq) == (new.status, new.seq):
        return ()
    return (*_of_move(old, new), *_vacated(old, new))


def _of_move(old: Job | None, new: Job) -> tuple[Act, ...]:
    dispatch = Dispatch(new.type, Wakeup(new.tenant_id, new.job_id, new.seq), new.due_at, lane=new.priority)
    match new.status:
        case Status.QUEUED:
            return (dispatch,)
        case Status.RUNNING if old is None and _first_event(new) is Event.START:
            return (dispatch,)
        case Status.WAITING:
            return (Look(new), *_at_deadline(new, dispatch))
    return (*_told(new), *_pruned(new), *_cleaned(new)) if new.status.is_terminal else ()


def _at_deadline(waiting: Job, dispatch: Dispatch) -> tuple[Dispatch, ...]:
    """A flow waits many times for the same deadline, with one schedule: the same name again changes nothing."""
    if waiting.deadline_at is None:
        return ()
    wakeup = replace(dispatch.wakeup, seq=DEADLINE)
    return (replace(dispatch, wakeup=wakeup, due_at=waiting.deadline_at, why=str(waiting.deadline_at)),)


def _vacated(old: Job | None, new: Job) -> tuple[Vacate, ...]:
    """A place that was handed over, or taken, may be kept for a run that has not begun."""
    room = read_throttles(new.throttles).room
    if room is None or old is None or new.status is Status.RUNNING:
        return ()
    if old.status is Status.RUNNING:
        return (Vacate(new, room, old.epoch),)
    return (Vacate(new, room, new.epoch + 1),) if new.status.is_terminal else ()


def _told(child: Job) -> tuple[Report, ...]:
    return (Report(child.tenant_id, read_link(child.parent), END_OF[child.status]),) if child.parent else ()


def _pruned(parent: Job) -> tuple[Prune, ...]:
    return (Prune(parent),) if parent.groups and parent.status in SAD_ENDS else ()


def _cleaned(ended: Job) -> tuple[CleanUp, ...]:
    if ended.status not in SAD_ENDS or ended.checkpoint is None or ended.type not in TYPES:
        return ()
    work = TYPES[ended.type].cleanup(ended.tenant_id, ended.checkpoint, ended.updated_at)
    return (CleanUp(ended, work),) if work else ()


def routed(dispatch: Dispatch, now: int) -> Outgoing | Later:
    """The message to send now, or the schedule to make."""
    delay_s = max(0, -(-(dispatch.due_at - now) // 1000))
    body = wakeup_body(dispatch.wakeup)
    message = Outgoing(dispatch.type, body, group=dispatch.wakeup.tenant_id, lane=dispatch.lane)
    if delay_s <= DELAY_MAX_S:
        return replace(message, delay_s=delay_s)
    return Later(schedule_name(dispatch.wakeup, dispatch.why), dispatch.due_at, message)


def schedule_name(wakeup: Wakeup, why: str = "") -> str:
    """A name that was used is not free again at once, so each `seq` has its own."""
    return f"{digest(f'{wakeup.tenant_id}#{wakeup.job_id}')}-{wakeup.seq}{why and f'-{why}'}"


def _first_event(job: Job) -> Event | None:
    return read_history_entry(job.history[0]).event if job.history else None
