"""One server's JSON API: what it answers is checked, what it refuses is one of our errors.

asks for a pause (429, 503, a rate limit)     → Transient, with the pause that it asks for
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
from shared.webhooks import RETRY_AFTER_MAX_S, asked_s

SAID_CHARACTERS_MAX: Final = 160

SECONDARY_PAUSE_S: Final = 60.0
"""Of GitHub's secondary limits that name none: https://docs.github.com/en/rest/using-the-rest-api/rate-limits-for-the-rest-api"""

_PAUSES: Final = frozenset({429, 503, 529})
_BROKEN: Final = frozenset({408, 425})

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
            raise self._nonsense("no JSON") from None

    def read(self, form: type[M], document: JsonValue) -> M:
        """Raises Transient("unexpected_answer")."""
        try:
            return TypeAdapter(form).validate_python(document)
        except ValidationError as error:
            place = ".".join(str(part) for part in error.errors(include_input=False)[0]["loc"])
            raise self._nonsense(f"something unexpected in {self.known.scrub(place) or 'it'}") from None

    def _nonsense(self, what: str) -> Transient:
        return Transient("unexpected_answer", f"it answers {what}", field=self.who)


class Said(BaseModel):
    """What GitHub and OpenAI-compatible servers put into a refusal."""

    message: str = ""
    error: JsonValue = None


def refusal(answer: Answer, who: str, known: Known, now: int) -> LongshoreError:
    """What an answer that is no success means."""
    status, said = answer.status, _said(answer.body, known)
    message = f"it answers {status}: {said}".removesuffix(": ")
    pause_s = _pause_s(answer, said, now)
    if pause_s is not None:
        return Transient("rate_limited", message, field=who, retry_after_s=pause_s)
    if status in _BROKEN or status >= 500:
        return Transient("unavailable", message, field=who)
    if 300 <= status < 400:
        return Permanent("redirected", f"{message}: it has moved, and a credential follows no redirect", field=who)
    return Permanent("bad_credentials" if status == 401 else "refused", message, field=who)


def _pause_s(answer: Answer, said: str, now: int) -> float | None:
    """None: it asks for none. A 403 is a limit only where it says so."""
    if answer.status not in (403, *_PAUSES):
        return None
    if (asked := asked_s(answer.headers.get("retry-after"), now)) is not None:
        return asked
    reset = answer.headers.get("x-ratelimit-reset", "")
    if answer.headers.get("x-ratelimit-remaining") == "0" and reset.isdecimal():
        return min(max(1.0, int(reset[:12]) - now / 1000 + 1.0), RETRY_AFTER_MAX_S)
    is_limit = answer.status == 429 or (answer.status == 403 and "rate limit" in said.lower())
    return SECONDARY_PAUSE_S if is_limit else None


def _said(body: bytes, known: Known) -> str:
    try:
        said = Said.model_validate_json(body)
        inner = said.error.get("message") if isinstance(said.error, dict) else said.error
        text = said.message or str(inner or "")
    except ValidationError:
        text = ""
    return known.scrub(" ".join(text.split()))[:SAID_CHARACTERS_MAX]
