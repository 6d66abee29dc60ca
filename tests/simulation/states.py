"""The states of the modelled protocol (`model.py`), as small as they can be: states that differ only in names are one.

`Row` is what the protocol knows of a job: no history, no exact times. `Truth` is what really happened, kept apart from
the row, to compare the two.
"""

from collections.abc import Sequence
from enum import StrEnum
from itertools import count
from typing import Final, NamedTuple

from shared.outcomes import Outcome
from shared.status import Event, Status

NOW: Final = 1_767_225_600_000
PAST, SOON, AHEAD = NOW - 60_000, NOW + 1_000, NOW + 60_000
"""Times are phases: over on every clock; over on some, for clocks differ by 2 s; ahead on every clock."""

CLOCKS: Final = (NOW, NOW + 2_000)
SOLITARY: Final = {1}
"""The worker that never runs anything beside a job."""

TYPE: Final = "mine"
ATTEMPTS_MAX: Final = 2


class Row(NamedTuple):
    status: Status
    seq: int
    epoch: int
    token: str
    attempts_left: int
    due_at: int = PAST
    lease_until: int = PAST
    alone: bool = False
    flagged: bool = False


class Message(NamedTuple):
    type: str
    seq: int
    bare: bool = False


class Write(NamedTuple):
    """A write on its way. `seen`: the row it was decided from, or the job whose run it settles, as it was claimed."""

    event: Event
    token: str
    seen: Row | None = None
    outcome: Outcome | None = None


class At(StrEnum):
    WRITING = "writing"
    RUNNING = "running"


class Worker(NamedTuple):
    """Busy with `message` (None: a job it started by itself)."""

    at: At
    message: Message | None
    write: Write | None = None
    job: Row | None = None
    stopped: bool = False


class Truth(NamedTuple):
    owner: int | None = None
    """The worker that runs the job, or is about to."""
    alone: bool = False
    """Does it run alone, or did the dead one?"""
    asked: bool = False
    """Has somebody asked for the job's end?"""
    broken: str = ""
    """The promise that a worker has broken."""


class State(NamedTuple):
    row: Row | None
    pool: tuple[Message, ...]
    """Visible, hidden, or still in the stream: patience is not modelled, so any of them may be received next."""
    workers: tuple[Worker | None, Worker | None]
    submitting: bool = False
    truth: Truth = Truth()


def is_over(state: State) -> bool:
    """Ended, and all is quiet: or never accepted."""
    ended = not state.submitting if state.row is None else state.row.status.is_terminal
    return ended and not state.pool and state.workers == (None, None)


def is_needed(message: Message, row: Row | None) -> bool:
    """Might this message be the one that the job waits for?"""
    if row is None:
        return message.bare
    return (message.type, message.seq) == (TYPE, row.seq) and not row.status.is_terminal


# --- small changes ----------------------------------------------------------------------------------------------------


def plus(messages: tuple[Message, ...], message: Message) -> tuple[Message, ...]:
    return tuple(sorted((*messages, message)))


def minus(messages: tuple[Message, ...], message: Message) -> tuple[Message, ...]:
    at = messages.index(message)
    return messages[:at] + messages[at + 1 :]


def with_worker(state: State, who: int, worker: Worker | None) -> State:
    first, second = state.workers
    return state._replace(workers=(worker, second) if who == 0 else (first, worker))


def known(row: Row) -> Row:
    """What one who has seen it needs to remember of it."""
    return row._replace(due_at=PAST, lease_until=PAST, flagged=False)


# --- names ------------------------------------------------------------------------------------------------------------


def fresh(state: State) -> str:
    """A token that nobody in this state knows: as good as a random one."""
    knowing = (state.row, *_seen_by(state.workers[0]), *_seen_by(state.workers[1]))
    tokens = {one.token for one in knowing if one is not None}
    return next(name for name in map("new{}".format, count()) if name not in tokens)


def canonical(state: State) -> State:
    """The same state with its tokens and epochs named in order of appearance, and nothing told of what is over."""
    row, truth = state.row, state.truth
    if row is not None and row.status.is_terminal:
        row, truth = Row(Status.FAILED, row.seq, row.epoch, row.token, 0), Truth()
    elif row is not None and row.status is Status.QUEUED:
        truth = Truth(truth.owner, False, truth.asked)
    first, second = state.workers
    names = _Names([row, *_seen_by(first), *_seen_by(second)])
    return State(names.row(row), state.pool, (names.worker(first), names.worker(second)), state.submitting, truth)


def _seen_by(worker: Worker | None) -> tuple[Row | Write | None, ...]:
    if worker is None:
        return ()
    return (worker.job, worker.write, worker.write.seen if worker.write is not None else None)


class _Names:
    """Of the tokens and epochs that these know."""

    def __init__(self, knowing: Sequence[Row | Write | None]) -> None:
        self._tokens: dict[str, str] = {}
        for one in knowing:
            if one is not None:
                self._tokens.setdefault(one.token, f"t{len(self._tokens)}")
        epochs = {one.epoch for one in knowing if isinstance(one, Row)}
        self._epochs = {epoch: rank for rank, epoch in enumerate(sorted(epochs))}

    def row(self, row: Row | None) -> Row | None:
        return row and row._replace(token=self._tokens[row.token], epoch=self._epochs[row.epoch])

    def worker(self, worker: Worker | None) -> Worker | None:
        if worker is None:
            return None
        at, message, write, job, stopped = worker
        write = write and Write(write.event, self._tokens[write.token], self.row(write.seen), write.outcome)
        return Worker(at, message, write, self.row(job), stopped)
