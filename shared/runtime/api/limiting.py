"""429 for a tenant that asks too much. A container takes tokens by the batch from the tenant's bucket beside the rows.

A bucket that AWS will not show lets everybody in: a limit is no reason to be down.
"""

import math
from typing import Final

from pydantic_core import from_json

from shared.bucket import Bucket, Limit, next_token_s, taken
from shared.errors import WorldFault
from shared.job import compact_json
from shared.ports import Ports
from shared.runtime.api.messages import Caller
from shared.runtime.api.problems import Refusal
from shared.runtime.logs import get_logger

PARTITION: Final = "requests"
KEEP_MS: Final = 60_000
"""Tokens in hand that nobody used are forgotten after this. They are out of the bucket: keeping them grants no more."""

TRIES: Final = 5
FORGET_AFTER_S: Final = 3_600


class Limiter:
    def __init__(self, ports: Ports, limit: Limit) -> None:
        self._ports = ports
        self._limit = limit
        self._hand: dict[str, tuple[int, int]] = {}
        """tenant → tokens in hand, and when they were taken"""
        self._empty_until: dict[str, int] = {}
        """tenant → until when its bucket holds nothing: whoever floods is refused without a look at it"""

    async def __call__(self, caller: Caller) -> None:
        """Take one token of the caller's tenant. Refusal 429 with Retry-After."""
        tenant, now = caller.tenant_id, self._ports.now()
        left, since = self._hand.get(tenant, (0, now))
        if left < 1 or now - since > KEEP_MS:
            if now < self._empty_until.get(tenant, 0):
                raise _too_many((self._empty_until[tenant] - now) / 1000)
            left, since = await self._batch(tenant), now
        self._hand[tenant] = (left - 1, since)

    async def _batch(self, tenant: str) -> int:
        try:
            for _ in range(TRIES):
                old = await self._ports.side.get(PARTITION, tenant)
                bucket, got = taken(_read(old), self._limit, self._ports.now())
                if not got:
                    after_s = next_token_s(bucket, self._limit)
                    self._empty_until[tenant] = self._ports.now() + math.ceil(after_s * 1000)
                    raise _too_many(after_s)
                if await self._swapped(tenant, old, bucket):
                    return got
        except WorldFault as fault:
            get_logger().warning("limiter_failed", tenant_id=tenant, reason=str(fault))
            return self._limit.batch
        raise _too_many(1.0)

    async def _swapped(self, tenant: str, old: str | None, bucket: Bucket) -> bool:
        new = compact_json({"tokens": bucket.tokens, "at": bucket.at, "token": self._ports.token()})
        expires_at = bucket.at // 1000 + FORGET_AFTER_S
        return await self._ports.side.swap(PARTITION, tenant, old=old, new=new, expires_at=expires_at)


def _read(body: str | None) -> Bucket | None:
    document = None if body is None else from_json(body)
    return Bucket(float(document["tokens"]), int(document["at"])) if document else None


def _too_many(after_s: float) -> Refusal:
    headers = {"Retry-After": str(max(1, math.ceil(after_s)))}
    return Refusal(429, "too_many_requests", "this tenant asks faster than its limit allows", headers)
