"""A WebSocket API as API Gateway serves it: connections here, events to the template's functions, and the way back.

Rules of this file:
1. A connection is open once its `$connect` was answered 2xx; before that nobody can write to it.
2. A client's messages are handled one after the other, as they came.
3. `/{stage}/@connections/{id}` writes to a connection, and answers 410 for one that is gone.

https://docs.aws.amazon.com/apigateway/latest/developerguide/apigateway-websocket-api.html
"""

import asyncio
import time
import uuid
from collections.abc import Mapping
from typing import Any, Final

import structlog
from aiohttp import WSMsgType, web

from infra.local.containers import Function
from infra.local.events import InvocationFailed

IDLE_S: Final = 600
LIFE_S: Final = 2 * 3_600
MESSAGE_BYTES_MAX: Final = 128 * 1024
"""Quotas: https://docs.aws.amazon.com/apigateway/latest/developerguide/apigateway-execution-service-websocket-limits-table.html"""

log = structlog.get_logger("longshore.local")


class Sockets:
    """`routes`: `$connect`, `$disconnect`, `$default` → the function that is told. One API, of one stage."""

    def __init__(self, stage: str, routes: Mapping[str, Function]) -> None:
        self._stage = stage
        self._routes = routes
        self._open: dict[str, web.WebSocketResponse] = {}

    def is_for(self, path: str) -> bool:
        return path == f"/{self._stage}" or path.startswith(f"/{self._stage}/@connections/")

    async def serve(self, request: web.Request) -> web.StreamResponse:
        _, _, connection_id = request.path.partition("/@connections/")
        return await (self._manage(request, connection_id) if connection_id else self._connect(request))

    async def close(self) -> None:
        await asyncio.gather(*(socket.close(code=1001, message=b"Going away") for socket in [*self._open.values()]))

    async def _connect(self, request: web.Request) -> web.StreamResponse:
        connection_id = uuid.uuid4().hex
        opening = {"headers": dict(request.headers), "queryStringParameters": dict(request.query) or None}
        answer = await self._told("$connect", "CONNECT", connection_id, request, **opening)
        status = int(answer.get("statusCode", 200)) if isinstance(answer, dict) else 500
        if not 200 <= status < 300:
            return web.json_response({"message": "Unauthorized" if status == 401 else "Forbidden"}, status=status)
        socket = web.WebSocketResponse(max_msg_size=MESSAGE_BYTES_MAX, receive_timeout=IDLE_S)
        await socket.prepare(request)
        self._open[connection_id] = socket
        try:
            async with asyncio.timeout(LIFE_S):
                await self._listen(socket, connection_id, request)
        except TimeoutError:
            await socket.close(code=1001, message=b"Going away")
        finally:
            del self._open[connection_id]
            await self._told("$disconnect", "DISCONNECT", connection_id, request)
        return socket

    async def _listen(self, socket: web.WebSocketResponse, connection_id: str, request: web.Request) -> None:
        async for message in socket:
            if message.type is not WSMsgType.TEXT:
                return
            await self._told("$default", "MESSAGE", connection_id, request, body=message.data)

    async def _told(self, route: str, event_type: str, connection_id: str, request: web.Request, **more: object) -> Any:
        """What the route's function answered; None if it failed, or there is none."""
        function = self._routes.get(route)
        if function is None:
            return {"statusCode": 200}
        context = {
            "routeKey": route,
            "eventType": event_type,
            "connectionId": connection_id,
            "domainName": request.host,
            "stage": self._stage,
            "requestId": uuid.uuid4().hex,
            "requestTimeEpoch": int(time.time() * 1000),
        }
        try:
            return await function.invoke({"requestContext": context, "isBase64Encoded": False, **more})
        except InvocationFailed as failure:
            log.error("socket_failed", route=route, reason=str(failure))
            return None

    async def _manage(self, request: web.Request, connection_id: str) -> web.Response:
        """https://docs.aws.amazon.com/apigateway/latest/developerguide/apigateway-how-to-call-websocket-api-connections.html"""
        socket = self._open.get(connection_id)
        if socket is None or socket.closed:
            return web.json_response({"message": "Gone"}, status=410, headers={"x-amzn-ErrorType": "GoneException"})
        match request.method:
            case "POST":
                await socket.send_str((await request.read()).decode())
            case "DELETE":
                await socket.close(code=1000)
        return web.json_response({})
