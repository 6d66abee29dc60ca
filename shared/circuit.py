"""A circuit breaker's decisions: a world that is broken is left alone until it may have been mended. Pure.

standing   a call may begin         it answered        it failed                       it was cut short
closed     yes                      failures forgotten counted; the threshold's opens  -
open       no                       -                  -                               -
free       one, once it is elected  -                  -                               -
probing    no, another's is out     -                  -                               -
mine       this one                 closed             opens again, for longer         opens again, for longer

- Nothing is written while all is well; a document is replaced, never deleted: its writers need no right to delete.
- Only a failure of the world counts (`retry.is_the_worlds`); whoever answers, if only to refuse, is not broken.
- A failure that says when to come back opens at once, until then at least.
- Every document has a token of its own, a probe's is its fence: what a replaced probe finds out changes nothing.
"""

import json
from dataclasses import asdict, dataclass, replace
from enum import StrEnum
from typing import Final

from shared.errors import WorldFault
from shared.job import compact_json

RETRY_AFTER_S_MAX: Final = 3_600.0
"""A host may ask for more; it is asked again after this."""

PROBE_MARGIN_S: Final = 10.0
"""A probe is dead this long after its call must have ended."""


@dataclass(frozen=True, slots=True)
class Breaker:
    """`failure_threshold` failures in a row within `window_s` open the circuit for `reset_timeout_s`.

    Each probe that fails doubles that, up to `reset_timeout_max_s`.
    """

    failure_threshold: int = 5
    window_s: float = 60.0
    reset_timeout_s: float = 30.0
    reset_timeout_max_s: float = 300.0

    def __post_init__(self) -> None:
        in_order = 0 < self.reset_timeout_s <= self.reset_timeout_max_s
        if self.failure_threshold < 1 or self.window_s <= 0 or not in_order:
            raise ValueError(f"failure_threshold at least 1, window_s over 0, 0 < reset <= its maximum: {self}")


@dataclass(frozen=True, slots=True)
class Circuit:
    """The document that workers share. `*_at` and `*_until` in milliseconds; 0: not so."""

    token: str
    failures: int = 0
    since_at: int = 0
    """The first of these failures."""
    open_until: int = 0
    trips: int = 0
    """How often it opened since it was last closed."""
    probe_until: int = 0


class Standing(StrEnum):
    CLOSED = "closed"
    OPEN = "open"
    FREE = "free"
    PROBING = "probing"
    MINE = "mine"


class End(StrEnum):
    """Of a call, as far as it tells of the world. CUT_SHORT tells nothing: cancelled, or AWS itself at fault."""

    ANSWERED = "answered"
    FAILED = "failed"
    CUT_SHORT = "cut_short"


@dataclass(frozen=True, slots=True)
class Report:
    """How a call ended: what the next document is made of. `token` is fresh."""

    end: End
    now: int
    token: str
    retry_after_s: float = 0.0


class CircuitOpen(WorldFault):
    """The call was not made, or its failure surprised nobody: come back in `retry_after_s`. No attempt is spent."""

    def __init__(self, name: str, retry_after_s: float) -> None:
        super().__init__("circuit_open", f"left alone for {retry_after_s:.0f} s", field=name)
        self.retry_after_s = retry_after_s


def standing(circuit: Circuit | None, now: int, probe: str = "") -> Standing:
    """As seen by the holder of the token `probe`, if any."""
    if circuit is None or not circuit.open_until:
        return Standing.CLOSED
    if probe and circuit.token == probe:
        return Standing.MINE
    if now < circuit.open_until:
        return Standing.OPEN
    return Standing.PROBING if now < circuit.probe_until else Standing.FREE


def elected(circuit: Circuit, now: int, token: str, call_s: float) -> Circuit:
    """The document by which `token` becomes the probe, whose call takes up to `call_s`."""
    return replace(circuit, token=token, probe_until=now + round((call_s + PROBE_MARGIN_S) * 1000))


def after(circuit: Circuit | None, breaker: Breaker, report: Report, probe: str = "") -> Circuit | None:
    """The next document. The same object: nothing is to be written, or it was."""
    if circuit is not None and circuit.token == report.token:
        return circuit
    match standing(circuit, report.now, probe), report.end:
        case (Standing.CLOSED | Standing.MINE, End.ANSWERED) if circuit is not None and circuit.failures:
            return Circuit(report.token)
        case (Standing.CLOSED, End.FAILED):
            return _counted(circuit, breaker, report)
        case (Standing.MINE, End.FAILED | End.CUT_SHORT) if circuit is not None:
            reset_s = min(breaker.reset_timeout_s * 2.0 ** min(circuit.trips, 63), breaker.reset_timeout_max_s)
            return Circuit(report.token, circuit.failures, circuit.since_at, _until(report, reset_s), circuit.trips + 1)
    return circuit


def wait_s(circuit: Circuit | None, breaker: Breaker, now: int, dice: float) -> float:
    """Seconds until it is worth coming back: spread over a reset's time, so that the mended world meets no crowd."""
    open_ms = max(0, circuit.open_until - now) if circuit else 0
    return open_ms / 1000 + 1 + dice * breaker.reset_timeout_s


def read_circuit(body: str | None) -> Circuit | None:
    return None if body is None else Circuit(**json.loads(body))


def circuit_json(circuit: Circuit) -> str:
    return compact_json(asdict(circuit))


def _counted(circuit: Circuit | None, breaker: Breaker, report: Report) -> Circuit:
    known = circuit if circuit and report.now - circuit.since_at < breaker.window_s * 1000 else None
    since_at, failures = (known.since_at, known.failures + 1) if known else (report.now, 1)
    until = _until(report, breaker.reset_timeout_s if failures >= breaker.failure_threshold else 0.0)
    return Circuit(report.token, failures, since_at, until, trips=1 if until else 0)


def _until(report: Report, reset_s: float) -> int:
    """0: it stays closed."""
    open_s = max(reset_s, min(report.retry_after_s, RETRY_AFTER_S_MAX))
    return report.now + round(open_s * 1000) if open_s > 0 else 0
