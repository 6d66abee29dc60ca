"""Names that the system gives. Pure: time and dice are arguments."""

import hashlib

from shared.errors import InvalidInput


def uuid7_hex(now_ms: int, dice: bytes) -> str:
    """32 hex digits of a UUIDv7 (RFC 9562 §5.7): 48 bits of `now_ms`, then `dice` (10 random bytes)."""
    random = int.from_bytes(dice[:10])
    rand_a, rand_b = (random >> 62) & 0xFFF, random & ((1 << 62) - 1)
    return f"{(now_ms << 80) | (0x7 << 76) | (rand_a << 64) | (0b10 << 62) | rand_b:032x}"


def new_job_id(now_ms: int, dice: bytes) -> str:
    return f"job_{uuid7_hex(now_ms, dice)}"


def derived_job_id(*parts: str) -> str:
    """The same parts give the same id: (tenant, type, idempotency key), or (type, SQS message id) of a bare message."""
    return "job_" + digest("\0".join(parts))


def digest(text: str | bytes) -> str:
    """128 bits of SHA-256 as 32 hex digits."""
    data = text.encode() if isinstance(text, str) else text
    return hashlib.sha256(data).hexdigest()[:32]


def row_key(tenant_id: str, job_id: str) -> str:
    """The row's partition key. Neither part may hold `#`, so that no two pairs share a key."""
    for field, value in (("tenant_id", tenant_id), ("job_id", job_id)):
        if not value or "#" in value:
            raise InvalidInput("invalid_id", "a name without '#'", field=field)
    return f"{tenant_id}#{job_id}"
