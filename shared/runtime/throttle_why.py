"""What a job that is due waits for, as an answer to "why is it not running?"."""

from shared.job import Job, rfc3339
from shared.pause import holding, pause_words
from shared.ports import Ports
from shared.runtime.parking import held_of
from shared.runtime.pause import all_pauses
from shared.runtime.throttle import slot_of
from shared.status import Status
from shared.throttle import Throttles, counted_by, read_throttles
from shared.why import Reason


async def waits_of(ports: Ports, job: Job) -> list[Reason]:
    """Empty if nothing but a worker is wanted."""
    if job.status is not Status.QUEUED or job.due_at > ports.now():
        return []
    pause = holding(await all_pauses(ports), job.tenant_id, job.type)
    throttles = read_throttles(job.throttles)
    if pause is not None:
        action = f"resume it: longshore resume {pause.pause_id}"
        return [Reason(code="paused", text=pause_words(pause), action=action)]
    return [*await _no_place(ports, job, throttles), *await _not_its_turn(ports, job, throttles)]


async def _no_place(ports: Ports, job: Job, throttles: Throttles) -> list[Reason]:
    room = throttles.room
    held = {} if room is None else await held_of(ports, room)
    if room is None or job.key in held or len(held) < room.at_once:
        return []
    text = f"It waits for a place: {room.at_once} at once by {counted_by(room.key)}, and all are taken."
    return [Reason(code="no_place", text=text)]


async def _not_its_turn(ports: Ports, job: Job, throttles: Throttles) -> list[Reason]:
    slot = await slot_of(ports, job) if throttles.limiters else None
    if slot is None or slot <= ports.now():
        return []
    rates = ", ".join(f"{one.key.rsplit('#', 1)[1]} by {counted_by(one.key)}" for one in throttles.limiters)
    return [Reason(code="throttled", text=f"Its turn is yet to come: {rates}.", until=rfc3339(slot))]
