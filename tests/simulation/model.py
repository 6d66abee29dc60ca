"""The protocol of one job as a state machine small enough to visit every state.

What decides is the real thing: the table of moves (`status.permitted`, `moves.*`, `applied`, `happened`), what a worker
does with a refusal (`delivery.decide`), how a run ends (`verdict.settle`), what follows from a write
(`consequences.consequences`). What is modelled is the world around it, at its worst:

- Two workers on one queue. The first runs its jobs in company and has the true clock, as in a Lambda batch; the second
  runs one at a time, extends its lease by beats, and its clock is 2 s ahead. Every call takes as long as it likes.
- Faults: a worker dies or gives up; a write is made and its answer lost; a message comes twice; a wake-up strays into
  another type's queue; a run outlives its lease.
- Somebody may ask for the job's end, at any time, once.
- What makes no difference is left out. A wake-up that the reactor has yet to send is like one that nobody has received
  yet; a stream record that comes twice, or a worker that dies before it acknowledges, like a message that comes twice.
"""

from collections.abc import Iterator
from typing import Final, NamedTuple

from shared.delivery import Delivery, Do, decide
from shared.outcomes import Done, Failed, Outcome, Partial, Proceed, Snooze, Stopped
from shared.status import Event, Status
from shared.verdict import settle as verdict_of
from tests.simulation.states import (
    AHEAD,
    CLOCKS,
    PAST,
    SOLITARY,
    SOON,
    TYPE,
    At,
    Message,
    Row,
    State,
    Worker,
    Write,
    fresh,
    is_needed,
    known,
    minus,
    plus,
    with_worker,
)
from tests.simulation.writes import NEW, POLICY, Answer, is_unclear, job_of, written

SEQ_MAX: Final = 3
"""A job that was queued so often ends with its next run."""

LATER: Final = {AHEAD: SOON, SOON: PAST}

ENDS: Final[tuple[Outcome, ...]] = (Done(None), Partial(None, ()), Failed("x", "x", permanent=True))
GOES_ON: Final[tuple[Outcome, ...]] = (Failed("x", "x", permanent=False), Snooze(60.0), Proceed("further"))

EVENTS: Final = {
    Do.CLAIM: Event.CLAIM,
    Do.RECLAIM: Event.RECLAIM,
    Do.BURY: Event.BURY,
    Do.END_CANCELLED: Event.CANCELLED,
}


class Step(NamedTuple):
    """`broken`: the promises that this very step breaks. `fair`: a world that wishes us well does it by itself."""

    label: str
    after: State
    broken: tuple[str, ...] = ()
    fault: bool = False
    fair: bool = True


def beginnings() -> tuple[State, ...]:
    """A job by each door: submitted, sent as a bare message, started at once."""
    starting = Worker(At.WRITING, None, Write(Event.START, "t0"))
    return (
        State(None, (), (None, None), submitting=True),
        State(None, (Message(TYPE, 1, bare=True),), (None, None)),
        State(None, (), (None, starting)),
    )


def steps(state: State) -> Iterator[Step]:
    """Everything that may happen next."""
    yield from _producer(state)
    yield from _time(state)
    yield from _operator(state)
    yield from _nuisances(state)
    for who, worker in enumerate(state.workers):
        yield from _receive(state, who) if worker is None else _work(state, who, worker)


def judge(state: State) -> list[str]:
    """What must hold at any time."""
    row, broken = state.row, []
    if row is not None and not row.status.is_terminal:
        held = [worker.message for worker in state.workers if worker is not None and worker.message is not None]
        if not any(is_needed(message, row) for message in (*state.pool, *held)):
            broken.append("a job that lives is not forgotten")
        if is_unclear(row):
            broken.append("a dead run is taken over or buried: the table leaves no choice")
    return [*broken, state.truth.broken] if state.truth.broken else broken


# --- the world --------------------------------------------------------------------------------------------------------


def _producer(state: State) -> Iterator[Step]:
    if state.submitting:
        _, after, broken = written(state, Write(Event.SUBMIT, NEW.token))
        yield Step("the producer submits", after._replace(submitting=False), broken)
        yield Step("the producer submits, the answer is lost", after, broken, fault=True)


def _time(state: State) -> Iterator[Step]:
    row = state.row
    if row is not None and row.due_at in LATER:
        yield Step("time passes for what is due", state._replace(row=row._replace(due_at=LATER[row.due_at])))
    if row is not None and row.lease_until in LATER:
        after = state._replace(row=row._replace(lease_until=LATER[row.lease_until]))
        yield Step("time passes for the lease", after, fault=state.truth.owner is not None)


def _operator(state: State) -> Iterator[Step]:
    if state.row is None or state.truth.asked or state.row.status.is_terminal:
        return
    asked = state._replace(truth=state.truth._replace(asked=True))
    answer, after, broken = written(asked, Write(Event.CANCEL, fresh(state)))
    if not answer.applied:
        _, after, broken = written(asked, Write(Event.REQUEST_CANCEL, ""))
    yield Step("somebody asks for its end", after, broken, fair=False)


def _nuisances(state: State) -> Iterator[Step]:
    held = {worker.message for worker in state.workers if worker is not None and worker.message is not None}
    for message in sorted(message for message in {*state.pool, *held} if is_needed(message, state.row)):
        yield Step(f"{_name(message)} comes twice", state._replace(pool=plus(state.pool, message)), fault=True)
        if not message.bare:
            stray = plus(state.pool, message._replace(type="other"))
            yield Step(f"{_name(message)} strays", state._replace(pool=stray), fault=True)


# --- a worker ---------------------------------------------------------------------------------------------------------


def _receive(state: State, who: int) -> Iterator[Step]:
    for message in sorted(set(state.pool)):
        if message.type == TYPE or who in SOLITARY:
            write = Write(Event.CLAIM_BARE if message.bare else Event.CLAIM, fresh(state))
            taken = state._replace(pool=minus(state.pool, message))
            yield from _write(taken, who, Worker(At.WRITING, message, write), write)


def _work(state: State, who: int, worker: Worker) -> Iterator[Step]:
    yield Step(f"worker {who} dies or gives up", _abandoned(state, who, worker.message), fault=True)
    match worker:
        case Worker(At.WRITING, _, Write() as write):
            yield from _write(state, who, worker, write)
        case Worker(At.RUNNING, job=Row() as job):
            yield from _end_run(state, who, worker, job)
            yield _beat(state, who, worker, job)


def _write(state: State, who: int, worker: Worker, write: Write) -> Iterator[Step]:
    answer, after, broken = written(state, write, who, worker.message)
    message = "" if worker.message is None else f" for {_name(worker.message)}"
    label = f"worker {who} writes {write.event}{message}: {'applied' if answer.applied else 'refused'}"
    yield Step(label, _after_answer(after, who, worker, write, answer), broken)
    if after != state:
        yield Step(f"{label}, the answer is lost", with_worker(after, who, worker), broken, fault=True)


def _end_run(state: State, who: int, worker: Worker, job: Row) -> Iterator[Step]:
    outcomes = (Stopped(),) if worker.stopped else ENDS if job.seq == SEQ_MAX else ENDS + GOES_ON
    for outcome in outcomes:
        event = verdict_of(outcome, job_of(job), POLICY, dice=0.0, now=CLOCKS[who]).event
        write = Write(event, fresh(state), job, outcome)
        yield from _write(state, who, Worker(At.WRITING, worker.message, write), write)


def _beat(state: State, who: int, worker: Worker, job: Row) -> Step:
    answer, after, broken = written(state, Write(Event.BEAT, "", job), who)
    if not answer.applied:
        after = _lost(after, who, worker, answer)
    elif answer.row is not None and answer.row.flagged:
        after = with_worker(after, who, worker._replace(stopped=True))
    return Step(f"worker {who} beats: {'applied' if answer.applied else 'refused'}", after, broken)


def _after_answer(state: State, who: int, worker: Worker, write: Write, answer: Answer) -> State:
    message, row = worker.message, answer.row
    if answer.applied and row is not None and row.status is Status.RUNNING:
        return with_worker(state, who, Worker(At.RUNNING, message, job=known(row)))
    if answer.applied:
        return _acknowledged(state, who, message)
    if write.outcome is None or write.seen is None:
        return _decided(state, who, message, answer)
    if row is not None and row.flagged and (row.epoch, row.token) == (write.seen.epoch, write.seen.token):
        stop = write._replace(event=Event.CANCELLED, outcome=Stopped())
        return with_worker(state, who, worker._replace(write=stop))
    return _lost(state, who, worker, answer)


def _decided(state: State, who: int, message: Message | None, refusal: Answer) -> State:
    """A claim was refused: what to do instead."""
    do = _decide(message, refusal, who)
    if do in EVENTS and message is not None:
        seen = None if do is Do.CLAIM or refusal.row is None else known(refusal.row)
        return with_worker(state, who, Worker(At.WRITING, message, Write(EVENTS[do], fresh(state), seen)))
    return _hidden(state, who, message) if do is Do.HIDE else _acknowledged(state, who, message)


def _lost(state: State, who: int, worker: Worker, refusal: Answer) -> State:
    """The lease is somebody else's now."""
    goes = _decide(worker.message, refusal, who) is Do.ACKNOWLEDGE
    return _acknowledged(state, who, worker.message) if goes else _hidden(state, who, worker.message)


def _decide(message: Message | None, refusal: Answer, who: int) -> Do:
    if message is None:
        return Do.HIDE
    delivery = Delivery(message.type, message.seq, 1, NEW.payload_hash if message.bare else None)
    return decide(refusal.row and job_of(refusal.row), delivery, CLOCKS[who]).do


def _abandoned(state: State, who: int, message: Message | None) -> State:
    """The message comes back; what this worker ran is run no more."""
    truth = state.truth._replace(owner=None) if state.truth.owner == who else state.truth
    pool = state.pool if message is None else plus(state.pool, message)
    return with_worker(state._replace(truth=truth, pool=pool), who, None)


def _hidden(state: State, who: int, message: Message | None) -> State:
    forgets = state.truth.owner == who
    return _abandoned(_wrong(state, "who holds the lease knows it", if_=forgets), who, message)


def _acknowledged(state: State, who: int, message: Message | None) -> State:
    needed = message is not None and is_needed(message, state.row)
    return with_worker(_wrong(state, "a message that is needed is not acknowledged", if_=needed), who, None)


def _wrong(state: State, promise: str, *, if_: bool) -> State:
    return state._replace(truth=state.truth._replace(broken=promise)) if if_ else state


def _name(message: Message) -> str:
    return f"{'the bare message' if message.bare else 'wake-up'} {message.seq}{' (stray)' * (message.type != TYPE)}"
