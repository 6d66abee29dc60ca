"""One request from its arrival to its answer: find the route, let the caller in, act, tell.

- The table of routes is the whole API: its OpenAPI document is made of it, and nothing answers that is not in it.
- A request acts for the tenant of its token and no other: no path, query, header or body can name one.
- Whatever goes wrong is a problem document; what nobody foresaw is logged and answered 500 without a word of it.
"""

import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Final, TypeVar

from pydantic import BaseModel, JsonValue, ValidationError
from pydantic_core import from_json

from shared.errors import LongshoreError
from shared.payloads import invalid
from shared.ports import Ports
from shared.runtime.api.messages import JSON_TYPE, RANK, Answer, Caller, Request, Role
from shared.runtime.api.problems import Refusal, problem_answer
from shared.runtime.logs import get_logger
from shared.runtime.service import Service

BODY_BYTES_MAX: Final = 4 * 1024 * 1024
"""Lambda takes 6 MB an invocation, and a body that is not text arrives in base64. More goes through an upload URL."""

SAFE: Final[Mapping[str, str]] = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "Strict-Transport-Security": "max-age=31536000",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}
"""On every answer: https://cheatsheetseries.owasp.org/cheatsheets/REST_Security_Cheat_Sheet.html#security-headers"""

M = TypeVar("M", bound=BaseModel)


@dataclass(frozen=True, slots=True)
class Call:
    """What a route acts on. `path` holds what stood in the braces of its path."""

    request: Request
    caller: Caller
    path: Mapping[str, str]
    service: Service
    ports: Ports
    live_url: str

    def query(self, model: type[M]) -> M:
        return model.model_validate(dict(self.request.query))

    def body(self, model: type[M]) -> M:
        self.json()
        return model.model_validate_json(self.request.body, strict=True)

    def json(self) -> object:
        """The body as JSON. Refusal 415 or 400 if it is none."""
        kind = self.request.headers.get("content-type", JSON_TYPE).partition(";")[0].strip().lower()
        if kind != JSON_TYPE:
            raise Refusal(415, "unsupported_media_type", f"send the body as {JSON_TYPE}")
        try:
            return from_json(self.request.body, allow_inf_nan=False)
        except ValueError as error:  # bad syntax, or nested deeper than 200
            raise Refusal(400, "malformed_json", f"the body is not JSON: {error}") from None


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """One line of the API. `role` None: open to anybody. `answers`: status → the body's model, None for no JSON."""

    method: str
    path: str
    name: str = ""
    """What a client in some language calls it: a verb and what it acts on. By default, what `act` is called."""
    summary: str
    role: Role | None
    act: Callable[[Call], Awaitable[Answer]]
    query: type[BaseModel] | None = None
    headers: type[BaseModel] | None = None
    body: type[BaseModel] | str | None = None
    """A model, or the name of a schema of the OpenAPI document."""
    examples: Mapping[str, JsonValue] = field(default_factory=dict)
    """Of the body: what it shows → the whole body."""
    answers: Mapping[int, type[BaseModel] | str | None]
    """A text names one kind of content, or several by commas."""
    may: tuple[int, ...] = ()
    """Statuses of problems beyond those that every route may answer."""


ANYBODY: Final = Caller("-", "-", None)

Limit = Callable[[Caller], Awaitable[None]]
"""Takes a token of the caller's tenant, or raises Refusal 429."""


class Api:
    """`live_url` is the WebSocket API's address."""

    def __init__(self, routes: Sequence[Route], ports: Ports, limit: Limit, *, live_url: str = "") -> None:
        self._routes = routes
        self._ports = ports
        self._service = Service(ports)
        self._limit = limit
        self._live_url = live_url

    async def answer(self, request: Request) -> Answer:
        """Raises nothing."""
        try:
            found = await self._answer(request)
        except ValidationError as error:
            found = problem_answer(invalid(error), request.request_id)
        except LongshoreError as error:
            found = problem_answer(error, request.request_id)
        except Exception:  # noqa: BLE001  # whatever it is, its words are for the log alone
            get_logger().exception("api_bug", method=request.method, path=request.path)
            found = problem_answer(Refusal(500, "internal", "something went wrong here"), request.request_id)
        return Answer(found.status, found.body, {**SAFE, **found.headers})

    async def _answer(self, request: Request) -> Answer:
        route, path = self._found(request)
        caller = _let_in(route, request)
        if route.role is not None:
            await self._limit(caller)
        if len(request.body) > BODY_BYTES_MAX:
            raise Refusal(413, "too_large", f"at most {BODY_BYTES_MAX:,} bytes: ask POST /uploads for a place")
        return await route.act(Call(request, caller, path, self._service, self._ports, self._live_url))

    def _found(self, request: Request) -> tuple[Route, Mapping[str, str]]:
        matches = [(route, match) for route in self._routes if (match := _pattern(route.path).fullmatch(request.path))]
        for route, match in matches:
            if route.method == request.method:
                return route, match.groupdict()
        if matches:
            allowed = ", ".join(sorted({route.method for route, _ in matches}))
            raise Refusal(405, "method_not_allowed", f"allowed here: {allowed}", {"Allow": allowed})
        raise Refusal(404, "no_such_path", "there is nothing at this path; GET /openapi.json tells what there is")


def _let_in(route: Route, request: Request) -> Caller:
    if route.role is None:
        return request.caller or ANYBODY
    if request.caller is None:
        raise Refusal(401, "unauthorized", "a bearer token of a tenant is needed", {"WWW-Authenticate": "Bearer"})
    role = request.caller.role
    if role is None or RANK[role] < RANK[route.role]:
        raise Refusal(403, "forbidden", f"this takes the role {route.role}; the token has {role or 'none'}")
    return request.caller


@cache
def _pattern(path: str) -> re.Pattern[str]:
    return re.compile(re.sub(r"\\{(\w+)\\}", r"(?P<\1>[^/]+)", re.escape(path)))
