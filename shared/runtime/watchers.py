"""Who watches what, and telling them. A broadcast that fails harms nobody: the row is the truth, and can be read.

beside the rows      pk                      sk
a ticket             ticket                  {ticket}                 used once, within a minute
a connection         connection#{id}         who                      whose it is
                     connection#{id}         topic#{topic}            what it watches
the watchers         watchers#{tenant}       {topic}#{connection}

Beyond a few thousand watchers of one tenant a query for each batch of the stream would be too much: AWS IoT Core or
AppSync Events would then take the place of `broadcast`, and the events stay the same.
"""

import asyncio
from collections.abc import Sequence
from typing import Annotated, Final, Literal

from pydantic import BaseModel, ConfigDict, StringConstraints
from pydantic_core import to_json

from shared.consequences import Record
from shared.errors import LongshoreError
from shared.job import Job
from shared.ports import Ports
from shared.runtime.logs import count, get_logger, metrics
from shared.view import Version, version_of
from shared.watching import event_of, frames, latest, topics_of

TICKET_MS: Final = 60_000
CONNECTION_S: Final = 7_500
"""API Gateway ends a connection after two hours."""

WATCHES_MAX: Final = 100
WATCHERS_MAX: Final = 2_000
"""Of a tenant's, of each type's and of all jobs' watchers: who watches much crowds out nobody who watches little."""

TELL_WITHIN_S: Final = 10.0
AT_ONCE: Final = 50

Topic = Annotated[str, StringConstraints(pattern=r"^(tenant|(type|job):[A-Za-z0-9][A-Za-z0-9_.@-]{0,63})$")]


class Viewer(BaseModel):
    """Whose connection it is. `until`: a ticket's, in milliseconds."""

    tenant_id: str
    user_id: str
    until: int = 0


class Ask(BaseModel):
    """What a client sends. `since`: the version it has shown, of the job it asks for."""

    model_config = ConfigDict(extra="forbid")

    action: Literal["subscribe", "unsubscribe", "ping"]
    topic: Topic = "tenant"
    since: Version | None = None


async def new_ticket(ports: Ports, tenant_id: str, user_id: str) -> str:
    """What opens one connection, once, within a minute: browsers can't send a token with a WebSocket."""
    ticket = ports.token() + ports.token()
    viewer = Viewer(tenant_id=tenant_id, user_id=user_id, until=ports.now() + TICKET_MS)
    await ports.side.put_once("ticket", ticket, viewer.model_dump_json(), expires_at=viewer.until // 1000 + 60)
    return ticket


async def connect(ports: Ports, connection_id: str, ticket: str) -> bool:
    """Is the ticket good? Then the connection is its owner's."""
    body = await ports.side.get("ticket", ticket) if ticket else None
    viewer = None if body is None else Viewer.model_validate_json(body)
    if viewer is None or ports.now() > viewer.until:
        return False
    used = viewer.model_copy(update={"until": 0, "user_id": f"{viewer.user_id} {connection_id}"})
    if not await ports.side.swap("ticket", ticket, old=body, new=used.model_dump_json(), expires_at=_in(ports, 60)):
        return False
    mine = viewer.model_dump_json()
    return await ports.side.put_once(_connection(connection_id), "who", mine, expires_at=_in(ports, CONNECTION_S))


async def hear(ports: Ports, connection_id: str, text: str) -> None:
    """Do what a client asks, and answer on its connection."""
    body = await ports.side.get(_connection(connection_id), "who")
    if body is None:
        await ports.connections.close(connection_id)
        return
    try:
        ask = Ask.model_validate_json(text)
    except ValueError:
        told = {"error": 'send {"action": "subscribe", "topic": "tenant", "type:NAME" or "job:ID"}, unsubscribe, ping'}
        await ports.connections.post(connection_id, to_json(told))
        return
    viewer = Viewer.model_validate_json(body)
    match ask.action:
        case "subscribe":
            await _subscribe(ports, connection_id, viewer.tenant_id, ask)
        case "unsubscribe":
            await _unsubscribe(ports, connection_id, viewer.tenant_id, ask.topic)
        case "ping":
            await ports.connections.post(connection_id, b'{"pong":true}')


async def disconnect(ports: Ports, connection_id: str) -> None:
    """Forget it and all it watched."""
    items = await ports.side.query(_connection(connection_id), limit=WATCHES_MAX + 1)
    who = next((Viewer.model_validate_json(body) for sk, body in items if sk == "who"), None)
    for sk, _ in items:
        if who is not None and sk.startswith("topic#"):
            await _unsubscribe(ports, connection_id, who.tenant_id, sk.removeprefix("topic#"))
    await _forget(ports, _connection(connection_id), "who")


async def broadcast(ports: Ports, records: Sequence[Record]) -> None:
    """Tell everybody who watches, within `TELL_WITHIN_S`: one that hangs holds up nobody's tally. Raises nothing."""
    jobs = latest([record.new for record in records if record.new is not None])
    tenants = {job.tenant_id for job in jobs}
    told = (_tell(ports, tenant, [job for job in jobs if job.tenant_id == tenant]) for tenant in sorted(tenants))
    try:
        async with asyncio.timeout(TELL_WITHIN_S):
            outcomes = await asyncio.gather(*told, return_exceptions=True)
    except TimeoutError as error:
        outcomes = [error]
    for outcome in outcomes:
        if isinstance(outcome, Exception):
            count("broadcast_failed", reason=str(outcome) or type(outcome).__name__)


async def _tell(ports: Ports, tenant_id: str, jobs: Sequence[Job]) -> None:
    kinds = ("tenant#", "job:", *sorted({f"type:{job.type}#" for job in jobs}))
    found = (ports.side.query(_watchers(tenant_id), limit=WATCHERS_MAX, prefix=kind) for kind in kinds)
    watched: dict[str, set[str]] = {}
    for sk, _ in [item for items in await asyncio.gather(*found) for item in items]:
        topic, _, connection_id = sk.rpartition("#")
        watched.setdefault(connection_id, set()).add(topic)
    room = asyncio.Semaphore(AT_ONCE)
    events = {job.key: (topics_of(job), event_of(job)) for job in jobs} if watched else {}

    async def send(connection_id: str, topics: set[str]) -> bool:
        mine = [event for found, event in events.values() if topics.intersection(found)]
        async with room:
            for frame in frames(mine):
                if not await _posted(ports, connection_id, frame):
                    return False
        return bool(mine)

    sent = sum(await asyncio.gather(*(send(connection_id, topics) for connection_id, topics in watched.items())))
    if sent:
        get_logger().info("broadcast", broadcast_sent=sent, **metrics({"broadcast_sent": "Count"}))


async def _posted(ports: Ports, connection_id: str, frame: bytes) -> bool:
    try:
        if await ports.connections.post(connection_id, frame):
            return True
        await disconnect(ports, connection_id)
    except LongshoreError as error:
        count("broadcast_failed", connection_id=connection_id, reason=str(error))
    return False


async def _subscribe(ports: Ports, connection_id: str, tenant_id: str, ask: Ask) -> None:
    """Watch first, then look: see rule 3 of `shared/watching.py`."""
    mine = await ports.side.query(_connection(connection_id), limit=WATCHES_MAX + 1, prefix="topic#")
    if len(mine) >= WATCHES_MAX:
        told = {"error": f"a connection watches at most {WATCHES_MAX} topics: unsubscribe, or watch the tenant"}
        await ports.connections.post(connection_id, to_json(told))
        return
    expires_at = _in(ports, CONNECTION_S)
    await ports.side.put_once(_connection(connection_id), f"topic#{ask.topic}", "", expires_at=expires_at)
    await ports.side.put_once(_watchers(tenant_id), f"{ask.topic}#{connection_id}", "", expires_at=expires_at)
    await ports.connections.post(connection_id, to_json({"subscribed": ask.topic}))
    kind, _, job_id = ask.topic.partition(":")
    job = await ports.jobs.get(tenant_id, job_id) if kind == "job" else None
    if job is not None and (ask.since is None or version_of(job) > ask.since):
        for frame in frames([event_of(job)]):
            await ports.connections.post(connection_id, frame)


async def _unsubscribe(ports: Ports, connection_id: str, tenant_id: str, topic: str) -> None:
    await _forget(ports, _watchers(tenant_id), f"{topic}#{connection_id}")
    await _forget(ports, _connection(connection_id), f"topic#{topic}")


async def _forget(ports: Ports, pk: str, sk: str) -> None:
    body = await ports.side.get(pk, sk)
    if body is not None:
        await ports.side.swap(pk, sk, old=body, new=None)


def _connection(connection_id: str) -> str:
    return f"connection#{connection_id}"


def _watchers(tenant_id: str) -> str:
    return f"watchers#{tenant_id}"


def _in(ports: Ports, seconds: int) -> int:
    return ports.now() // 1000 + seconds
