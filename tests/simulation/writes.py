"""The modelled row and the real table: what `shared` makes of a write, and the promises that a write may break."""

from dataclasses import replace
from functools import cache
from typing import Final, NamedTuple

from shared.consequences import Dispatch, consequences
from shared.job import Job, attributes
from shared.moves import (
    Lease,
    Move,
    applied,
    beat,
    bury,
    cancelled_after_death,
    claim,
    claim_bare,
    happened,
    reclaim,
    settle,
    start,
    submit,
)
from shared.outcomes import Done, Partial
from shared.retry import Policy
from shared.status import Event, Status, permitted
from shared.verdict import settle as verdict_of
from tests.simulation.states import (
    AHEAD,
    ATTEMPTS_MAX,
    CLOCKS,
    NOW,
    PAST,
    SOLITARY,
    SOON,
    TYPE,
    Message,
    Row,
    State,
    Truth,
    Write,
    plus,
)

LEASE_MS: Final = 60_000
POLICY: Final = Policy(attempts_max=ATTEMPTS_MAX)

CLAIMS: Final = {Event.CLAIM, Event.CLAIM_BARE, Event.START, Event.RECLAIM}
DEATHS: Final = {Event.RECLAIM, Event.BURY}
FAILURES: Final = {Event.FAIL, Event.RETRY}
TAKEOVERS: Final = {Event.RECLAIM, Event.BURY, Event.CANCEL, Event.CANCELLED}
ANYBODY: Final = {*CLAIMS, *DEATHS, Event.CANCEL, Event.REQUEST_CANCEL}
"""Moves that take no lease."""

NEW: Final = Job(
    tenant_id="t",
    job_id="j",
    type=TYPE,
    status=Status.QUEUED,
    seq=1,
    token="door",
    attempts_left=ATTEMPTS_MAX,
    attempts_max=ATTEMPTS_MAX,
    created_at=NOW,
    updated_at=NOW,
    due_at=PAST,
    payload_hash="hash",
    history=("0 submit somebody",),
)


class Answer(NamedTuple):
    """`row` after the write if it `applied`, now or before; else the row that refused it."""

    applied: bool
    row: Row | None


class Effect(NamedTuple):
    """`made`: now, by this very write."""

    answer: Answer
    made: bool = False
    wakeup: Message | None = None
    broken: tuple[str, ...] = ()


def written(
    state: State, write: Write, who: int = 0, message: Message | None = None
) -> tuple[Answer, State, tuple[str, ...]]:
    """The table's answer to `write` by worker `who` for `message`, the state after it, the promises that it breaks."""
    effect = effect_of(state.row, state.truth, write, who, message)
    if not effect.made:
        return effect.answer, state, ()
    pool = state.pool if effect.wakeup is None else plus(state.pool, effect.wakeup)
    truth = _truth(state.truth, write.event, who)
    return effect.answer, State(effect.answer.row, pool, state.workers, state.submitting, truth), effect.broken


@cache
def effect_of(row: Row | None, truth: Truth, write: Write, who: int, message: Message | None) -> Effect:
    """Cached for one table of moves: `effect_of.cache_clear()` when the table is another."""
    job, move = row and job_of(row), move_of(write, message, who)
    if not permitted(move.event, None if job is None else attributes(job), move.facts):
        return Effect(Answer(happened(move, job), row))
    after = applied(move, job)
    dispatch = next((act for act in consequences(job, after) if isinstance(act, Dispatch)), None)
    wakeup = None if dispatch is None else Message(dispatch.type, dispatch.wakeup.seq)
    broken = [*_spent_wrongly(row, after, move.event, truth), *_moved_wrongly(row, after, move.event, truth, who)]
    if job is not None and after.result not in {None, job.prefix}:
        broken.append("the result is that of the run that settles")
    if move.event in CLAIMS and message is not None and (message.type, message.seq) != (after.type, after.seq):
        broken.append("a stale or stray message begins nothing")
    return Effect(Answer(True, row_of(after)), True, wakeup, tuple(broken))


@cache
def is_unclear(row: Row) -> bool:
    """May a dead run be taken over as well as buried? Cached as `effect_of`."""
    image = attributes(job_of(row))
    facts = {"epoch": row.epoch, "now": max(CLOCKS)}
    return not row.flagged and all(permitted(event, image, facts) for event in DEATHS)


@cache
def job_of(row: Row) -> Job:
    return replace(
        NEW,
        status=row.status,
        seq=row.seq,
        epoch=row.epoch,
        token=row.token,
        attempts_left=row.attempts_left,
        due_at=row.due_at,
        lease_until=row.lease_until,
        alone=row.alone or None,
        cancel_requested=row.flagged or None,
    )


def row_of(job: Job) -> Row:
    return Row(
        job.status,
        job.seq,
        job.epoch,
        job.token,
        job.attempts_left,
        due_at=_phase(job.due_at) if job.status is Status.QUEUED else PAST,
        lease_until=_phase(job.lease_until or PAST) if job.status is Status.RUNNING else PAST,
        alone=bool(job.alone),
        flagged=bool(job.cancel_requested),
    )


def move_of(write: Write, message: Message | None, who: int) -> Move:
    """As the real writer builds it from what it knows (`shared/runtime/worker.py`, `attempt.py`)."""
    now, token = CLOCKS[who], write.token
    lease = Lease(token, now + LEASE_MS, alone=who in SOLITARY, who="w")
    match write:
        case Write(Event.SUBMIT):
            return submit(NEW)
        case Write(Event.START):
            return start(replace(NEW, token=token), lease)
        case Write(Event.CLAIM_BARE):
            return claim_bare(replace(NEW, token=token), lease)
        case Write(Event.CANCEL):
            return Move(Event.CANCEL, "t", "j", {"now": NOW}, {"status": Status.CANCELLED, "token": token}, token)
        case Write(Event.REQUEST_CANCEL):
            return Move(Event.REQUEST_CANCEL, "t", "j", {}, {"cancel_requested": True})
        case Write(seen=Row() as seen):
            return _move_after_look(write, job_of(seen), lease, now, who)
    assert message is not None
    return claim("t", "j", job_type=message.type, seq=message.seq, lease=lease, now=now)


def _move_after_look(write: Write, job: Job, lease: Lease, now: int, who: int) -> Move:
    match write:
        case Write(Event.RECLAIM):
            return reclaim(job, lease, now)
        case Write(Event.BURY):
            return bury(job, "{}", now, token=lease.token, who="w")
        case Write(Event.BEAT):
            return beat(job, now, progress=None, lease_until=lease.until if who in SOLITARY else None)
        case Write(outcome=outcome) if outcome is not None:
            verdict = verdict_of(outcome, job, POLICY, dice=0.0, now=now)
            result = {"result": job.prefix} if isinstance(outcome, Done | Partial) else {}
            changes = {**verdict.changes, **result}
            return settle(job, verdict.event, changes, now=now, token=lease.token, who="w", note="")
    return cancelled_after_death(job, now, token=lease.token, who="w")


def _phase(at: int) -> int:
    return AHEAD if at > max(CLOCKS) else SOON if at == SOON else PAST


def _truth(truth: Truth, event: Event, who: int) -> Truth:
    if event in CLAIMS:
        return truth._replace(owner=who, alone=event is Event.RECLAIM or who in SOLITARY)
    return truth if event in {Event.BEAT, Event.REQUEST_CANCEL} else truth._replace(owner=None)


def _spent_wrongly(row: Row | None, after: Job, event: Event, truth: Truth) -> list[str]:
    owed = event in FAILURES or (event in DEATHS and truth.alone)
    spent = (ATTEMPTS_MAX if row is None else row.attempts_left) - after.attempts_left
    return [] if spent == int(owed) else ["an attempt is spent by failures and lonely deaths alone, and by each"]


def _moved_wrongly(row: Row | None, after: Job, event: Event, truth: Truth, who: int) -> list[str]:
    """`row` and `truth` are those before the write."""
    begins = after.status is Status.QUEUED or event in CLAIMS
    promises = {
        "nobody is cancelled who was not asked to end": after.status is not Status.CANCELLED or truth.asked,
        "who was asked to end begins nothing more": not (after.cancel_requested and begins),
    }
    if row is not None:
        takes_over = row.status is Status.RUNNING and event in TAKEOVERS and truth.owner != who
        promises |= {
            "what is over stays over": not row.status.is_terminal,
            "nothing begins before it is due": event is not Event.CLAIM or row.due_at != AHEAD,
            "nobody takes over a live lease": not takes_over or row.lease_until != AHEAD,
            "who lost its lease changes nothing": event in ANYBODY or takes_over or truth.owner == who,
        }
    return [promise for promise, kept in promises.items() if not kept]
