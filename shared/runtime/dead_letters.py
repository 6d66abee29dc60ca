"""Dead letters heal: each is dropped, sent back or kept as `shared/dead_letters.py` decides, and only then deleted.

A fault of the world leaves the letter where it is: it comes again. So does a bug of ours.
"""

import asyncio
from collections.abc import Sequence

from shared.dead_letters import ALARM_FROM, DeadLetter, fate, read_letter
from shared.delivery import Action, Do
from shared.envelope import Unreadable
from shared.errors import InvalidInput, NotFound, Permanent, WorldFault
from shared.ports import DEAD_LETTERS, Outgoing, Ports
from shared.runtime.logs import count, get_logger
from shared.runtime.quarantine import quarantine


async def heal(letters: Sequence[DeadLetter], ports: Ports, *, stack: str) -> list[str]:
    """→ the message ids of those that must come again; the others may be deleted. Raises nothing."""
    healed = await asyncio.gather(*(_healed(letter, ports, stack) for letter in letters))
    return [letter.message_id for letter, done in zip(letters, healed, strict=True) if not done]


async def judged(letter: DeadLetter, ports: Ports) -> Outgoing | Action:
    """Its fate, by what the table says now."""
    parcel = read_letter(letter)
    row = None if isinstance(parcel, Unreadable) else await ports.jobs.get(parcel.tenant_id, parcel.job_id)
    return fate(letter, parcel, row, ports.now())


async def _healed(letter: DeadLetter, ports: Ports, stack: str) -> bool:
    try:
        await _heal(letter, ports, stack)
    except WorldFault as fault:
        get_logger().warning("world_fault", message_id=letter.message_id, reason=str(fault))
        return False
    except Exception:  # noqa: BLE001  # a bug of ours must not touch the other letters of the batch
        get_logger().exception("dead_letter_bug", message_id=letter.message_id)
        return False
    return True


async def _heal(letter: DeadLetter, ports: Ports, stack: str) -> None:
    match await judged(letter, ports):
        case Action(do=Do.QUARANTINE, reason=reason):
            await _keep(letter, reason, ports, stack)
        case Action(reason=reason):
            count("dead_letter_dropped", stack=stack, message_id=letter.message_id, reason=reason)
        case Outgoing() as copy:
            try:
                await _send_back(letter, copy, ports, stack)
            except (InvalidInput, NotFound, Permanent) as error:  # too large, no such queue: it will never be taken
                await _keep(letter, str(error), ports, stack)


async def _send_back(letter: DeadLetter, copy: Outgoing, ports: Ports, stack: str) -> None:
    if await ports.queues.send([copy]):
        raise WorldFault("not_taken", f"the queue of {copy.job_type} did not take it")
    told = {"type": copy.job_type, "message_id": letter.message_id, "times": copy.returned, "delay_s": copy.delay_s}
    if copy.returned < ALARM_FROM:
        get_logger().info("dead_letter_sent_back", **told)
    else:
        count("dead_letter_returned", stack=stack, **told)


async def _keep(letter: DeadLetter, reason: str, ports: Ports, stack: str) -> None:
    source = letter.source or DEAD_LETTERS
    await quarantine(ports, stack=stack, source=source, item_id=letter.message_id, body=letter.body, reason=reason)
