"""Subscriptions, what is enqueued for them, and what became of it.

beside the rows          pk                             sk
a subscription           webhooks#{tenant}              {id}
an attempt               webhook_log#{tenant}#{id}      {time}#{delivery}#{attempt}     kept for a week

Its secrets are in Secrets Manager, {stack}/_webhooks/{tenant}/{id}: no tenant's jobs can name it as a secret of theirs.
Nothing is written for a tenant without subscriptions, and of a subscription nothing while deliveries succeed.
"""

import asyncio
import os
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Final

from pydantic import BaseModel

from shared.admission import new_job
from shared.consequences import Record
from shared.envelope import Envelope, seal
from shared.errors import Conflict, LongshoreError, NotFound, WorldFault
from shared.ids import derived_job_id
from shared.job import rfc3339
from shared.moves import submit
from shared.payloads.base import Payload
from shared.payloads.webhook import WebhookPayload
from shared.ports import Ports
from shared.runtime.documents import keep_payload
from shared.runtime.logs import get_logger
from shared.webhooks import (
    EXHAUSTED_MAX,
    EventName,
    Keys,
    Subscription,
    check_url,
    delivery_of,
    enabled,
    secret_of,
    told_by,
    wants,
)

SUBSCRIPTIONS_MAX: Final = 10
"""Of a tenant: what one record of the stream may cost."""

ROW_BYTES_MAX: Final = 512
"""Of an event in its delivery's row, which stays below 1 KB with it: three write units, one for each write."""

LOG_SHOWN: Final = 50
LOG_S: Final = 7 * 24 * 3600
CHANGES_MAX: Final = 2 * EXHAUSTED_MAX
"""Of those who count a failure at once one wins each time, and when so many have, there is nothing left to count."""

AT_ONCE: Final = 25

LOCAL_VARIABLE: Final = "LONGSHORE_WEBHOOKS_LOCAL"


class Delivery(BaseModel):
    """One attempt at telling a receiver. `delivery_id` is the `webhook-id` that it saw, and a job of its own."""

    delivery_id: str
    event: str
    job_id: str | None = None
    attempt: int
    at: str
    duration_ms: int
    status_code: int | None = None
    error: str | None = None


def may_be_local() -> bool:
    """Do receivers at http://localhost count? For trying webhooks out, never in AWS."""
    return os.environ.get(LOCAL_VARIABLE) == "1"


# --- subscriptions ----------------------------------------------------------------------------------------------------


async def subscriptions(ports: Ports, tenant_id: str) -> Sequence[Subscription]:
    items = await ports.side.query(_place(tenant_id), limit=2 * SUBSCRIPTIONS_MAX)
    return [_read(body) for _, body in items]


async def subscription(ports: Ports, tenant_id: str, webhook_id: str) -> Subscription:
    """Raises NotFound: for another tenant's, too."""
    return _read(await _body(ports, tenant_id, webhook_id))


async def subscribe(
    ports: Ports, tenant_id: str, url: str, events: Sequence[EventName], types: Sequence[str], *, who: str
) -> tuple[Subscription, str]:
    """→ the subscription, and its secret: nobody is shown it again. Raises InvalidInput for the URL, Conflict for one
    subscription too many."""
    check_url(url, local=may_be_local())
    if len(await subscriptions(ports, tenant_id)) >= SUBSCRIPTIONS_MAX:
        message = f"a tenant has at most {SUBSCRIPTIONS_MAX} webhooks: delete one first"
        raise Conflict("too_many_webhooks", message)
    made = Subscription(
        webhook_id=f"wh_{ports.token()}",
        url=url,
        events=tuple(sorted(set(events))),
        types=tuple(sorted(set(types))),
        created_at=rfc3339(ports.now()),
        created_by=who,
    )
    secret = _fresh_secret(ports)
    await ports.secrets.put(_secret_name(tenant_id, made.webhook_id), _kept(Keys(current=secret)))
    await ports.side.put_once(_place(tenant_id), made.webhook_id, _written(ports, made))
    return made, secret


async def rotate(ports: Ports, tenant_id: str, webhook_id: str) -> tuple[Subscription, str]:
    """→ the subscription, and its new secret. The old one signs beside it for 24 hours."""
    found, secret = await subscription(ports, tenant_id, webhook_id), _fresh_secret(ports)
    rotated = (await keys_of(ports, tenant_id, webhook_id)).rotated(secret, ports.now())
    await ports.secrets.put(_secret_name(tenant_id, webhook_id), _kept(rotated))
    return found, secret


async def enable(ports: Ports, tenant_id: str, webhook_id: str) -> Subscription:
    return await changed(ports, tenant_id, webhook_id, enabled)


async def unsubscribe(ports: Ports, tenant_id: str, webhook_id: str) -> None:
    """It is gone for those who look before its secret is: a delivery under way ends without."""
    for _ in range(CHANGES_MAX):
        body = await _body(ports, tenant_id, webhook_id)
        if await ports.side.swap(_place(tenant_id), webhook_id, old=body, new=None):
            await ports.secrets.delete(_secret_name(tenant_id, webhook_id))
            return
    raise _contended()


async def changed(
    ports: Ports, tenant_id: str, webhook_id: str, change: Callable[[Subscription], Subscription]
) -> Subscription:
    """→ the subscription after `change`; nothing is written if that is the same."""
    for _ in range(CHANGES_MAX):
        body = await _body(ports, tenant_id, webhook_id)
        before = _read(body)
        after = change(before)
        new = _written(ports, after)
        if after == before or await ports.side.swap(_place(tenant_id), webhook_id, old=body, new=new):
            return after
    raise _contended()


async def keys_of(ports: Ports, tenant_id: str, webhook_id: str) -> Keys:
    body = await ports.secrets.get(_secret_name(tenant_id, webhook_id))
    if body is None:
        raise _none_such(webhook_id)
    return Keys.model_validate_json(body)


# --- deliveries -------------------------------------------------------------------------------------------------------


async def announce(ports: Ports, records: Sequence[Record]) -> None:
    """Enqueue what the records tell subscribers, once, however often they come.

    Raises WorldFault, so that they come again, once all that could be enqueued is. Any other failure is logged.
    """
    room = asyncio.Semaphore(AT_ONCE)
    tenants = sorted({record.new.tenant_id for record in records if record.new is not None})
    await _all(_announce_to(ports, tenant_id, records, room) for tenant_id in tenants)


async def _announce_to(ports: Ports, tenant_id: str, records: Sequence[Record], room: asyncio.Semaphore) -> None:
    async def tell(record: Record, listener: Subscription) -> None:
        event = told_by(record)
        if event is not None and wants(listener, event):
            async with room:
                await enqueue(ports, delivery_of(listener.webhook_id, tenant_id, event))

    listeners = [one for one in await subscriptions(ports, tenant_id) if one.disabled_reason is None]
    mine = [record for record in records if record.new is not None and record.new.tenant_id == tenant_id]
    await _all(tell(record, one) for record in mine for one in listeners)


async def _all(tasks: Iterable[Awaitable[None]]) -> None:
    """Each is done, whatever becomes of the others. Raises the first WorldFault."""
    problems = [problem for problem in await asyncio.gather(*tasks, return_exceptions=True) if problem is not None]
    for problem in problems:
        if not isinstance(problem, WorldFault):
            get_logger().warning("webhook_not_enqueued", reason=str(problem))
    for problem in problems:
        if isinstance(problem, WorldFault):
            raise problem


async def ping(ports: Ports, tenant_id: str, webhook_id: str) -> str:
    """→ the id of a delivery that shows whether the receiver hears us. Conflict if the subscription is disabled."""
    found = await subscription(ports, tenant_id, webhook_id)
    if found.disabled_reason is not None:
        raise Conflict("disabled", f"the webhook is disabled: {found.disabled_reason}", field="webhook_id")
    payload = WebhookPayload(
        tenant_id=tenant_id,
        job_id=derived_job_id("webhook", webhook_id, ports.token()),
        webhook_id=webhook_id,
        event="webhook.ping",
        at=rfc3339(ports.now()),
        data={"webhook_id": webhook_id},
    )
    return await enqueue(ports, payload)


async def enqueue(ports: Ports, payload: WebhookPayload) -> str:
    """→ the id of the delivery. A job like any other, but not listed; the same one again changes nothing."""
    envelope: Envelope[Payload] = seal(payload, payload.job_id or "")
    job = new_job(envelope, now=ports.now(), token=ports.token(), row_bytes_max=ROW_BYTES_MAX)
    await keep_payload(ports, job, envelope.body)
    await ports.jobs.apply(submit(job, is_listed=False))
    return job.job_id


async def keep_attempt(
    ports: Ports,
    payload: WebhookPayload,
    attempt: int,
    at: int,
    *,
    duration_ms: int,
    status_code: int | None,
    problem: LongshoreError | None,
) -> None:
    """Log an attempt that was begun at `at` (milliseconds)."""
    job_id = payload.data.get("job_id")
    entry = Delivery(
        delivery_id=payload.job_id or "",
        event=payload.event,
        job_id=None if job_id is None else str(job_id),
        attempt=attempt,
        at=rfc3339(at),
        duration_ms=duration_ms,
        status_code=status_code,
        error=None if problem is None else problem.message,
    )
    sk, pk = f"{at:013d}#{entry.delivery_id}#{attempt}", _log_place(payload.tenant_id, payload.webhook_id)
    await ports.side.put_once(pk, sk, entry.model_dump_json(exclude_none=True), expires_at=at // 1000 + LOG_S)


async def attempts(ports: Ports, tenant_id: str, webhook_id: str) -> Sequence[Delivery]:
    """The last ones, newest first. Raises NotFound."""
    await subscription(ports, tenant_id, webhook_id)
    items = await ports.side.query(_log_place(tenant_id, webhook_id), limit=LOG_SHOWN)
    return [Delivery.model_validate_json(body) for _, body in items]


# --- small things -----------------------------------------------------------------------------------------------------


async def _body(ports: Ports, tenant_id: str, webhook_id: str) -> str:
    body = await ports.side.get(_place(tenant_id), webhook_id)
    if body is None:
        raise _none_such(webhook_id)
    return body


def _written(ports: Ports, found: Subscription) -> str:
    """Never the same twice: two that count a failure at once must not take the other's write for their own."""
    return f"{ports.token()} {found.model_dump_json()}"


def _read(body: str) -> Subscription:
    return Subscription.model_validate_json(body.partition(" ")[2])


def _fresh_secret(ports: Ports) -> str:
    return secret_of(bytes.fromhex("".join(ports.token() for _ in range(4))))


def _kept(keys: Keys) -> str:
    return keys.model_dump_json(exclude_none=True)


def _place(tenant_id: str) -> str:
    return f"webhooks#{tenant_id}"


def _log_place(tenant_id: str, webhook_id: str) -> str:
    return f"webhook_log#{tenant_id}#{webhook_id}"


def _secret_name(tenant_id: str, webhook_id: str) -> str:
    return f"_webhooks/{tenant_id}/{webhook_id}"


def _none_such(webhook_id: str) -> NotFound:
    return NotFound("no_such_webhook", f"no webhook {webhook_id[:64]!r}", field="webhook_id")


def _contended() -> LongshoreError:
    return WorldFault("contended", f"the webhook changed {CHANGES_MAX} times meanwhile: try again")
