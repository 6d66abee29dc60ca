"""Pauses, kept beside the rows; decided in `shared/pause.py`.

- A process knows them all for up to five seconds: one read, however many jobs. One that cannot be read changes nothing.
- A resume goes on where it was cut short: the pause holds nobody from its first word, and is gone when nothing is left
  that it kept.
"""

import asyncio
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from shared.errors import Conflict, NotFound, WorldFault
from shared.pause import PAUSES_MAX, Pause, holding, pause_sk
from shared.ports import Ports
from shared.runtime.logs import get_logger
from shared.runtime.parking import parked_at, wake

PK: Final = "paused"
FRESH_MS: Final = 5_000
PAGE: Final = 100
LEFT_MAX: Final = 1_000


class Pauses:
    """What one process knows of them."""

    def __init__(self, ports: Ports) -> None:
        self._ports = ports
        self._known: Sequence[Pause] = ()
        self._read_at: float = -math.inf
        self._reading = asyncio.Lock()

    async def of(self, tenant_id: str, job_type: str) -> Pause | None:
        """The one that holds such a job, as it was five seconds ago at most."""
        async with self._reading:
            now = self._ports.now()
            if now - self._read_at >= FRESH_MS:
                try:
                    self._known = await all_pauses(self._ports)
                except WorldFault as fault:
                    get_logger().warning("pauses_unread", reason=str(fault))
                self._read_at = now
        return holding(self._known, tenant_id, job_type)


@dataclass(frozen=True, slots=True)
class Resumed:
    """`woken` by this call; `left` to be woken by the next, up to 1,000 of them."""

    woken: int
    left: int


async def all_pauses(ports: Ports) -> Sequence[Pause]:
    return [Pause.model_validate_json(body) for _, body in await ports.side.query(PK, limit=PAUSES_MAX)]


async def pause(ports: Ports, new: Pause) -> Pause:
    """→ the pause as it is: the one that was there, if it was. Workers learn of it within five seconds."""
    body = await ports.side.get(PK, new.sk)
    old = None if body is None else Pause.model_validate_json(body)
    if old is not None and not old.is_resuming:
        return old
    if old is None and len(await all_pauses(ports)) >= PAUSES_MAX:
        raise Conflict("too_many_pauses", f"{PAUSES_MAX} are there: pause types for all tenants, or resume some")
    if not await ports.side.swap(PK, new.sk, old=body, new=new.model_dump_json(exclude_defaults=True)):
        raise WorldFault("contended", "somebody else pauses or resumes it: try again")
    return new


async def resume(ports: Ports, pause_id: str, tenant_id: str, *, until: int) -> Resumed:
    """Wake what it has kept, until `until` (milliseconds). NotFound if nothing is paused so."""
    sk = pause_sk(pause_id, tenant_id)
    body = await ports.side.get(PK, sk)
    if body is None:
        raise NotFound("no_such_pause", f"nothing is paused as {pause_id}", field="pause_id")
    ending = Pause.model_validate_json(body).model_copy(update={"is_resuming": True})
    ended = ending.model_dump_json(exclude_defaults=True)
    if not await ports.side.swap(PK, sk, old=body, new=ended):
        raise WorldFault("contended", "somebody else pauses or resumes it: try again")
    woken = 0
    while items := await parked_at(ports, pause_pk(sk), limit=PAGE):
        if ports.now() >= until:
            return Resumed(woken, len(await parked_at(ports, pause_pk(sk), limit=LEFT_MAX)))
        await wake(ports, pause_pk(sk), items)
        woken += len(items)
    await ports.side.swap(PK, sk, old=ended, new=None)
    return Resumed(woken, 0)


def pause_pk(sk: str) -> str:
    """Of the wake-ups that a pause has kept."""
    return f"paused-by#{sk}"
