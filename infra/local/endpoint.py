"""The embedded AWS endpoint: moto's backends on one event loop, over HTTP and in process at once.

Rules of this file:
1. moto has no locks, so it is only ever called here, from the loop that started the endpoint, one call at a time.
   Two threads would give one message to two receivers and one conditional write two winners.
2. Nothing waits inside moto. A long poll waits here, on the loop, until its queue has something to give.
3. moto's state is the process's: one endpoint at a time, and nothing is left of it after `close()`.

Long polls: https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_ReceiveMessage.html
"""

import asyncio
import functools
import json
import re
from collections import defaultdict
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import unquote

import structlog
from aiohttp import web
from botocore.awsrequest import HeadersDict
from moto.backends import get_backend
from moto.core.base_backend import BackendDict
from moto.core.models import DEFAULT_ACCOUNT_ID
from moto.core.request import Request
from moto.core.utils import unix_time_millis
from moto.sqs.models import sqs_backends
from werkzeug.exceptions import HTTPException

from infra.local.in_process import InProcessSession
from infra.local.keeper import Call, Keeper
from infra.local.mended_moto import ObjectBytes, mend
from infra.local.scheduler import due_at
from shared.errors import InvalidInput

ACCOUNT: Final = DEFAULT_ACCOUNT_ID
SERVICES: Final = (
    "bedrock",
    "dynamodb",
    "dynamodbstreams",
    "s3",
    "sagemaker",
    "scheduler",
    "secretsmanager",
    "sesv2",
    "sqs",
    "sts",
)
HOP_HEADERS: Final = {"connection", "content-length", "date", "server", "status", "transfer-encoding"}

log = structlog.get_logger("longshore.local")


@dataclass(frozen=True, slots=True)
class Answer:
    """An HTTP answer. `body` of a large object stays in its file until it is read."""

    status: int
    headers: Mapping[str, str]
    body: bytes | ObjectBytes


class Endpoint:
    """`await endpoint.start(host, port)` → its URL; `endpoint.session` is the same endpoint for clients on this loop.

    `session` goes to aiobotocore as `AioConfig(http_session_cls=endpoint.session)`.
    """

    _taken = False

    def __init__(self) -> None:
        self.url = ""
        self.session = functools.partial(InProcessSession, self)
        self._runner: web.AppRunner | None = None
        self._arrivals: defaultdict[str, asyncio.Event] = defaultdict(asyncio.Event)
        self._routes: dict[str, list[tuple[re.Pattern[str], Any]]] = {}
        self.keeper: Keeper | None = None
        """Hears of every request that has succeeded, before its caller does."""

    async def start(self, host: str = "127.0.0.1", port: int = 0) -> str:
        """Listens, on any free port if `port` is 0. Raises InvalidInput if the port or the process is taken."""
        if Endpoint._taken:
            raise InvalidInput("endpoint_taken", "this process already runs an embedded AWS endpoint")
        application = web.Application(client_max_size=0)
        application.router.add_route("*", "/{path:.*}", self._over_http)
        runner = web.AppRunner(application, access_log=None, handler_cancellation=True, shutdown_timeout=1)
        await runner.setup()
        try:
            await web.TCPSite(runner, host, port).start()
        except OSError as error:
            await runner.cleanup()
            raise InvalidInput(
                "port_taken", f"cannot listen on {host}:{port}: {error.strerror}", field="port"
            ) from error
        Endpoint._taken = True
        mend()
        self._runner = runner
        self.url = f"http://{host}:{runner.addresses[0][1]}"
        return self.url

    async def close(self) -> None:
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None
            BackendDict.reset()
            Endpoint._taken = False

    async def answer(self, method: str, url: str, headers: Mapping[str, str], body: bytes) -> Answer:
        """One signed AWS request → its answer. Anything that moto does not survive is a 5xx, as from AWS."""
        service, region = _service_and_region(url, headers)
        await asyncio.sleep(0)  # a caller in this process would otherwise never let another one run
        if service == "scheduler" and "/schedules/" in url and (problem := _problem_with_schedule(body)):
            return _fault(400, "ValidationException", problem)
        if service == "sqs" and not headers.get("X-Amz-Target"):
            return _fault(400, "UnsupportedProtocol", "queues are served to clients that speak JSON: update your SDK")
        if service == "sqs" and headers.get("X-Amz-Target", "").endswith(".ReceiveMessage"):
            # From here to moto nothing is awaited any more: of two polls that wake for one message, one waits on.
            body = await self._message_waiting(json.loads(body), region)
        answer = self._call_moto(service, Request.from_primitives(method, url, headers, body))
        if self.keeper is not None and answer.status < 300:
            self.keeper.note((service, method, url, {**headers}, body), region)
        if service == "sqs":
            self._tell_of_arrivals(body, region)
        return answer

    def repeat(self, call: Call) -> Answer:
        """A request from an earlier life, past everything but moto."""
        service, method, url, headers, body = call
        return self._call_moto(service, Request.from_primitives(method, url, headers, body))

    def _call_moto(self, service: str, request: Request) -> Answer:
        if service in SERVICES and service not in self._routes:  # few are asked for, and each takes its time
            self._routes[service] = _routes(service)
        handler = next((call for path, call in self._routes.get(service, []) if path.match(request.raw_path)), None)
        if handler is None:
            return _fault(
                501, "UnknownOperation", f"{service} {request.method} {request.raw_path} is not served locally"
            )
        try:
            status, headers, body = handler(request, request.raw_url, request.headers)
            request.environ.clear()  # it holds the request that holds it, and 8 MB of body, until the collector comes
        except HTTPException as error:
            return Answer(error.code or 500, dict(error.get_headers()), str(error.get_body()).encode())
        except Exception as error:  # moto's bugs must reach the client as AWS's would: as a 500
            log.exception("endpoint_failed", service=service, target=request.headers.get("X-Amz-Target"))
            return _fault(500, "InternalFailure", repr(error))
        kept = {str(name): str(value) for name, value in headers.items() if str(name).lower() not in HOP_HEADERS}
        if request.method == "HEAD":
            kept["Content-Length"] = str(HeadersDict(headers).get("content-length", 0))
        return Answer(int(status), kept, body.encode() if isinstance(body, str) else body)

    async def _over_http(self, request: web.Request) -> web.StreamResponse:
        url = f"http://{request.host}{request.raw_path}"
        answer = await self.answer(request.method, url, request.headers, await request.read())
        if isinstance(answer.body, bytes):
            return web.Response(status=answer.status, headers=answer.headers, body=answer.body)
        response = web.StreamResponse(status=answer.status, headers=answer.headers)
        response.content_length = len(answer.body)
        await response.prepare(request)
        for chunk in answer.body.chunks():
            await response.write(chunk)
        return response

    # ------------------------------------------------------------------------------------------ long polls

    async def _message_waiting(self, asked: dict[str, Any], region: str) -> bytes:
        """Returns the same request without its wait, when its queue has something to give or the wait is over."""
        queue = _queue(asked, region)
        if queue is not None:
            wait_s = asked.get("WaitTimeSeconds", queue.receive_message_wait_time_seconds)
            if 0 < wait_s <= 20:
                with suppress(TimeoutError):
                    async with asyncio.timeout(wait_s):
                        await self._until_visible(queue)
                asked["WaitTimeSeconds"] = 0
        return json.dumps(asked).encode()

    async def _until_visible(self, queue: Any) -> None:
        while True:
            now_ms = unix_time_millis()
            visible_ms = min((max(m.visible_at, m.delayed_until) for m in queue._messages), default=float("inf"))
            if visible_ms < now_ms:
                return
            with suppress(TimeoutError):
                async with asyncio.timeout((visible_ms - now_ms) / 1000 + 0.001 if visible_ms < float("inf") else None):
                    await self._arrivals[queue.name].wait()

    def _tell_of_arrivals(self, body: bytes, region: str) -> None:
        queue = _queue(json.loads(body), region)
        for changed in (queue, queue and queue.dead_letter_queue):
            if changed and changed.name in self._arrivals:
                self._arrivals.pop(changed.name).set()


def _queue(asked: dict[str, Any], region: str) -> Any:
    return sqs_backends[ACCOUNT][region].queues.get(str(asked.get("QueueUrl")).rsplit("/", 1)[-1])


def _routes(service: str) -> list[tuple[re.Pattern[str], Any]]:
    backends = get_backend(service)[ACCOUNT]  # type: ignore[call-overload]  # a literal of 200 names in moto's types
    backend = backends["aws" if service in ("s3", "sts") else "us-east-1"]
    return [(re.compile(path), handler) for path, handler in backend.url_paths.items()]


def _service_and_region(url: str, headers: Mapping[str, str]) -> tuple[str, str]:
    """From the credential's scope, which is in a header, or in the address of a presigned URL.

    https://docs.aws.amazon.com/IAM/latest/UserGuide/create-signed-request.html
    """
    scope = re.search(r"Credential=[^/]+/\d+/([^/]+)/([^/]+)/", headers.get("Authorization", "") or unquote(url))
    region, service = scope.groups() if scope else ("us-east-1", "s3")
    if headers.get("X-Amz-Target", "").startswith("DynamoDBStreams"):
        service = "dynamodbstreams"
    return "sesv2" if service == "ses" else service, region  # which signs as the first SES did


def _problem_with_schedule(body: bytes) -> str | None:
    """moto takes any expression; AWS refuses what it cannot read, and a time that has passed."""
    if not body:
        return None
    asked = json.loads(body)
    expression = str(asked.get("ScheduleExpression"))
    try:
        is_past = due_at(expression, asked.get("ScheduleExpressionTimezone")) < unix_time_millis()
    except ValueError as error:
        return str(error)
    return f"Invalid Schedule Expression {expression}: it is in the past." if is_past else None


def _fault(status: int, code: str, message: str) -> Answer:
    body = json.dumps({"__type": code, "message": message}).encode()
    return Answer(status, {"Content-Type": "application/x-amz-json-1.0"}, body)
