"""What cannot be read is kept with the reason, counted and shown; never dropped, never tried again blindly."""

from typing import Final

from shared.job import compact_json, rfc3339
from shared.ports import Ports
from shared.runtime.documents import SIDE_RETENTION_MS
from shared.runtime.logs import count
from shared.verdict import shortened

PARTITION: Final = "quarantine"
INLINE_CHARACTERS_MAX: Final = 50_000
"""As JSON, a control character takes six bytes."""
REASON_BYTES_MAX: Final = 1_000


async def quarantine(ports: Ports, *, stack: str, source: str, item_id: str, body: str, reason: str) -> None:
    """Keep `body` (a message or stream record of `source`) once under its own id; then count it.

    A body of over 50,000 characters goes to S3, its item keeps the key. What UTF-8 cannot write is kept as an escape.
    """
    now, reason = ports.now(), shortened(reason, REASON_BYTES_MAX)
    body = body.encode("utf-8", "backslashreplace").decode()
    item = {"source": source, "reason": reason, "at": rfc3339(now)}
    if len(body) <= INLINE_CHARACTERS_MAX:
        item["body"] = body
    else:
        item["body_key"] = f"quarantine/{source}/{item_id}"
        await ports.objects.put(item["body_key"], body.encode(), content_type="text/plain")
    expires_at = (now + SIDE_RETENTION_MS) // 1000
    await ports.side.put_once(PARTITION, f"{source}#{item_id}", compact_json(item), expires_at=expires_at)
    count("quarantined", stack=stack, source=source, item_id=item_id, reason=reason)
