"""The gate before the claim: is the job paused, is there a place for it, is it its turn?

    paused           its wake-up is parked and acknowledged; the resume sends it again
    no place         the same; the end of a run that holds one hands it over and sends it again
    not its turn     a slot is reserved, its place is kept, the message is hidden until then

- A type without throttles pays nothing: whether it is paused is known to the process (`shared/runtime/pause.py`).
- All others cost a read of the row, so that a duplicate that comes later uses up no slot. No attempt is spent, and no
  `seq`: nothing is written to the row.
- What has begun (a run that died, and is taken over) passes, and so does what ends without a run.
"""

import asyncio
from dataclasses import dataclass
from functools import partial
from typing import Final

from shared.admission import new_job
from shared.delivery import HIDE_MAX_S, Action, Delivery, Do, decide
from shared.envelope import Envelope, Wakeup
from shared.errors import WorldFault
from shared.job import Job
from shared.moves import CLOCK_SKEW_MS, submit
from shared.pause import holding
from shared.payloads.base import Payload
from shared.ports import Ports
from shared.runtime.documents import keep_payload
from shared.runtime.host import Host
from shared.runtime.parking import SWAPS_MAX, UNUSED_S, change_held, hand_over, held_of, park, room_pk
from shared.runtime.pause import Pauses, all_pauses, pause_pk
from shared.status import Status
from shared.throttle import Held, Hold, Limiter, Room, read_throttles, reserved, taken

SLOT_KEPT_S: Final = 7 * 24 * 3600

BELIEVED_MS: Final = 60_000
"""A run that is seen to live keeps its place so long beyond its lease, before it is looked at again."""


@dataclass(frozen=True, slots=True)
class Pass:
    """Go and claim it. `room`: where a place was taken under `token`, for `holder`."""

    room: Room | None = None
    holder: str = ""
    token: str = ""


class Gate:
    """Of one job type in one process."""

    def __init__(self, ports: Ports, job_type: str, *, is_throttled: bool) -> None:
        self._ports = ports
        self._type = job_type
        self._is_throttled = is_throttled
        self._pauses = Pauses(ports)
        self._turn = asyncio.Lock()

    async def enter(self, parcel: Wakeup | Envelope[Payload], delivery: Delivery, host: Host) -> Pass | Action:
        """Action: what to do with it instead of claiming it."""
        tenant_id = parcel.tenant_id
        if not self._is_throttled and await self._pauses.of(tenant_id, self._type) is None:
            return Pass()
        bare = parcel if isinstance(parcel, Envelope) else None
        row = await (self._in(bare, host.lane) if bare else self._ports.jobs.get(tenant_id, parcel.job_id))
        action = decide(row, delivery, self._ports.now())
        if row is None or action.do in {Do.ACKNOWLEDGE, Do.HIDE, Do.QUARANTINE}:
            return action
        if action.do is not Do.CLAIM:
            return Pass()
        if bare:
            return Action(Do.ACKNOWLEDGE, "queued")
        return await self._paused(row) or await self._throttled(row, host.lease_until())

    async def left(self, entered: Pass, row: Job | None) -> None:
        """It was not claimed; `row`: as it is. The place is given back, unless a run of the same job has it."""
        if entered.room is None or (row is not None and row.status is Status.RUNNING):
            return
        mine = partial(_without, holder=entered.holder, token=entered.token)
        await change_held(self._ports, entered.room, mine)

    async def _in(self, envelope: Envelope[Payload], lane: str | None) -> Job:
        """A bare message that may have to wait becomes a row: the reactor wakes it."""
        ports = self._ports
        job = new_job(envelope, now=ports.now(), token=ports.token(), lane=lane)
        await keep_payload(ports, job, envelope.body)
        row = (await ports.jobs.apply(submit(job))).job
        if row is None:
            raise WorldFault("vanished", f"{job.job_id} was there and is gone")
        return row

    async def _paused(self, row: Job) -> Action | None:
        pause = await self._pauses.of(row.tenant_id, row.type)
        if pause is None:
            return None
        await park(self._ports, pause_pk(pause.sk), row)
        still = holding(await all_pauses(self._ports), row.tenant_id, row.type)
        if still is None:
            return None
        if still.sk != pause.sk:
            return Action(Do.HIDE, "paused", 1)
        if room := read_throttles(row.throttles).room:  # a place that was handed to it is for who may run
            await hand_over(self._ports, room, {row.key: row.epoch + 1})
        return Action(Do.ACKNOWLEDGE, "paused")

    async def _throttled(self, row: Job, until: int) -> Pass | Action:
        throttles, token = read_throttles(row.throttles), self._ports.token()
        hold = Hold(row.epoch + 1, until, token)
        if throttles.room and not await self._has_place(row, throttles.room, hold):
            return Action(Do.ACKNOWLEDGE, "no_place")
        wait_ms = await self._slot(row, throttles.limiters) - self._ports.now() if throttles.limiters else 0
        if wait_ms <= 0:
            return Pass(throttles.room, row.key, token)
        if throttles.room:
            hold = Hold(row.epoch + 1, max(until, self._ports.now() + wait_ms + BELIEVED_MS), token)
            await change_held(self._ports, throttles.room, lambda held: {**held, row.key: hold})
        return Action(Do.HIDE, "not_its_turn", min(-(-wait_ms // 1000), HIDE_MAX_S))

    # --- places -------------------------------------------------------------------------------------------------------

    async def _has_place(self, row: Job, room: Room, hold: Hold) -> bool:
        """If not, it is parked."""
        take = partial(_taken, room=room, holder=row.key, hold=hold)
        if row.key in await change_held(self._ports, room, take):
            return True
        await park(self._ports, room_pk(room), row)
        believed = await self._looked_at(await held_of(self._ports, room))
        return row.key in await change_held(self._ports, room, lambda held: take(_refreshed(held, believed)))

    async def _looked_at(self, held: Held) -> dict[Hold, Hold | None]:
        """Of those that need no longer be believed: what they are now. None: it runs nowhere, and has no place."""
        now = self._ports.now()
        late = {holder: hold for holder, hold in held.items() if hold.until < now}
        rows = await asyncio.gather(*(self._ports.jobs.get(*holder.split("#")) for holder in late))
        return {
            hold: Hold(hold.epoch, max(row.lease_until or 0, now) + BELIEVED_MS, hold.token)
            if row is not None and row.status is Status.RUNNING
            else None
            for hold, row in zip(late.values(), rows, strict=True)
        }

    # --- rates --------------------------------------------------------------------------------------------------------

    async def _slot(self, row: Job, limiters: tuple[Limiter, ...]) -> int:
        """When it may begin. What was reserved earlier for this `seq` holds, by whichever machine's clock."""
        kept = await slot_of(self._ports, row)
        if kept is not None:
            return kept - CLOCK_SKEW_MS
        now = at = self._ports.now()
        async with self._turn:
            for limiter in limiters:
                at = await self._reserved(limiter, at)
        if at == now:
            return at
        if await self._ports.side.put_once(*_slot_at(row), str(at), expires_at=at // 1000 + SLOT_KEPT_S):
            return at
        return await slot_of(self._ports, row) or at

    async def _reserved(self, limiter: Limiter, at: int) -> int:
        side, place = self._ports.side, (f"throttle#{limiter.key}", "next")
        for _ in range(SWAPS_MAX):
            body = await side.get(*place)
            slot, next_at = reserved(0 if body is None else int(body.split()[0]), limiter, at)
            new = f"{next_at} {self._ports.token()}"
            if await side.swap(*place, old=body, new=new, expires_at=next_at // 1000 + UNUSED_S):
                return slot
        raise WorldFault("contended", f"the limiter {limiter.key} changed {SWAPS_MAX} times")


async def slot_of(ports: Ports, row: Job) -> int | None:
    """The one that is kept for the row's `seq`. Who need not wait has none."""
    kept = await ports.side.get(*_slot_at(row))
    return None if kept is None else int(kept)


def _slot_at(row: Job) -> tuple[str, str]:
    return row.key, f"slot#{row.seq:05d}"


def _taken(held: Held, *, room: Room, holder: str, hold: Hold) -> Held:
    return taken(held, room, holder, hold) or held


def _without(held: Held, *, holder: str, token: str) -> Held:
    return {name: hold for name, hold in held.items() if (name, hold.token) != (holder, token)}


def _refreshed(held: Held, looked_at: dict[Hold, Hold | None]) -> Held:
    """With what was found out about those that are as they were."""
    now = {name: looked_at.get(hold, hold) for name, hold in held.items()}
    return {name: hold for name, hold in now.items() if hold is not None}
