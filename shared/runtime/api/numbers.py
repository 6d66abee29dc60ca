"""The routes of numbers: what a tenant's jobs come to, and what the stack's own operator looks after."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import asdict, replace
from typing import Annotated, Final
from urllib.parse import unquote

from pydantic import BaseModel, Field

from shared.audit import Report
from shared.errors import NotFound
from shared.lanes import split
from shared.payloads import TYPES
from shared.payloads.base import Name
from shared.ports import DEAD_LETTERS, Depth
from shared.runtime.api.app import Call, Route
from shared.runtime.api.filters import Query
from shared.runtime.api.jobs import LINK_S
from shared.runtime.api.messages import Answer, Role, answer_json
from shared.runtime.audit import last_report
from shared.runtime.quarantined import Item, quarantined, quarantined_item, retry
from shared.runtime.stats import read_stats
from shared.stats import Stats

PREVIEW_CHARACTERS: Final = 200

Act = Callable[[Call], Awaitable[Answer]]


class QueueView(BaseModel):
    """As SQS guesses, up to a minute late: messages to be received, those that a worker has, those whose delay runs."""

    type: str
    lane: str | None = None
    """None: the type's own queue."""
    waiting: int
    in_flight: int
    delayed: int


class QueueViews(BaseModel):
    """`dead_letters`: in the stack's one dead-letter queue; they go back to their queues by themselves."""

    queues: list[QueueView]
    dead_letters: int


class QuarantineQuery(Query):
    source: Name | None = None
    limit: Annotated[int, Field(ge=1, le=1_000)] = 100


class QuarantineItem(BaseModel):
    """What could not be read, and why. `body`: how it begins in a list, else whole, or behind `href` for 15 minutes."""

    id: str
    source: str
    reason: str
    at: str
    body: str | None = None
    href: str | None = None


class Quarantine(BaseModel):
    """The last in first."""

    items: list[QuarantineItem]


class Retried(BaseModel):
    """What was done with it: it was sent to a queue, or needs nobody any more."""

    id: str
    done: str


async def get_stats(call: Call) -> Answer:
    """Up to half a minute old; cost by list prices, approximate."""
    return answer_json(200, await read_stats(call.ports, call.caller.tenant_id))


async def list_queues(call: Call) -> Answer:
    queues = call.ports.queues
    names = [queue for some in await asyncio.gather(*map(queues.queues_of, sorted(TYPES))) for queue in some]
    depths = await asyncio.gather(*map(queues.depth, (*names, DEAD_LETTERS)))
    views = [_queue_view(name, depth) for name, depth in zip(names, depths, strict=False)]
    dead = depths[-1]
    return answer_json(200, QueueViews(queues=views, dead_letters=dead.waiting + dead.in_flight + dead.delayed))


def _queue_view(queue: str, depth: Depth) -> QueueView:
    job_type, lane = split(queue)
    return QueueView(type=job_type, lane=lane, **asdict(depth))


async def list_quarantine(call: Call) -> Answer:
    query = call.query(QuarantineQuery)
    items = await quarantined(call.ports, source=query.source, limit=query.limit)
    return answer_json(200, Quarantine(items=[_view(item, (item.body or "")[:PREVIEW_CHARACTERS]) for item in items]))


async def get_quarantined(call: Call) -> Answer:
    item = await quarantined_item(call.ports, _id(call))
    if item.body_key is None:
        return answer_json(200, _view(item, item.body))
    href = await call.ports.objects.presign(item.body_key, seconds=LINK_S)
    return answer_json(200, _view(item, None, href))


async def retry_quarantined(call: Call) -> Answer:
    """What still cannot be read stays, with today's reason (409)."""
    return answer_json(200, Retried(id=_id(call), done=await retry(call.ports, _id(call))))


async def get_audit(call: Call) -> Answer:
    report = await last_report(call.ports)
    if report is None:
        raise NotFound("no_report", "no audit has been read whole yet, or today's is under way")
    return answer_json(200, report)


def _view(item: Item, body: str | None, href: str | None = None) -> QuarantineItem:
    return QuarantineItem(id=item.id, source=item.source, reason=item.reason, at=item.at, body=body, href=href)


def _id(call: Call) -> str:
    """An id has a `#` in it, which comes as %23; no id has a `%`."""
    return unquote(call.path["item_id"])


def _route(
    call: str, summary: str, role: Role, act: Act, model: type[BaseModel], *, may: tuple[int, ...] = ()
) -> Route:
    method, _, path = call.partition(" ")
    return Route(method=method, path=path, summary=summary, role=role, act=act, answers={200: model}, may=may)


ROUTES: Final = (
    _route("GET /stats", "What each type does: alive, ended, how fast, what it costs", Role.VIEWER, get_stats, Stats),
    _route("GET /queues", "How much every queue of the stack holds", Role.ADMIN, list_queues, QueueViews),
    _route("GET /audit", "The last daily audit, of the whole stack", Role.ADMIN, get_audit, Report, may=(404,)),
    replace(
        _route("GET /quarantine", "What could not be read, of the stack", Role.ADMIN, list_quarantine, Quarantine),
        query=QuarantineQuery,
    ),
    _route("GET /quarantine/{item_id}", "One of them, whole", Role.ADMIN, get_quarantined, QuarantineItem, may=(404,)),
    _route("POST /quarantine/{item_id}/retry", "Send it again", Role.ADMIN, retry_quarantined, Retried, may=(404, 409)),
)
