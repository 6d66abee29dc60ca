"""The states of a job and the one table of its moves.

    A job moves only by one conditional write to its row, and only as a row of MOVES allows.

The table is plain data with four uses, and no other code decides a move: `permitted` interprets it (pure core,
in-memory store), `shared/aws/expressions.py` compiles it into DynamoDB's ConditionExpression, `infra/diagram.py` draws
it for the docs, the tests enumerate it.

- Rows of one event are alternatives: the move is allowed if any of them allows it.
- A guard is a conjunction of named tests; each test compares one attribute of the row with one fact that the writer
  brings (what it believes), or with nothing (is the attribute there at all). A rule that asks for a fact which the
  writer does not bring does not apply.
- Every write but `beat` and `request_cancel` stores a fresh `token`. *Holds lease* = RUNNING, and epoch and token are
  those of my claim. A refused write whose image carries my token has already happened: only its answer was lost.
- QUEUED is never buried. `expires_at` is set by terminal moves alone, and removed by a redrive.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from operator import gt, le, lt
from typing import Final


class Status(StrEnum):
    WAITING = "WAITING"
    QUEUED = "QUEUED"
    RUNNING = "RUNNING"
    SUCCESS = "SUCCESS"
    PARTIAL_SUCCESS = "PARTIAL_SUCCESS"
    FAILED = "FAILED"
    CANCELLED = "CANCELLED"

    @property
    def is_terminal(self) -> bool:
        return self in TERMINAL


TERMINAL: Final = frozenset({Status.SUCCESS, Status.PARTIAL_SUCCESS, Status.FAILED, Status.CANCELLED})


class Event(StrEnum):
    SUBMIT = "submit"
    START = "start"
    SUBMIT_CANCELLED = "submit_cancelled"
    CLAIM = "claim"
    CLAIM_BARE = "claim_bare"
    RECLAIM = "reclaim"
    BURY = "bury"
    BEAT = "beat"
    SUCCEED = "succeed"
    SUCCEED_PARTLY = "succeed_partly"
    FAIL = "fail"
    RETRY = "retry"
    SNOOZE = "snooze"
    PROCEED = "proceed"
    WAIT = "wait"
    WAKE = "wake"
    CANCEL = "cancel"
    REQUEST_CANCEL = "request_cancel"
    CANCELLED = "cancelled"
    EXPIRE = "expire"
    REDRIVE = "redrive"


Row = Mapping[str, object]
"""A job's row as attribute → value; an attribute that is not there is absent or None."""

Facts = Mapping[str, str | int]
"""What the writer believes, by name: now, epoch, token, type, seq, wait_number."""


@dataclass(frozen=True, slots=True)
class Test:
    """`attribute operator fact`, e.g. `lease_until < now`. `fact` names an entry of Facts, or is a number itself.

    An attribute that is not there is neither `<` nor `<=` nor `>` than anything; so `not <=` holds of it.
    """

    __test__ = False  # not pytest's

    attribute: str
    operator: str
    fact: str | int | None = None


GUARDS: Final[Mapping[str, tuple[Test, ...]]] = {
    "due": (Test("due_at", "<=", "now_with_skew"),),
    "same type": (Test("type", "=", "type"),),
    "same seq": (Test("seq", "=", "seq"),),
    "same epoch": (Test("epoch", "=", "epoch"),),
    "holds lease": (Test("epoch", "=", "epoch"), Test("token", "=", "lease")),
    "lease over": (Test("lease_until", "<", "now"),),
    "cancel flag": (Test("cancel_requested", "present"),),
    "no cancel flag": (Test("cancel_requested", "absent"),),
    "ran alone": (Test("alone", "present"),),
    "ran in company": (Test("alone", "absent"),),
    "attempts remain": (Test("attempts_left", ">", 1),),
    "last attempt": (Test("attempts_left", "<=", 1),),
    "my wait": (Test("wait_number", "=", "wait_number"),),
    "deadline not over": (Test("deadline_at", "not <=", "now_with_skew"),),
    "deadline over": (Test("deadline_at", "<=", "now"),),
}


@dataclass(frozen=True, slots=True)
class Rule:
    """One row of the table: `event` takes a job from `source` (None: no row yet) to `target` if every guard holds."""

    event: Event
    source: Status | None
    target: Status
    guards: tuple[str, ...] = ()
    costs_attempt: str = "no"


def _rules() -> tuple[Rule, ...]:
    e, s = Event, Status
    lease = ("holds lease",)
    unflagged = ("holds lease", "no cancel flag")
    dead = ("lease over", "same epoch")
    return (
        Rule(e.SUBMIT, None, s.QUEUED),
        Rule(e.START, None, s.RUNNING),
        Rule(e.SUBMIT_CANCELLED, None, s.CANCELLED),
        Rule(e.CLAIM, s.QUEUED, s.RUNNING, ("due", "same type", "same seq", "deadline not over")),
        Rule(e.CLAIM_BARE, None, s.RUNNING),
        Rule(e.RECLAIM, s.RUNNING, s.RUNNING, (*dead, "no cancel flag", "ran in company")),
        Rule(e.RECLAIM, s.RUNNING, s.RUNNING, (*dead, "no cancel flag", "ran alone", "attempts remain"), "yes"),
        Rule(e.BURY, s.RUNNING, s.FAILED, (*dead, "ran alone", "last attempt"), "yes"),
        Rule(e.BEAT, s.RUNNING, s.RUNNING, lease),
        Rule(e.SUCCEED, s.RUNNING, s.SUCCESS, lease),
        Rule(e.SUCCEED_PARTLY, s.RUNNING, s.PARTIAL_SUCCESS, lease),
        Rule(e.FAIL, s.RUNNING, s.FAILED, lease, "yes"),
        Rule(e.RETRY, s.RUNNING, s.QUEUED, unflagged, "yes"),
        Rule(e.SNOOZE, s.RUNNING, s.QUEUED, unflagged),
        Rule(e.PROCEED, s.RUNNING, s.QUEUED, unflagged),
        Rule(e.WAIT, s.RUNNING, s.WAITING, unflagged),
        Rule(e.WAKE, s.WAITING, s.QUEUED, ("my wait",)),
        Rule(e.CANCEL, s.WAITING, s.CANCELLED),
        Rule(e.CANCEL, s.QUEUED, s.CANCELLED),
        Rule(e.CANCEL, s.RUNNING, s.CANCELLED, ("lease over",)),
        Rule(e.REQUEST_CANCEL, s.RUNNING, s.RUNNING),
        Rule(e.CANCELLED, s.RUNNING, s.CANCELLED, lease),
        Rule(e.CANCELLED, s.RUNNING, s.CANCELLED, (*dead, "cancel flag")),
        Rule(e.EXPIRE, s.WAITING, s.FAILED, ("deadline over",)),
        Rule(e.EXPIRE, s.QUEUED, s.FAILED, ("deadline over",)),
        Rule(e.REDRIVE, s.FAILED, s.QUEUED, (), "starts anew"),
        Rule(e.REDRIVE, s.PARTIAL_SUCCESS, s.QUEUED, (), "starts anew"),
        Rule(e.REDRIVE, s.CANCELLED, s.QUEUED, (), "starts anew"),
    )


MOVES: Final[tuple[Rule, ...]] = _rules()

RULES: Final[Mapping[Event, tuple[Rule, ...]]] = {
    event: tuple(rule for rule in MOVES if rule.event is event) for event in Event
}

TARGET: Final[Mapping[Event, Status]] = {rule.event: rule.target for rule in MOVES}

COMPARE: Final[Mapping[str, Callable[[int, int], bool]]] = {"<": lt, "<=": le, ">": gt}


def permitted(event: Event, row: Row | None, facts: Facts) -> bool:
    """May `event` be written to this row (None: there is none) by a writer that believes `facts`?"""
    return any(_allows(rule, row, facts) for rule in applicable(event, facts))


def applicable(event: Event, facts: Facts) -> tuple[Rule, ...]:
    """The rules of `event` whose every fact the writer brings."""
    return tuple(
        rule
        for rule in RULES[event]
        if all(test.fact in facts for test in tests_of(rule) if isinstance(test.fact, str))
    )


def tests_of(rule: Rule) -> tuple[Test, ...]:
    """Every single test of a rule's guards, in order."""
    return tuple(test for name in rule.guards for test in GUARDS[name])


def _allows(rule: Rule, row: Row | None, facts: Facts) -> bool:
    if row is None or rule.source is None:
        return row is None and rule.source is None
    return row["status"] == rule.source and all(_holds(test, row, facts) for test in tests_of(rule))


def _holds(test: Test, row: Row, facts: Facts) -> bool:
    value = row.get(test.attribute)
    match test.operator:
        case "present":
            return value is not None
        case "absent":
            return value is None
    fact = facts[test.fact] if isinstance(test.fact, str) else test.fact
    if test.operator == "=":
        return value == fact
    negated, operator = test.operator.startswith("not "), test.operator.removeprefix("not ")
    return (isinstance(value, int) and isinstance(fact, int) and COMPARE[operator](value, fact)) is not negated
