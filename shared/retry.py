"""When and how often to try again. Pure: the dice are an argument.

Full jitter after exponential backoff keeps a crowd of failures from coming back as a crowd:
https://aws.amazon.com/builders-library/timeouts-retries-and-backoff-with-jitter/
"""

from dataclasses import dataclass
from typing import Final

from shared.errors import LongshoreError, Permanent, Transient

DELAY_S_MAX: Final = 366 * 24 * 3600
"""Nothing is put off for longer, whoever asks."""

ALWAYS_PERMANENT: Final[tuple[type[BaseException], ...]] = (AssertionError, TypeError)
"""The author's own mistakes: the same code will make them again."""


@dataclass(frozen=True, slots=True)
class Policy:
    """How one job type is run. `timeout_s` bounds one attempt; `attempts_max` counts failures and lonely deaths."""

    attempts_max: int = 3
    base_delay_s: float = 1.0
    max_delay_s: float = 30.0
    timeout_s: int = 60
    retry_on: tuple[type[BaseException], ...] = ()
    give_up_on: tuple[type[BaseException], ...] = ()
    inline_result: bool = False

    def __post_init__(self) -> None:
        if self.attempts_max < 1 or self.timeout_s < 1 or not 0 <= self.base_delay_s <= self.max_delay_s:
            raise ValueError(f"attempts_max and timeout_s must be at least 1, 0 <= base_delay_s <= max_delay_s: {self}")


def is_permanent(error: BaseException, policy: Policy) -> bool:
    """Does this exception end the job? What nobody classified is transient: trying again is the safer guess."""
    if isinstance(error, policy.retry_on):
        return False
    if isinstance(error, policy.give_up_on):
        return True
    if isinstance(error, LongshoreError):
        return not isinstance(error, Transient)
    return isinstance(error, (*ALWAYS_PERMANENT, Permanent)) or type(error).__name__ == "ValidationError"


def backoff_s(failures: int, policy: Policy, dice: float, *, retry_after_s: float | None = None) -> float:
    """Seconds to wait after the `failures`-th failure (from 1); `dice` in [0, 1). Never less than `retry_after_s`."""
    ceiling_s = min(policy.max_delay_s, policy.base_delay_s * 2.0 ** min(failures - 1, 63))
    return bounded_s(max(dice * ceiling_s, retry_after_s or 0.0))


def bounded_s(delay_s: float) -> float:
    """A delay that makes sense: none, up to a year."""
    return min(max(0.0, delay_s), DELAY_S_MAX)
