"""Every situation in which a move may meet a row, as far as the table of moves can tell them apart.

For each event, and each set of facts that its writers bring: no row; and every status × every attribute that the table
reads for that event, at every value that matters (mine or another's; before, at and after the moment that counts; there
or not). Attributes that the table does not read for it take any of their values, by seeded dice. Since a condition
names no attribute beyond those (a test holds it), these cases stand for the product of all values of all attributes.
"""

import itertools
import secrets
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from math import prod
from random import Random
from typing import Final

from shared.job import Job
from shared.moves import CLOCK_SKEW_MS, Appended, Move, Plus
from shared.status import RULES, TARGET, Event, Facts, Status, tests_of

TENANT: Final = f"exhaustive-{secrets.token_hex(4)}"
NOW: Final = 1_767_225_600_000
DUE: Final = NOW + CLOCK_SKEW_MS

VALUES: Final[Mapping[str, tuple[object, ...]]] = {
    "epoch": (3, 4),
    "token": ("lease", "another", "mine"),
    "lease_until": (None, NOW - 1, NOW, NOW + 1),
    "due_at": (DUE - 1, DUE, DUE + 1),
    "deadline_at": (None, NOW - 1, NOW, NOW + 1, DUE, DUE + 1),
    "cancel_requested": (None, True),
    "alone": (None, True),
    "attempts_left": (1, 2),
    "wait_number": (None, 7, 8),
    "seq": (5, 6),
    "type": ("generic", "extract"),
}
"""`token`: the lease's; somebody else's; the very one that this move would write, whose answer was lost."""

SEEN: Final[Facts] = {"epoch": 3, "now": NOW}
HELD: Final[Facts] = {"epoch": 3, "lease": "lease"}
FACTS: Final[Mapping[Event, tuple[Facts, ...]]] = {
    Event.SUBMIT: ({},),
    Event.START: ({},),
    Event.SUBMIT_CANCELLED: ({},),
    Event.CLAIM: ({"type": "generic", "seq": 5, "now_with_skew": DUE},),
    Event.CLAIM_BARE: ({},),
    Event.RECLAIM: (SEEN,),
    Event.BURY: (SEEN,),
    Event.BEAT: (HELD,),
    Event.SUCCEED: (HELD,),
    Event.SUCCEED_PARTLY: (HELD,),
    Event.FAIL: (HELD,),
    Event.RETRY: (HELD,),
    Event.SNOOZE: (HELD,),
    Event.PROCEED: (HELD,),
    Event.WAIT: (HELD,),
    Event.WAKE: ({"wait_number": 7},),
    Event.CANCEL: ({}, {"now": NOW}),
    Event.REQUEST_CANCEL: ({},),
    Event.CANCELLED: (HELD, SEEN),
    Event.EXPIRE: ({"now": NOW},),
    Event.REDRIVE: ({},),
}

TOKENLESS: Final = frozenset({Event.BEAT, Event.REQUEST_CANCEL})


@dataclass(frozen=True, slots=True)
class Case:
    """`move` meets `row`. The row's id tells the number of the case."""

    move: Move
    row: Job | None


def attributes_read(event: Event) -> frozenset[str]:
    return frozenset(test.attribute for rule in RULES[event] for test in tests_of(rule))


def all_cases() -> list[Case]:
    numbers, dice = itertools.count(), Random(1)
    return [case for event in Event for facts in FACTS[event] for case in _cases(event, facts, numbers, dice)]


def combinations() -> int:
    """How many there are without leaving anything out."""
    rows = 1 + len(Status) * prod(len(values) for values in VALUES.values())
    return rows * sum(len(facts) for facts in FACTS.values())


def _cases(event: Event, facts: Facts, numbers: Iterator[int], dice: Random) -> Iterator[Case]:
    yield Case(_move(event, facts, next(numbers)), None)
    tokens = VALUES["token"] if "token" in attributes_read(event) else VALUES["token"][1:]
    read = {name: values for name, values in VALUES.items() if name in attributes_read(event)} | {"token": tokens}
    for status, *chosen in itertools.product(Status, *read.values()):
        number = next(numbers)
        anything = {name: dice.choice(values) for name, values in VALUES.items()}
        changes = anything | dict(zip(read, chosen, strict=True)) | {"status": status}
        yield Case(_move(event, facts, number), replace(_job(number), **changes))  # type: ignore[arg-type]  # VALUES hold it


def _move(event: Event, facts: Facts, number: int) -> Move:
    """Changes of every kind: set, remove, add, append."""
    token = None if event in TOKENLESS else "mine"
    if any(rule.source is None for rule in RULES[event]):
        created = replace(_job(number), status=TARGET[event], token="mine", history=(f"{NOW} {event} test",))
        return Move(event, TENANT, created.job_id, facts, {}, token, creates=created)
    changes = {
        "status": TARGET[event],
        "epoch": Plus(1),
        "lease_until": None,
        "history": Appended(f"{NOW} {event} test"),
    }
    return Move(event, TENANT, _id(number), facts, changes | ({"token": token} if token else {}), token)


def _id(number: int) -> str:
    return f"case-{number}"


def _job(number: int) -> Job:
    return Job(
        tenant_id=TENANT,
        job_id=_id(number),
        type="generic",
        status=Status.QUEUED,
        seq=5,
        token="another",
        attempts_left=2,
        attempts_max=3,
        created_at=NOW,
        updated_at=NOW,
        due_at=NOW,
        payload_hash="0" * 32,
        history=(f"{NOW} submit test",),
    )
