"""A token bucket: how much a tenant may ask for, steadily and at once. Pure: the clock is an argument.

Whoever serves many requests takes tokens by the batch, so that a request costs no write of its own.
https://docs.aws.amazon.com/AWSEC2/latest/APIReference/throttling.html#throttling-how
"""

from dataclasses import dataclass
from typing import Final

BATCH_OF_RATE: Final = 0.5
"""A batch is what half a second brings."""


@dataclass(frozen=True, slots=True)
class Limit:
    """`rate` tokens a second, `burst` at most."""

    rate: float
    burst: int

    @property
    def batch(self) -> int:
        return max(1, min(self.burst, round(self.rate * BATCH_OF_RATE)))


@dataclass(frozen=True, slots=True)
class Bucket:
    """So many tokens were in it at `at` (milliseconds)."""

    tokens: float
    at: int


def taken(bucket: Bucket | None, limit: Limit, now: int) -> tuple[Bucket, int]:
    """A batch, or what there is of it, whole tokens only. → the bucket after it, and how many were got.

    None: nobody has taken anything yet; it is full. A clock that is behind another's takes nothing back.
    """
    bucket = bucket or Bucket(limit.burst, now)
    now = max(now, bucket.at)
    there = min(limit.burst, bucket.tokens + (now - bucket.at) * limit.rate / 1000)
    got = min(limit.batch, int(there))
    return Bucket(there - got, now), got


def next_token_s(bucket: Bucket, limit: Limit) -> float:
    """Seconds until it holds a whole token."""
    return max(0.0, 1 - bucket.tokens) / limit.rate
