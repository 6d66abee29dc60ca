"""What an operator does with quarantine: look, and send again what can be read by now.

- Quarantine is the operator's, of the whole stack: what can't be read has no tenant who might be asked.
- Sent first, removed after: who dies in between leaves the item, and sending it twice is harmless. A bare message is
  sent with the id that its job has by its first message.
- What still can't be read stays where it is, with a reason.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from pydantic_core import from_json

from shared.aws.streams import read_record
from shared.consequences import Later
from shared.dead_letters import DeadLetter
from shared.delivery import Do
from shared.errors import Conflict, NotFound
from shared.limits import DELAY_S_MAX
from shared.ports import DEAD_LETTERS, Outgoing, Ports
from shared.runtime.dead_letters import judged
from shared.runtime.quarantine import PARTITION
from shared.runtime.reactor import Deed, acts_of, carried_out


@dataclass(frozen=True, slots=True)
class Item:
    """`id` is `source#message id` or `stream#sequence`; `at` is RFC 3339; `body` None: in S3 under `body_key`."""

    id: str
    source: str
    reason: str
    at: str
    body: str | None
    body_key: str | None
    stored: str
    """As it is kept."""


async def quarantined(ports: Ports, *, source: str | None = None, limit: int = 1_000) -> Sequence[Item]:
    """The last in first. `source` is a job type, `stream` or `dead-letters`."""
    found = await ports.side.query(PARTITION, limit=limit, prefix="" if source is None else f"{source}#")
    return sorted((_item(sk, stored) for sk, stored in found), key=lambda item: item.at, reverse=True)


async def quarantined_item(ports: Ports, item_id: str) -> Item:
    """With its body, wherever that is. NotFound if there is none of this id, or its body has expired."""
    stored = await ports.side.get(PARTITION, item_id)
    if stored is None:
        raise NotFound("not_in_quarantine", f"nothing of id {item_id} is in quarantine", field="id")
    item = _item(item_id, stored)
    if item.body_key is None:
        return item
    data = await ports.objects.get(item.body_key)
    if data is None:
        raise NotFound("body_expired", "the body is no longer kept", field="id")
    return replace(item, body=data.decode("utf-8", "replace"))


async def retry(ports: Ports, item_id: str) -> str:
    """Send it again, and remove it from quarantine; → what was done. Conflict if it still can't be."""
    item = await quarantined_item(ports, item_id)
    done = await (_record(item, ports) if item.source == "stream" else _message(item, ports))
    await ports.side.swap(PARTITION, item_id, old=item.stored, new=None)
    return done


async def _message(item: Item, ports: Ports) -> str:
    """As for a dead letter, without its delay."""
    source = None if item.source == DEAD_LETTERS else item.source
    act = await judged(DeadLetter(item.id.partition("#")[2], item.body or "", source), ports)
    if isinstance(act, Outgoing):
        return await _sent(replace(act, delay_s=0, returned=0), ports)
    if act.do is Do.QUARANTINE:
        raise Conflict("still_unreadable", act.reason, field="id")
    return f"dropped: {act.reason}"


async def _record(item: Item, ports: Ports) -> str:
    """As the reactor would. What is due in more than 15 minutes its worker hides until then."""
    try:
        acts = [*acts_of(read_record(from_json(item.body or "")), ports.now())]
    except (KeyError, TypeError, ValueError) as error:
        raise Conflict("still_unreadable", f"not a record of the stream: {error}", field="id") from error
    done: list[str] = []
    for act in acts:
        if isinstance(act, str):
            raise Conflict("still_unreadable", act, field="id")
        done.append(await _done(act, ports))
    return ", ".join(done) or "dropped: nothing follows from it"


async def _done(act: Outgoing | Deed, ports: Ports) -> str:
    match act:
        case Later(message=message):
            return await _sent(replace(message, delay_s=DELAY_S_MAX), ports)
        case Outgoing():
            return await _sent(act, ports)
    await carried_out(act, ports)
    return "carried out"


async def _sent(message: Outgoing, ports: Ports) -> str:
    if await ports.queues.send([message]):
        raise Conflict("not_taken", f"the queue of {message.job_type} did not take it", field="id")
    return f"sent to the queue of {message.job_type}"


def _item(sk: str, stored: str) -> Item:
    fields: Mapping[str, str] = from_json(stored)
    return Item(
        sk, fields["source"], fields["reason"], fields["at"], fields.get("body"), fields.get("body_key"), stored
    )
