"""The front of the local cloud: an HTTP API as API Gateway serves it, in front of the template's functions.

Rules of this file:
1. Which paths there are, and which ask for a token, is the template's to say.
2. What the gateway itself refuses, it refuses in API Gateway's words; everything else is the function's answer.
3. A request is one event to one container: many at once are many containers, up to `concurrency_max`.
4. A preflight that no route takes is answered here; pages of other origins are told what the template allows.

Events and answers: https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-develop-integrations-lambda.html
Quotas: https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-quotas.html
"""

import asyncio
import base64
import time
import uuid
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

import structlog
from aiohttp import web

from infra.local.containers import Function
from infra.local.events import InvocationFailed
from infra.local.sockets import Sockets
from infra.local.specs import Cors, HttpSource
from infra.local.tokens import checked
from shared.errors import InvalidInput

BODY_BYTES_MAX: Final = 6_000_000
"""Of an event to a function."""

TIMEOUT_S: Final = 30

log = structlog.get_logger("longshore.local")


class Gateway:
    """`await start(host, port)` → its URL; `add` its routes, `add_sockets` its WebSocket API, before or after."""

    def __init__(self, key: str, *, concurrency_max: int) -> None:
        self.url = ""
        self._key = key
        self._routes: list[tuple[HttpSource, Function]] = []
        self._room = asyncio.Semaphore(concurrency_max)
        self._sockets: Sockets | None = None
        self._cors: Cors | None = None
        self._runner: web.AppRunner | None = None

    def add(self, source: HttpSource, function: Function) -> None:
        self._routes.append((source, function))

    def add_sockets(self, sockets: Sockets) -> None:
        self._sockets = sockets

    def allow(self, cors: Cors | None) -> None:
        """Pages of these origins may call."""
        self._cors = cors

    async def start(self, host: str, port: int) -> str:
        """Raises InvalidInput if the port is taken."""
        application = web.Application(client_max_size=BODY_BYTES_MAX)
        application.router.add_route("*", "/{path:(?s:.*)}", self._serve)
        self._runner = web.AppRunner(application, access_log=None, shutdown_timeout=1)
        await self._runner.setup()
        try:
            await web.TCPSite(self._runner, host, port).start()
        except OSError as error:
            await self.close()
            reason = f"cannot listen on {host}:{port}: {error.strerror}"
            raise InvalidInput("port_taken", reason, field="port") from error
        self.url = f"http://{host}:{self._runner.addresses[0][1]}"
        return self.url

    async def close(self) -> None:
        if self._sockets is not None:
            await self._sockets.close()
        if self._runner is not None:
            await self._runner.cleanup()

    async def _serve(self, request: web.Request) -> web.StreamResponse:
        if self._sockets is not None and self._sockets.is_for(request.path):
            return await self._sockets.serve(request)
        found = self._found(request.method, request.path)
        if found is None:
            return self._preflight(request) or _refused(404, "Not Found")
        source, function = found
        claims: Mapping[str, str] | None = None
        if source.authorizer is not None:
            claims = checked(_bearer(request), self._key, source.authorizer)
            if claims is None:
                return _refused(401, "Unauthorized", {"WWW-Authenticate": "Bearer"})
        try:
            event = _event(request, await request.read(), source, claims)
        except web.HTTPRequestEntityTooLarge:
            return _refused(413, "Request Entity Too Large")
        answer = await self._invoked(function, event)
        answer.headers.update(_cors_headers(self._cors, request))
        return answer

    def _preflight(self, request: web.Request) -> web.Response | None:
        is_one = request.method == "OPTIONS" and "Access-Control-Request-Method" in request.headers
        if self._cors is None or not is_one:
            return None
        allowed = _cors_headers(self._cors, request)
        if allowed:
            allowed["Access-Control-Allow-Methods"] = ",".join(self._cors.methods)
            allowed["Access-Control-Allow-Headers"] = ",".join(self._cors.headers)
            allowed["Access-Control-Max-Age"] = str(self._cors.max_age_s)
        return web.Response(status=204, headers=allowed)

    async def _invoked(self, function: Function, event: Mapping[str, Any]) -> web.Response:
        try:
            async with self._room, asyncio.timeout(TIMEOUT_S):
                return _response(await function.invoke(event))
        except TimeoutError:
            return _refused(503, "Service Unavailable")
        except InvocationFailed as failure:
            log.error("request_failed", path=event["rawPath"], reason=str(failure))
            return _refused(500, "Internal Server Error")

    def _found(self, method: str, path: str) -> tuple[HttpSource, Function] | None:
        """The most specific route: whole paths before prefixes, long ones before short ones, a method before ANY."""
        fitting = [entry for entry in self._routes if _fits(entry[0], method, path)]
        return max(fitting, key=lambda entry: _specificity(entry[0]), default=None)


def _specificity(source: HttpSource) -> tuple[bool, int, bool]:
    return not source.path.endswith("+}"), len(source.path), source.method != "ANY"


def _cors_headers(cors: Cors | None, request: web.Request) -> dict[str, str]:
    """What a page of the request's origin is told; nothing, if its origin is not one of ours."""
    origin = request.headers.get("Origin", "")
    if cors is None or not {origin, "*"} & {*cors.origins}:
        return {}
    allowed = "*" if "*" in cors.origins else origin
    return {"Access-Control-Allow-Origin": allowed, "Access-Control-Expose-Headers": ",".join(cors.exposed)}


def _fits(source: HttpSource, method: str, path: str) -> bool:
    prefix, is_proxy = source.path.removesuffix("{proxy+}"), source.path.endswith("{proxy+}")
    return source.method in ("ANY", method) and (path.startswith(prefix) if is_proxy else path == source.path)


def _bearer(request: web.Request) -> str:
    kind, _, token = request.headers.get("Authorization", "").partition(" ")
    return token.strip() if kind.lower() == "bearer" else kind


def _event(request: web.Request, body: bytes, source: HttpSource, claims: Mapping[str, str] | None) -> dict[str, Any]:
    text, is_base64 = _text(body)
    now = datetime.now(UTC)
    headers: dict[str, str] = {}
    for name, value in request.headers.items():
        headers[name.lower()] = f"{headers[name.lower()]},{value}" if name.lower() in headers else value
    route = "$default" if source.path == "$default" else f"{source.method} {source.path}"
    context: dict[str, Any] = {
        "accountId": "123456789012",
        "apiId": "local",
        "domainName": request.host,
        "http": {
            "method": request.method,
            "path": request.path,
            "protocol": "HTTP/1.1",
            "sourceIp": request.remote or "",
            "userAgent": request.headers.get("User-Agent", ""),
        },
        "requestId": uuid.uuid4().hex,
        "routeKey": route,
        "stage": "$default",
        "time": now.strftime("%d/%b/%Y:%H:%M:%S +0000"),
        "timeEpoch": int(time.time() * 1000),
    }
    if claims is not None:
        context["authorizer"] = {"jwt": {"claims": dict(claims), "scopes": None}}
    return {
        "version": "2.0",
        "routeKey": route,
        "rawPath": request.path,
        "rawQueryString": request.query_string,
        "headers": headers,
        "requestContext": context,
        "isBase64Encoded": is_base64,
    } | ({"body": text} if body else {})


def _text(body: bytes) -> tuple[str, bool]:
    try:
        return body.decode(), False
    except UnicodeDecodeError:
        return base64.b64encode(body).decode(), True


def _response(answer: Any) -> web.Response:
    """What is no response in API Gateway's sense is the function's JSON, with 200."""
    if not isinstance(answer, dict) or "statusCode" not in answer:
        return web.json_response(answer)
    body = str(answer.get("body", ""))
    data = base64.b64decode(body) if answer.get("isBase64Encoded") else body.encode()
    return web.Response(status=int(answer["statusCode"]), headers=answer.get("headers", {}), body=data)


def _refused(status: int, message: str, headers: Mapping[str, str] | None = None) -> web.Response:
    return web.json_response({"message": message}, status=status, headers=headers)
