"""`webhook`: one event, POSTed to one receiver and signed; a delivery that is given up counts against its webhook.

No redirect is followed, and no address is connected to that is not public (`shared/net/guard.py`).
"""

from ipaddress import IPv4Address, IPv6Address
from typing import Final

import aiohttp

from shared.errors import InvalidInput, LongshoreError, NotFound, Permanent, Transient
from shared.net.guard import Guard, is_public
from shared.payloads.results import ProcessResult
from shared.payloads.webhook import WebhookPayload
from shared.runtime.context import Context
from shared.runtime.definition import job
from shared.runtime.webhooks import changed, keep_attempt, keys_of, may_be_local, subscription
from shared.webhooks import Subscription, after_failure, after_success, body_of, check_url, judged, signed_headers

TIMEOUT: Final = aiohttp.ClientTimeout(total=10)
ANSWER_BYTES_MAX: Final = 4 * 1024


@job(WebhookPayload)
async def webhook(payload: WebhookPayload, context: Context) -> ProcessResult:
    """Deliver, log the attempt, and judge the answer."""
    ports, whose = context.ports, (context.tenant_id, payload.webhook_id)
    receiver = await _receiver(payload, context)
    began_at, body = ports.now(), body_of(payload)
    secrets = (await keys_of(ports, *whose)).valid(began_at)
    headers = signed_headers(secrets, context.job_id, began_at // 1000, body)
    status_code, problem = await _told(receiver.url, body, headers, began_at)
    duration_ms = ports.now() - began_at
    await keep_attempt(
        ports, payload, context.attempt, began_at, duration_ms=duration_ms, status_code=status_code, problem=problem
    )
    if problem is None:
        if receiver.failures:
            await changed(ports, *whose, after_success)
        return ProcessResult(data={"status_code": status_code, "duration_ms": duration_ms})
    if isinstance(problem, Permanent) or context.attempt >= payload.policy.attempts_max:
        counted = await changed(ports, *whose, lambda one: after_failure(one, problem, ports.now()))
        context.log.warning("webhook_given_up", webhook_id=payload.webhook_id, in_a_row=counted.failures)
    raise problem


async def _receiver(payload: WebhookPayload, context: Context) -> Subscription:
    """Raises Permanent if nobody is to be told any more."""
    try:
        found = await subscription(context.ports, context.tenant_id, payload.webhook_id)
        check_url(found.url, local=may_be_local())
    except (NotFound, InvalidInput) as error:
        raise Permanent(error.code, error.message, field="webhook_id") from None
    if found.disabled_reason is not None:
        raise Permanent("disabled", f"the webhook is disabled: {found.disabled_reason}", field="webhook_id")
    return found


async def _told(url: str, body: bytes, headers: dict[str, str], now: int) -> tuple[int | None, LongshoreError | None]:
    """The status that the receiver answered, if it did; what is wrong, if something is."""
    guard = Guard(_is_local if url.startswith("http://") else is_public)
    own = {"Content-Type": "application/json", "User-Agent": "Longshore"}
    connector = aiohttp.TCPConnector(socket_factory=guard.socket)
    try:
        async with (
            aiohttp.ClientSession(connector=connector, timeout=TIMEOUT, auto_decompress=False) as session,
            session.post(url, data=body, headers=own | headers, allow_redirects=False) as answer,
        ):
            said = b"" if answer.ok else await answer.content.read(ANSWER_BYTES_MAX)
            pause = answer.headers.get("Retry-After")
            return answer.status, judged(answer.status, pause, said.decode("utf-8", "replace"), now)
    except (aiohttp.ClientError, OSError, ValueError) as error:
        if guard.refused:
            return None, Permanent("address_refused", "the URL leads to an address that is not public")
        return None, Transient("no_answer", f"no answer from the receiver: {type(error).__name__}")


def _is_local(address: IPv4Address | IPv6Address) -> bool:
    return address.is_loopback


handler = webhook.lambda_handler
