"""Webhooks: who is told what, how it is signed, and when we stop telling. Pure.

1. An event is delivered at least once, in no order: `webhook-id` is the same at every attempt, `version` says what is
   newer, and nothing is skipped, as watchers' events may be.
2. It is signed as Standard Webhooks are, with every secret that is valid:
   https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md
3. A secret is shown once, and kept as a secret alone: never in a row, a payload, a log or an error.
4. A payload names a subscription, never an address. What the system's own jobs do is told to nobody: a delivery would
   be delivered, for ever.
"""

import base64
import hashlib
import hmac
from email.utils import mktime_tz, parsedate_tz
from ipaddress import ip_address
from typing import Final, Literal
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field

from shared.consequences import Record
from shared.errors import Conflict, InvalidInput, LongshoreError, Permanent, Transient
from shared.ids import derived_job_id
from shared.job import Job, compact_json, rfc3339
from shared.net.guard import is_public
from shared.payloads import TYPES
from shared.payloads.base import refuse_user_info
from shared.payloads.webhook import WebhookPayload
from shared.status import Status
from shared.watching import KINDS, JobEvent, event_of

EventName = Literal["waiting", "queued", "active", "progress", "completed", "failed", "cancelled"]

URL_CHARACTERS_MAX: Final = 1_024

SECRET_PREFIX: Final = "whsec_"  # noqa: S105  how every secret of the standard begins
ROTATION_MS: Final = 24 * 3600 * 1000
"""For so long a secret that was replaced still signs, beside the new one."""

ROTATIONS_MAX: Final = 3
"""In that time: each delivery carries a signature of each."""

EXHAUSTED_MAX: Final = 10
"""So many deliveries in a row that were given up disable a subscription."""

RETRY_AFTER_MAX_S: Final = 6 * 3600.0
"""A receiver may ask for no longer a pause."""

SAID_CHARACTERS_MAX: Final = 120

GONE: Final = 410
ASKS_FOR_A_PAUSE: Final = frozenset({429, 503})


class Subscription(BaseModel):
    """Who is told what. `types` empty: of every type. `failures`: deliveries in a row that were given up. With a
    `disabled_reason` it is told nothing until it is enabled. Times are RFC 3339."""

    model_config = ConfigDict(frozen=True)

    webhook_id: str
    url: str
    events: tuple[EventName, ...]
    types: tuple[str, ...] = ()
    created_at: str
    created_by: str
    failures: int = 0
    disabled_at: str | None = None
    disabled_reason: str | None = None


class Retired(BaseModel):
    """A secret that was, and signs until then (milliseconds)."""

    secret: str = Field(repr=False)
    until: int


class Keys(BaseModel):
    """The secret of a subscription, and those before it."""

    current: str = Field(repr=False)
    retired: tuple[Retired, ...] = ()

    def valid(self, now: int) -> tuple[str, ...]:
        return self.current, *(one.secret for one in self.retired if now < one.until)

    def rotated(self, fresh: str, now: int) -> "Keys":
        """Raises Conflict: one more would sign, and none ends before its time."""
        signing = tuple(one for one in self.retired if now < one.until)
        if len(signing) >= ROTATIONS_MAX:
            message = f"{len(signing)} secrets before it still sign, the first until {rfc3339(signing[0].until)}"
            raise Conflict("rotated_often", f"{message}; or make a new webhook, and delete this one")
        return Keys(current=fresh, retired=(*signing, Retired(secret=self.current, until=now + ROTATION_MS)))


# --- what is told -----------------------------------------------------------------------------------------------------


def told_by(record: Record) -> JobEvent | None:
    """The event that a record of the table's stream tells subscribers, if it does."""
    old, new = record.old, record.new
    if new is None or is_internal(new):
        return None
    if old is None or (old.status, old.seq, old.epoch) != (new.status, new.seq, new.epoch):
        return event_of(new).model_copy(update={"event": KINDS[new.status]})
    if new.status is Status.RUNNING and new.progress != old.progress:
        return event_of(new).model_copy(update={"event": "progress"})
    return None


def is_internal(job: Job) -> bool:
    """The system's own: nobody watches it, and nobody is told of it."""
    return job.type in TYPES and TYPES[job.type].internal


def wants(subscription: Subscription, event: JobEvent) -> bool:
    """A child of another job is told only where its type is asked for."""
    is_its_type = event.type in subscription.types if subscription.types else event.parent_id is None
    return subscription.disabled_reason is None and event.event in subscription.events and is_its_type


def delivery_of(webhook_id: str, tenant_id: str, event: JobEvent) -> WebhookPayload:
    """The same event of the same subscription is the same job, however often the stream tells it."""
    version = ",".join(map(str, event.version))
    return WebhookPayload(
        tenant_id=tenant_id,
        job_id=derived_job_id("webhook", webhook_id, event.job_id, event.event, version),
        webhook_id=webhook_id,
        event=f"job.{event.event}",
        at=event.at,
        data=event.model_dump(mode="json", exclude_none=True),
    )


def body_of(payload: WebhookPayload) -> bytes:
    """`{"type": "job.completed", "timestamp": …, "data": {…JobEvent…}}`, the same bytes at every attempt."""
    return compact_json({"type": payload.event, "timestamp": payload.at, "data": payload.data}).encode()


# --- who says so ------------------------------------------------------------------------------------------------------


def secret_of(random: bytes) -> str:
    """`random`: 24 to 64 bytes."""
    return SECRET_PREFIX + base64.b64encode(random).decode()


def signed_headers(secrets: tuple[str, ...], message_id: str, timestamp_s: int, body: bytes) -> dict[str, str]:
    content = f"{message_id}.{timestamp_s}.".encode() + body
    keys = [base64.b64decode(secret.removeprefix(SECRET_PREFIX)) for secret in secrets]
    signatures = [base64.b64encode(hmac.digest(key, content, hashlib.sha256)).decode() for key in keys]
    return {
        "webhook-id": message_id,
        "webhook-timestamp": str(timestamp_s),
        "webhook-signature": " ".join(f"v1,{signature}" for signature in signatures),
    }


# --- where to ---------------------------------------------------------------------------------------------------------


def check_url(url: str, *, local: bool) -> str:
    """The URL, if it may be a receiver's: https, or `local` http to this machine. Raises InvalidInput; what a name
    leads to is looked at when it is connected to."""
    try:
        parts = urlsplit(refuse_user_info(url))
        host, _ = parts.hostname or "", parts.port
    except ValueError as error:
        raise InvalidInput("invalid_url", str(error), field="url") from None
    if len(url) > URL_CHARACTERS_MAX or not url.isascii() or not url.isprintable() or " " in url or parts.fragment:
        raise InvalidInput("invalid_url", f"at most {URL_CHARACTERS_MAX} ASCII characters, no #fragment", field="url")
    if local and parts.scheme == "http" and host in {"localhost", "127.0.0.1"}:
        return url
    if parts.scheme != "https" or not host or not _may_be_public(host):
        raise InvalidInput("invalid_url", "an https:// URL with a public host", field="url")
    return url


def _may_be_public(host: str) -> bool:
    try:
        return is_public(ip_address(host))
    except ValueError:
        return host != "localhost" and not host.endswith((".localhost", ".internal", ".local"))


# --- what became of it ------------------------------------------------------------------------------------------------


def judged(status: int, retry_after: str | None, said: str, now: int) -> LongshoreError | None:
    """What a receiver's answer means; None: delivered. `said`: the beginning of its body, which may tell why."""
    if 200 <= status < 300:
        return None
    if status == GONE:
        return Permanent("gone", "the receiver answered 410: it wants no more")
    pause_s = asked_s(retry_after, now) if status in ASKS_FOR_A_PAUSE else None
    words = f"the receiver answered {status}: {' '.join(said.split())[:SAID_CHARACTERS_MAX]}".removesuffix(": ")
    return Transient("not_accepted", words, retry_after_s=pause_s)


def asked_s(retry_after: str | None, now: int) -> float | None:
    """Retry-After in seconds, as a number or a date: https://www.rfc-editor.org/rfc/rfc9110#field.retry-after"""
    text = (retry_after or "").strip()
    if text.isascii() and text.isdigit():
        return min(float(text), RETRY_AFTER_MAX_S)
    try:
        date = parsedate_tz(text)
        return None if date is None else min(max(0.0, mktime_tz(date) - now / 1000), RETRY_AFTER_MAX_S)
    except (ValueError, OverflowError):  # a date that no calendar has
        return None


def after_success(subscription: Subscription) -> Subscription:
    return subscription.model_copy(update={"failures": 0})


def after_failure(subscription: Subscription, problem: LongshoreError, now: int) -> Subscription:
    """A delivery was given up. The receiver's own wish, or the last of too many in a row, disables."""
    if subscription.disabled_reason is not None:
        return subscription
    failures = subscription.failures + 1
    counted = subscription.model_copy(update={"failures": failures})
    if problem.code == "gone":
        return _disabled(counted, problem.message, now)
    if failures >= EXHAUSTED_MAX:
        return _disabled(counted, f"{failures} deliveries in a row were given up; the last: {problem.message}", now)
    return counted


def enabled(subscription: Subscription) -> Subscription:
    return subscription.model_copy(update={"failures": 0, "disabled_at": None, "disabled_reason": None})


def _disabled(subscription: Subscription, reason: str, now: int) -> Subscription:
    return subscription.model_copy(update={"disabled_at": rfc3339(now), "disabled_reason": reason})
