"""Wake-ups kept beside the rows until there is a place, or a pause is over.

Who parks looks again afterwards, and who frees looks at what is parked afterwards: one of them sees the other.
A wake-up is sent first and then forgotten; sent twice, it is refused once.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Final

from shared.consequences import Vacate
from shared.errors import WorldFault
from shared.job import Job
from shared.parking import Parked, parked, read_parked
from shared.ports import Ports
from shared.throttle import Held, Hold, Room, freed, held_json, read_held

KEPT_S: Final = 400 * 24 * 3600

HANDED_MAX: Final = 10
"""Looked at for one end of a run."""

HANDOVER_MS: Final = 300_000
"""A place that was handed over is kept this long for a worker to take the job."""

LAST: Final = "~"
"""After every sort key: they begin with a digit."""

SWAPS_MAX: Final = 12

UNUSED_S: Final = 30 * 24 * 3600
"""A limiter, and a list of places, that nobody has changed for so long is forgotten."""


async def park(ports: Ports, pk: str, row: Job) -> None:
    item = parked(row)
    await ports.side.put_once(pk, item.sk, item.body, expires_at=ports.now() // 1000 + KEPT_S)


async def parked_at(ports: Ports, pk: str, *, limit: int) -> Sequence[Parked]:
    """The longest due first."""
    return [read_parked(sk, body) for sk, body in await ports.side.query(pk, limit=limit, up_to=LAST)]


async def wake(ports: Ports, pk: str, items: Sequence[Parked]) -> None:
    if await ports.queues.send([item.outgoing() for item in items]):
        raise WorldFault("not_sent", "some wake-ups were not taken")
    await forget(ports, pk, items)


async def forget(ports: Ports, pk: str, items: Sequence[Parked]) -> None:
    await asyncio.gather(*(ports.side.swap(pk, item.sk, old=item.body, new=None) for item in items))


# --- places -----------------------------------------------------------------------------------------------------------


def room_pk(room: Room) -> str:
    return f"waiting-for#{room.key}"


async def held_of(ports: Ports, room: Room) -> Held:
    return read_held(await ports.side.get(*_held_at(room)))


async def change_held(ports: Ports, room: Room, change: Callable[[Held], Held]) -> Held:
    """→ the places after `change`, which is written if it is one. WorldFault while too many others change them."""
    for _ in range(SWAPS_MAX):
        body = await ports.side.get(*_held_at(room))
        held = read_held(body)
        after = change(held)
        expires_at = ports.now() // 1000 + UNUSED_S
        if after == held or await ports.side.swap(
            *_held_at(room), old=body, new=held_json(after, ports.token()), expires_at=expires_at
        ):
            return after
    raise WorldFault("contended", f"the places of {room.key} changed {SWAPS_MAX} times")


def _held_at(room: Room) -> tuple[str, str]:
    return f"throttle#{room.key}", "held"


async def vacate(ports: Ports, room: Room, vacates: Sequence[Vacate]) -> None:
    """Carry out all of one room. One of a run that had not begun is not believed: it may have been redriven since."""
    unsure = [one for one in vacates if one.epoch > one.job.epoch]
    rows = await asyncio.gather(*(ports.jobs.get(one.job.tenant_id, one.job.job_id) for one in unsure))
    alive = {row.key for row in rows if row is not None and not row.status.is_terminal}
    gone = [one for one in vacates if one not in unsure or one.job.key not in alive]
    await hand_over(ports, room, {one.job.key: one.epoch for one in sorted(gone, key=lambda one: one.epoch)})


async def hand_over(ports: Ports, room: Room, gone: Mapping[str, int]) -> None:
    """These runs (holder → epoch) are over: their places go to those that wait longest. Repeating it changes nothing.

    The place is theirs before they are woken: nobody comes between, so they are woken once.
    """
    pk = room_pk(room)
    while True:
        heads = await parked_at(ports, pk, limit=HANDED_MAX)
        rows = await asyncio.gather(*(ports.jobs.get(one.wakeup.tenant_id, one.wakeup.job_id) for one in heads))
        alive = [(item, row) for item, row in zip(heads, rows, strict=True) if row and item.is_alive(row)]
        held = await change_held(ports, room, partial(_handed, ports, room, alive, gone))
        over = [item for item in heads if item not in [one for one, _ in alive]]
        await forget(ports, pk, over)
        if woken := [item for item, row in alive if row.key in held]:
            await wake(ports, pk, woken)
        if len(heads) < HANDED_MAX or len(woken) < len(alive) or len(held) >= room.at_once:
            return


def _handed(ports: Ports, room: Room, alive: Sequence[tuple[Parked, Job]], gone: Mapping[str, int], held: Held) -> Held:
    left = dict(freed(held, gone))
    for _, row in alive:
        if row.key not in left and len(left) < room.at_once:
            left[row.key] = Hold(row.epoch + 1, ports.now() + HANDOVER_MS, "")
    return left
