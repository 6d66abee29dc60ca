"""When to try again, and how long to wait."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.errors import InvalidInput, Permanent, Transient
from shared.retry import Policy, backoff_s, is_permanent

POLICY = Policy(retry_on=(TypeError,), give_up_on=(ConnectionError,))


class ValidationError(Exception):
    """Named as pydantic's is."""


@pytest.mark.parametrize(
    ("error", "ends"),
    [
        (Permanent("code", "message"), True),
        (InvalidInput("code", "message"), True),
        (Transient("code", "message"), False),
        (AssertionError(), True),
        (TypeError(), True),
        (ValidationError(), True),
        (RuntimeError("nobody classified this"), False),
        (OSError(), False),
    ],
    ids=repr,
)
def test_the_authors_own_mistakes_end_a_job_and_the_unknown_does_not(error: Exception, *, ends: bool) -> None:
    assert is_permanent(error, Policy()) is ends


def test_a_types_own_policy_goes_first() -> None:
    assert is_permanent(ConnectionResetError(), POLICY)
    assert not is_permanent(TypeError(), POLICY)


@given(st.integers(1, 10_000), st.floats(0, 1, exclude_max=True), st.floats(0, 100), st.floats(0, 1_000))
def test_a_backoff_stays_between_nothing_and_its_ceiling(
    failures: int, dice: float, base_s: float, more_s: float
) -> None:
    policy = Policy(base_delay_s=base_s, max_delay_s=base_s + more_s)
    delay_s = backoff_s(failures, policy, dice)
    assert 0 <= delay_s <= policy.max_delay_s
    assert delay_s <= base_s * 2.0 ** min(failures - 1, 1_000)


def test_the_ceiling_doubles_until_it_reaches_its_limit() -> None:
    assert [backoff_s(failures, Policy(), 0.5) for failures in (1, 2, 3, 4, 5, 6, 7)] == [0.5, 1, 2, 4, 8, 15, 15]


@given(st.integers(1, 100), st.floats(0, 1, exclude_max=True), st.floats(0, 10_000))
def test_a_retry_after_is_honoured(failures: int, dice: float, retry_after_s: float) -> None:
    assert backoff_s(failures, Policy(), dice, retry_after_s=retry_after_s) >= retry_after_s


@pytest.mark.parametrize("bad", [{"attempts_max": 0}, {"timeout_s": 0}, {"base_delay_s": -1}, {"base_delay_s": 31}])
def test_a_policy_that_makes_no_sense_cannot_be_made(bad: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="attempts_max"):
        Policy(**bad)  # type: ignore[arg-type]  # the numbers are the point
