"""Moves as values, and a job's whole life as a game of chance that must never break a promise."""

from dataclasses import replace

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from shared.job import HISTORY_MAX, LIST_SHARDS, Job, attributes, read_history_entry
from shared.moves import (
    CLOCK_SKEW_MS,
    Appended,
    Lease,
    Move,
    Plus,
    applied,
    beat,
    bury,
    cancelled_after_death,
    claim,
    claim_bare,
    forgotten,
    happened,
    reclaim,
    settle,
    start,
    submit,
)
from shared.outcomes import Done, Failed, Outcome, Partial, Proceed, Snooze, Stopped
from shared.retry import Policy
from shared.status import TERMINAL, Event, Status, permitted
from shared.verdict import settle as verdict_of

NOW = 1_767_225_600_000
POLICY = Policy()


def new_job(**changes: object) -> Job:
    job = Job(
        tenant_id="acme",
        job_id="job_1",
        type="generic",
        status=Status.QUEUED,
        seq=1,
        token="door",
        attempts_left=3,
        attempts_max=3,
        created_at=NOW,
        updated_at=NOW,
        due_at=NOW,
        payload_hash="0" * 32,
    )
    return replace(job, **changes)  # type: ignore[arg-type]  # the tests below name attributes of a job


def lease(token: str) -> Lease:
    return Lease(token, NOW + 60_000, alone=False, who="worker")


def claimed(**changes: object) -> Job:
    move = claim("acme", "job_1", job_type="generic", seq=1, lease=lease("mine"), now=NOW)
    return replace(applied(move, new_job()), **changes)  # type: ignore[arg-type]  # as above


def test_a_bare_claim_leaves_the_row_that_a_submit_and_a_claim_would_have_left() -> None:
    bare = applied(claim_bare(new_job(token="mine"), lease("mine")), None)
    listed = applied(submit(new_job()), None)
    both = applied(claim("acme", "job_1", job_type="generic", seq=1, lease=lease("mine"), now=NOW), listed)
    assert replace(bare, history=both.history) == both


def test_a_job_that_is_started_at_once_gets_its_wake_up_when_the_lease_is_over() -> None:
    started = applied(start(new_job(), lease("mine")), None)
    assert (started.status, started.epoch, started.due_at) == (Status.RUNNING, 1, NOW + 60_000)


def test_a_tenants_list_is_spread_over_all_its_shards() -> None:
    shards = {applied(submit(new_job(job_id=f"job_{n}")), None).list_shard for n in range(200)}
    assert shards == {f"acme#{number}" for number in range(LIST_SHARDS)}


def test_a_dead_run_costs_an_attempt_only_if_it_ran_alone_and_the_next_one_does() -> None:
    in_company, alone = claimed(), claimed(alone=True)
    assert applied(reclaim(in_company, lease("next"), NOW), in_company).attempts_left == 3
    assert applied(reclaim(alone, lease("next"), NOW), alone).attempts_left == 2
    assert applied(reclaim(in_company, lease("next"), NOW), in_company).alone is True


def test_a_beat_changes_nothing_that_it_was_not_asked_to() -> None:
    job = claimed()
    assert applied(beat(job, NOW + 1, progress=None, lease_until=None), job) == replace(job, updated_at=NOW + 1)


def test_a_refused_write_has_happened_if_the_row_carries_its_token() -> None:
    job = claimed()
    mine = claim("acme", "job_1", job_type="generic", seq=1, lease=lease("mine"), now=NOW)
    assert happened(mine, job)
    assert not happened(mine, replace(job, token="another"))
    assert not happened(mine, None)
    assert not happened(beat(job, NOW, progress=None, lease_until=None), job)


def test_a_row_keeps_the_latest_moves_and_the_rest_is_named_before_it_goes() -> None:
    job = claimed(history=tuple(f"{NOW + n} claim worker" for n in range(HISTORY_MAX + 2)))
    ended = applied(settle(job, Event.SUCCEED, {}, now=NOW + 99, token="end", who="worker", note="a b"), job)
    assert len(ended.history) == HISTORY_MAX
    assert (*forgotten(job), *ended.history)[:-1] == job.history
    last = read_history_entry(ended.history[-1])
    assert (last.at, last.event, last.who, last.note) == (NOW + 99, Event.SUCCEED, "worker", "a b")


def test_a_number_or_a_list_that_is_not_there_counts_as_empty() -> None:
    move = Move(
        Event.WAIT, "acme", "job_1", {"epoch": 1, "lease": "x"}, {"wait_number": Plus(1), "history": Appended("h")}
    )
    after = applied(move, claimed(wait_number=None, history=()))
    assert (after.wait_number, after.history) == (1, ("h",))


def test_a_move_that_no_rule_could_allow_cannot_even_be_said() -> None:
    with pytest.raises(ValueError, match="reclaim"):
        Move(Event.RECLAIM, "acme", "job_1", {"now": NOW}, {})


class Life(RuleBasedStateMachine):
    """Workers claim, beat, die, come back too late and settle, in any order that chance brings."""

    def __init__(self) -> None:
        super().__init__()
        self.now = NOW
        self.tokens = 0
        self.row = applied(submit(new_job()), None)
        self.leases: list[Job] = []

    @initialize(attempts=st.integers(1, 3))
    def begins(self, attempts: int) -> None:
        self.row = replace(self.row, attempts_left=attempts)

    def write(self, move: Move) -> bool:
        """The one conditional write; checks what no write may ever do."""
        before = self.row
        if not permitted(move.event, attributes(before), move.facts):
            return False
        self.row = applied(move, before)
        assert self.row.epoch >= before.epoch
        assert self.row.seq >= before.seq
        assert self.row.created_at == before.created_at
        assert before.status not in TERMINAL
        spent = before.attempts_left - self.row.attempts_left
        assert spent in (0, 1)
        assert spent == 0 or move.event in (Event.FAIL, Event.RETRY, Event.RECLAIM, Event.BURY)
        assert move.event is not Event.RECLAIM or spent == bool(before.alone)
        assert move.event is not Event.BURY or (before.alone and before.attempts_left == 1)
        return True

    def token(self) -> str:
        self.tokens += 1
        return f"token-{self.tokens}"

    def lease(self, *, alone: bool) -> Lease:
        return Lease(self.token(), self.now + 60_000, alone, "worker")

    def outlived(self, run: Job) -> bool:
        return (run.epoch, run.token) != (self.row.epoch, self.row.token) or self.row.status is not Status.RUNNING

    @rule(seconds=st.integers(0, 90))
    def time_passes(self, seconds: int) -> None:
        self.now += seconds * 1000

    @rule(alone=st.booleans(), stale=st.booleans())
    def wake_up(self, *, alone: bool, stale: bool) -> None:
        seq = self.row.seq - stale
        due = self.row.due_at <= self.now + CLOCK_SKEW_MS
        was = self.row.status
        move = claim("acme", "job_1", job_type="generic", seq=seq, lease=self.lease(alone=alone), now=self.now)
        won = self.write(move)
        assert won == (was is Status.QUEUED and due and not stale)
        if won:
            self.leases.append(self.row)

    @rule()
    def cancel_is_asked_for(self) -> None:
        self.write(Move(Event.REQUEST_CANCEL, "acme", "job_1", {}, {"cancel_requested": True}))

    @precondition(lambda self: self.leases)
    @rule(data=st.data(), extends=st.booleans())
    def worker_beats(self, data: st.DataObject, *, extends: bool) -> None:
        run = data.draw(st.sampled_from(self.leases))
        outlived, until = self.outlived(run), self.now + 60_000
        assert self.write(beat(run, self.now, progress="[1]", lease_until=until if extends else None)) != outlived

    @precondition(lambda self: self.leases)
    @rule(
        data=st.data(),
        outcome=st.sampled_from(
            [Done(None), Partial(None, ()), Snooze(5), Proceed("[1]"), Proceed("[2]"), Stopped()]
            + [Failed("code", "message", permanent=permanent) for permanent in (False, False, True)]
        ),
    )
    def worker_settles(self, data: st.DataObject, outcome: Outcome) -> None:
        run = data.draw(st.sampled_from(self.leases))
        outlived, flagged = self.outlived(run), self.row.cancel_requested
        verdict = verdict_of(outcome, run, POLICY, dice=0.5, now=self.now)
        move = settle(run, verdict.event, verdict.changes, now=self.now, token=self.token(), who="w", note=verdict.note)
        won = self.write(move)
        assert not (won and outlived)
        assert won or outlived or flagged

    @rule(data=st.data())
    def somebody_finds_it_dead(self, data: st.DataObject) -> None:
        seen, token = self.row, self.token()
        over = seen.lease_until is not None and seen.lease_until < self.now
        moves = [
            reclaim(seen, self.lease(alone=True), self.now),
            bury(seen, "{}", self.now, token=token, who="w"),
            cancelled_after_death(seen, self.now, token=token, who="w"),
        ]
        written = [move.event for move in data.draw(st.permutations(moves)) if self.write(move)]
        assert len(written) == over
        if Event.RECLAIM in written:
            self.leases.append(self.row)

    @invariant()
    def a_row_is_always_sound(self) -> None:
        job = self.row
        assert (job.expires_at is not None) == (job.status in TERMINAL)
        assert (job.completed_at is not None) == (job.status in TERMINAL)
        assert (job.lease_until is not None) == (job.status is Status.RUNNING)
        assert 0 <= job.attempts_left <= job.attempts_max
        assert job.attempts_left > 0 or job.status is Status.FAILED


TestLife = Life.TestCase
