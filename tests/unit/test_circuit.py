"""A circuit's decisions, cell by cell."""

from dataclasses import replace
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.circuit import (
    RETRY_AFTER_S_MAX,
    Breaker,
    Circuit,
    End,
    Report,
    Standing,
    after,
    circuit_json,
    elected,
    read_circuit,
    standing,
    wait_s,
)

NOW = 1_767_225_600_000
BREAKER = Breaker(failure_threshold=3, window_s=60, reset_timeout_s=30, reset_timeout_max_s=100)

STANDS = {
    Standing.CLOSED: Circuit("t", failures=1, since_at=NOW - 1_000),
    Standing.OPEN: Circuit("t", failures=3, trips=1, open_until=NOW + 1),
    Standing.FREE: Circuit("t", failures=3, trips=1, open_until=NOW),
    Standing.PROBING: Circuit("t", failures=3, trips=1, open_until=NOW, probe_until=NOW + 1),
    Standing.MINE: Circuit("mine", failures=3, trips=1, open_until=NOW, probe_until=NOW + 1),
}


def report(end: End, *, now: int = NOW, token: str = "new", retry_after_s: float = 0.0) -> Report:  # noqa: S107  no secret
    return Report(end, now, token, retry_after_s)


@pytest.mark.parametrize(("stands", "circuit"), STANDS.items())
def test_every_standing_is_recognised(stands: Standing, circuit: Circuit) -> None:
    assert standing(circuit, NOW, "mine") is stands


def test_without_a_document_a_circuit_is_closed() -> None:
    assert standing(None, NOW, "mine") is Standing.CLOSED


def test_only_the_table_s_cells_write() -> None:
    """The document as it was, the very object, means that nothing is written."""
    writes = {
        (stands, end)
        for (stands, circuit), end in product(STANDS.items(), End)
        if after(circuit, BREAKER, report(end), "mine") is not circuit
    }
    assert writes == {
        (Standing.CLOSED, End.ANSWERED),
        (Standing.CLOSED, End.FAILED),
        (Standing.MINE, End.ANSWERED),
        (Standing.MINE, End.FAILED),
        (Standing.MINE, End.CUT_SHORT),
    }


def test_a_healthy_world_is_never_written() -> None:
    assert after(None, BREAKER, report(End.ANSWERED)) is None
    assert after(None, BREAKER, report(End.CUT_SHORT)) is None
    mended = Circuit("t")
    assert after(mended, BREAKER, report(End.ANSWERED)) is mended


def test_as_many_failures_in_a_row_as_the_threshold_open_it_for_the_reset_time() -> None:
    circuit: Circuit | None = None
    for second, stands in enumerate((Standing.CLOSED, Standing.CLOSED, Standing.OPEN)):
        now = NOW + 1_000 * second
        circuit = after(circuit, BREAKER, report(End.FAILED, now=now, token=f"t{second}"))
        assert standing(circuit, now) is stands
    assert circuit == Circuit("t2", failures=3, trips=1, since_at=NOW, open_until=NOW + 2_000 + 30_000)


def test_an_answer_between_two_failures_forgets_the_first() -> None:
    first = after(None, BREAKER, report(End.FAILED, token="first"))
    assert first is not None
    assert after(first, BREAKER, report(End.ANSWERED)) == Circuit("new")
    assert after(STANDS[Standing.MINE], BREAKER, report(End.ANSWERED), "mine") == Circuit("new")


def test_failures_further_apart_than_the_window_are_not_in_a_row() -> None:
    first = after(None, BREAKER, report(End.FAILED, token="first"))
    late = after(first, BREAKER, report(End.FAILED, now=NOW + 60_000))
    assert late is not None
    assert (late.failures, late.since_at) == (1, NOW + 60_000)
    in_time = after(first, BREAKER, report(End.FAILED, now=NOW + 59_999))
    assert in_time is not None
    assert (in_time.failures, in_time.since_at) == (2, NOW)


def test_a_failure_that_says_when_to_come_back_opens_at_once_until_then() -> None:
    circuit = after(None, BREAKER, report(End.FAILED, retry_after_s=7))
    assert circuit is not None
    assert (circuit.failures, circuit.open_until) == (1, NOW + 7_000)


def test_the_longer_of_reset_time_and_retry_after_holds() -> None:
    almost = Circuit("t", failures=2, since_at=NOW)
    for retry_after_s, open_s in ((7, 30), (45, 45), (10**9, RETRY_AFTER_S_MAX)):
        circuit = after(almost, BREAKER, report(End.FAILED, retry_after_s=retry_after_s))
        assert circuit is not None
        assert circuit.open_until == NOW + open_s * 1000


def test_each_failed_probe_doubles_the_reset_time_up_to_its_maximum() -> None:
    circuit, resets_s = STANDS[Standing.FREE], []
    for number in range(4):
        probing = elected(circuit, circuit.open_until, f"probe{number}", 5)
        failed = after(probing, BREAKER, report(End.FAILED, now=probing.open_until), f"probe{number}")
        assert failed is not None
        resets_s.append((failed.open_until - probing.open_until) / 1000)
        circuit = failed
    assert resets_s == [60, 100, 100, 100]


def test_a_probe_that_was_cut_short_proves_nothing() -> None:
    circuit = after(STANDS[Standing.MINE], BREAKER, report(End.CUT_SHORT), "mine")
    assert standing(circuit, NOW) is Standing.OPEN


def test_a_probe_is_alone_until_its_call_must_have_ended() -> None:
    probing = elected(STANDS[Standing.FREE], NOW, "probe", call_s=5)
    assert standing(probing, NOW + 14_999) is Standing.PROBING
    assert standing(probing, NOW + 15_000) is Standing.FREE
    assert standing(probing, NOW + 15_000, "probe") is Standing.MINE, "late, but nobody took its place"


def test_a_report_that_was_written_already_is_not_counted_twice() -> None:
    """The answer to the first writing was lost."""
    once = after(None, BREAKER, report(End.FAILED))
    assert after(once, BREAKER, report(End.FAILED)) is once


def test_a_probe_that_was_replaced_changes_nothing() -> None:
    first = elected(STANDS[Standing.FREE], NOW, "first", call_s=5)
    second = elected(first, NOW + 20_000, "second", call_s=5)
    for end in End:
        assert after(second, BREAKER, report(end, now=NOW + 21_000), "first") is second


@given(st.integers(0, 100_000), st.floats(0, 1, exclude_max=True))
def test_whoever_waits_comes_back_when_it_may_be_over_and_not_all_at_once(open_ms: int, dice: float) -> None:
    waited_s = wait_s(Circuit("t", open_until=NOW + open_ms), BREAKER, NOW, dice)
    assert waited_s == pytest.approx(open_ms / 1000 + 1 + dice * BREAKER.reset_timeout_s)
    assert waited_s > open_ms / 1000


@pytest.mark.parametrize("circuit", STANDS.values())
def test_a_document_reads_as_it_was_written(circuit: Circuit) -> None:
    assert read_circuit(circuit_json(circuit)) == circuit
    assert circuit_json(replace(circuit, token="other")) != circuit_json(circuit)


@pytest.mark.parametrize(
    "bad", [{"failure_threshold": 0}, {"window_s": 0}, {"reset_timeout_s": 0}, {"reset_timeout_s": 301}]
)
def test_a_breaker_that_makes_no_sense_cannot_be_made(bad: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="failure_threshold"):
        Breaker(**bad)
