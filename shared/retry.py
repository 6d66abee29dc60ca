"""When and how often to try again. Pure: the dice are an argument.

Full jitter after exponential backoff keeps a crowd of failures from coming back as a crowd:
https://aws.amazon.com/builders-library/timeouts-retries-and-backoff-with-jitter/
"""

from dataclasses import dataclass
from typing import Final

from shared.circuit import Breaker
from shared.errors import LongshoreError, Permanent, Transient
from shared.throttle import Concurrency, Door, Throttle

DELAY_S_MAX: Final = 366 * 24 * 3600
"""Nothing is put off for longer, whoever asks."""

ALWAYS_PERMANENT: Final[tuple[type[BaseException], ...]] = (AssertionError, TypeError)
"""The author's own mistakes: the same code will make them again."""

LOCAL: Final = (FileExistsError, FileNotFoundError, IsADirectoryError, NotADirectoryError, PermissionError)
"""OSErrors of this machine's files. The others (refused, reset, timed out, no such host, bad TLS) come from the net."""


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
    circuit: Breaker | None = None
    """Set: this type's jobs all need one world; while it is broken, those of the same tenant are left in the queue."""
    throttles: tuple[Throttle, ...] = ()
    """What jobs of this type wait for before they begin: rates, and one concurrency at most."""
    door: Door | None = None
    """Which of several jobs for the same thing come in: one alive, or the newest."""

    def __post_init__(self) -> None:
        if self.attempts_max < 1 or self.timeout_s < 1 or not 0 <= self.base_delay_s <= self.max_delay_s:
            raise ValueError(f"attempts_max and timeout_s must be at least 1, 0 <= base_delay_s <= max_delay_s: {self}")
        if sum(isinstance(throttle, Concurrency) for throttle in self.throttles) > 1:
            raise ValueError("one Concurrency: of two, a job would keep the place of one while it waits for the other")


def is_permanent(error: BaseException, policy: Policy) -> bool:
    """Does this exception end the job? What nobody classified is transient: trying again is the safer guess."""
    error = cause_of(error)
    if isinstance(error, policy.retry_on):
        return False
    if isinstance(error, policy.give_up_on):
        return True
    if isinstance(error, LongshoreError):
        return not isinstance(error, Transient)
    return isinstance(error, (*ALWAYS_PERMANENT, Permanent)) or type(error).__name__ == "ValidationError"


def is_the_worlds(error: BaseException, policy: Policy) -> bool:
    """Does this exception mean that the other side is broken? What nobody classified is rather the author's own."""
    cause = cause_of(error)
    of_the_net = isinstance(cause, OSError) and not isinstance(cause, LOCAL)
    return (of_the_net or isinstance(cause, (Transient, *policy.retry_on))) and not is_permanent(cause, policy)


def next_try_s(error: BaseException, failures: int, policy: Policy, dice: float) -> float | None:
    """Seconds to wait after the `failures`-th failure (from 1) of a call; None: give it up."""
    if failures >= policy.attempts_max or is_permanent(error, policy):
        return None
    return backoff_s(failures, policy, dice, retry_after_s=asked_s(error))


def asked_s(error: BaseException) -> float:
    """The seconds that the other side asked for, if it did."""
    cause = cause_of(error)
    return (cause.retry_after_s or 0.0) if isinstance(cause, Transient) else 0.0


def cause_of(error: BaseException) -> BaseException:
    """Of what a task group collected, the first: it stopped the others."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


def backoff_s(failures: int, policy: Policy, dice: float, *, retry_after_s: float | None = None) -> float:
    """Seconds to wait after the `failures`-th failure (from 1); `dice` in [0, 1). Never less than `retry_after_s`."""
    ceiling_s = min(policy.max_delay_s, policy.base_delay_s * 2.0 ** min(failures - 1, 63))
    return bounded_s(max(dice * ceiling_s, retry_after_s or 0.0))


def bounded_s(delay_s: float) -> float:
    """A delay that makes sense: none, up to a year."""
    return min(max(0.0, delay_s), DELAY_S_MAX)
