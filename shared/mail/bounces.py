"""A tenant's addresses that mails came back from: noted beside the rows, and looked at before a mail is sent.

    pk #bounced#{tenant}    sk {address, in lower case}    why, and since when

(No tenant's name begins with `#`.)
"""

import asyncio
from collections.abc import Iterable, Mapping
from typing import Final

from shared.job import rfc3339
from shared.ports import Ports
from shared.runtime.documents import SIDE_RETENTION_MS
from shared.verdict import shortened

WHY_BYTES_MAX: Final = 100


async def note(ports: Ports, tenant_id: str, lost: Mapping[str, str]) -> None:
    """The first word about an address is kept, for half a year."""
    now = ports.now()
    expires_at = (now + SIDE_RETENTION_MS) // 1000
    for address, why in lost.items():
        body = f"on {rfc3339(now)[:10]}: {shortened(why or 'it bounced', WHY_BYTES_MAX)}"
        await ports.side.put_once(_pk(tenant_id), address.lower(), body, expires_at=expires_at)


async def noted(ports: Ports, tenant_id: str, addresses: Iterable[str]) -> dict[str, str]:
    """Of `addresses`, those that mails came back from, and why."""
    asked = list(addresses)
    found = await asyncio.gather(*(ports.side.get(_pk(tenant_id), address.lower()) for address in asked))
    return {address: body for address, body in zip(asked, found, strict=True) if body is not None}


async def forget(ports: Ports, tenant_id: str, addresses: Iterable[str]) -> None:
    for address, body in (await noted(ports, tenant_id, addresses)).items():
        await ports.side.swap(_pk(tenant_id), address.lower(), old=body, new=None)


def _pk(tenant_id: str) -> str:
    return f"#bounced#{tenant_id}"
