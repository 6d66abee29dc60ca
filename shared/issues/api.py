"""One server's JSON API: what it answers is checked, what it refuses is one of our errors.

asks for a pause (429, 503, a rate limit)     → Transient("rate_limited"), with the pause that it asks for
says that what was paid for is used up        → Permanent("quota_spent"): no pause brings it back
408, 425, 5xx, no JSON                        → Transient
a redirect, anything else of 300 and more     → Permanent

No message holds a secret that the job knows, whatever the server says.
"""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Final, TypeVar

from pydantic import BaseModel, JsonValue, TypeAdapter, ValidationError
from pydantic_core import from_json, to_json

from shared.errors import LongshoreError, Permanent, Transient
from shared.issues.connection import Known
from shared.issues.http import Answer, Exchange, Request
from shared.issues.words import printable
from shared.webhooks import RETRY_AFTER_MAX_S, asked_s

SAID_CHARACTERS_MAX: Final = 160

PAUSE_MIN_S: Final = 1.0
"""Whoever asks for none at all is not asked again and again."""

SECONDARY_PAUSE_S: Final = 60.0
"""Of GitHub's secondary limits that name none: https://docs.github.com/en/rest/using-the-rest-api/rate-limits-for-the-rest-api"""

_PAUSES: Final = frozenset({429, 503, 529})
_BROKEN: Final = frozenset({408, 425})

_SPENT: Final = frozenset({"insufficient_quota", "billing_hard_limit_reached", "billing_not_active"})
"""https://platform.openai.com/docs/guides/error-codes"""

_JSON: Final[TypeAdapter[JsonValue]] = TypeAdapter(JsonValue)

M = TypeVar("M")


@dataclass(frozen=True, slots=True)
class Api:
    """`who`: the payload's field that names the server. `now`: milliseconds since the epoch."""

    exchange: Exchange
    base_url: str
    headers: Mapping[str, str]
    who: str
    known: Known
    now: Callable[[], int]

    async def ask(
        self, method: str, path: str, body: JsonValue = None, *, expect: Collection[int] = ()
    ) -> tuple[int, JsonValue]:
        """→ (status, document); of the statuses in `expect` that are no success, the document is None."""
        headers = {**self.headers, **({} if body is None else {"Content-Type": "application/json"})}
        encoded = None if body is None else to_json(body)
        answer = await self.exchange(Request(method, self.base_url.rstrip("/") + path, headers, encoded))
        if answer.status in expect:
            return answer.status, None
        if not 200 <= answer.status < 300:
            raise refusal(answer, self.who, self.known, self.now())
        try:
            return answer.status, from_json(answer.body)
        except ValueError:
            raise self.nonsense("no JSON") from None

    def read(self, form: type[M], document: JsonValue) -> M:
        """Raises Transient("unexpected_answer")."""
        try:
            return TypeAdapter(form).validate_python(document)
        except ValidationError as error:
            place = ".".join(str(part) for part in error.errors(include_input=False)[0]["loc"])
            raise self.nonsense(f"something unexpected in {self.known.scrub(place) or 'it'}") from None

    def nonsense(self, what: str) -> Transient:
        return Transient("unexpected_answer", f"it answers {what}", field=self.who)


class Said(BaseModel):
    """What GitHub and OpenAI-compatible servers put into a refusal."""

    message: str = ""
    error: JsonValue = None


def refusal(answer: Answer, who: str, known: Known, now: int) -> LongshoreError:
    """What an answer that is no success means."""
    status, (said, code) = answer.status, _said(answer.body, known)
    message = f"it answers {status}: {said}".removesuffix(": ")
    if code in _SPENT:
        return Permanent("quota_spent", message, field=who)
    pause_s = _pause_s(answer, said, now)
    if pause_s is not None:
        return Transient("rate_limited", message, field=who, retry_after_s=pause_s)
    if status in _BROKEN or status >= 500:
        return Transient("unavailable", message, field=who)
    if 300 <= status < 400:
        return Permanent("redirected", f"{message}: it has moved, and a credential follows no redirect", field=who)
    if status == 401:
        message += "; the secret's credential is wrong, revoked or expired: keep a new one"
        return Permanent("bad_credentials", message, field=who)
    return Permanent("refused", message, field=who)


def _pause_s(answer: Answer, said: str, now: int) -> float | None:
    """None: it asks for none. A 403 is a limit only where it says so."""
    if answer.status not in (403, *_PAUSES):
        return None
    if (asked := asked_s(answer.headers.get("retry-after"), now)) is not None:
        return max(PAUSE_MIN_S, asked)
    reset = answer.headers.get("x-ratelimit-reset", "")
    if answer.headers.get("x-ratelimit-remaining") == "0" and reset.isdecimal():
        return min(max(PAUSE_MIN_S, int(reset[:12]) - now / 1000 + 1.0), RETRY_AFTER_MAX_S)
    is_limit = answer.status == 429 or (answer.status == 403 and "rate limit" in said.lower())
    return SECONDARY_PAUSE_S if is_limit else None


def _said(body: bytes, known: Known) -> tuple[str, str]:
    """→ what it says, and OpenAI's word for it"""
    try:
        said = Said.model_validate_json(body)
    except ValidationError:
        return "", ""
    error = said.error if isinstance(said.error, dict) else {"message": said.error}
    text = said.message or str(error.get("message") or "")
    return known.scrub(printable(" ".join(text.split())))[:SAID_CHARACTERS_MAX], str(
        error.get("code") or error.get("type") or ""
    )
