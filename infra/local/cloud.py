"""The local cloud: a template's whole stack, running on this machine.

    async with LocalCloud(Path("template.yaml")) as cloud:
        print(cloud.endpoint_url)
        await cloud.serve()

Rules of this file:
1. Everything that runs comes from the template; arguments say where and with what environment, not how.
2. With `endpoint`, nothing is embedded: the stack is made at that address, and functions, event sources and schedules
   run here against it.
3. What fails in the background is raised by `serve()` and by leaving the context: no part stops silently.
"""

import asyncio
import os
import secrets
from collections.abc import Awaitable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import structlog
from localstack_client.config import get_service_endpoint

from infra.local.containers import Function, Output
from infra.local.endpoint import ACCOUNT, Endpoint
from infra.local.gateway import Gateway
from infra.local.intrinsics import Place
from infra.local.keeper import Keeper
from infra.local.provision import provision
from infra.local.queue_source import QueuePoller
from infra.local.scheduler import ScheduleClock, at_a_rate
from infra.local.sockets import Sockets
from infra.local.specs import (
    FunctionSpec,
    HttpSource,
    QueueSource,
    ScheduleSource,
    Source,
    StreamSource,
    cors,
    functions,
    socket_api,
)
from infra.local.stream_source import StreamPoller
from infra.local.template import Template, read_template
from shared.aws.clients import Clients
from shared.errors import InvalidInput

CREDENTIALS: Final = ("local", "local")
"""Access key and secret for an endpoint that checks neither."""

log = structlog.get_logger("longshore.local")


def resolve_endpoint(name: str) -> str:
    """`localstack` → its address (LOCALSTACK_HOST, USE_SSL and AWS_ENDPOINT_URL are honoured); a URL → itself."""
    url = str(get_service_endpoint("sqs")) if name == "localstack" else name
    if urlsplit(url).scheme not in ("http", "https") or not urlsplit(url).netloc:
        raise InvalidInput("endpoint", f"expected localstack or a URL, not {name!r}", field="endpoint")
    return url.rstrip("/")


def client_environment(endpoint_url: str, region: str) -> dict[str, str]:
    """The variables by which any AWS SDK, in any process, finds an endpoint that checks no credentials."""
    access_key, secret = CREDENTIALS
    return {
        "AWS_ENDPOINT_URL": endpoint_url,
        "AWS_REGION": region,
        "AWS_DEFAULT_REGION": region,
        "AWS_ACCESS_KEY_ID": access_key,
        "AWS_SECRET_ACCESS_KEY": secret,
        "AWS_EC2_METADATA_DISABLED": "true",
    }


class LocalCloud:
    """Started by `async with` or `start()`, ended by leaving it or `stop()`.

    `data`: a directory that keeps everything from one start to the next; `is_resumed` tells whether it held anything.
    `parameters` are the template's. `env` is added to every function's environment, over the template's variables.
    `concurrency_max` bounds how many containers one queue may keep busy, whatever the template allows: a laptop is not
    a region. `output` takes each line that a function writes; by default lines go to the log. The HTTP API listens on
    `api_port` (0: any that is free) and takes tokens signed with `key` (None: a fresh one that nobody else knows).
    """

    def __init__(
        self,
        template_path: Path,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        stack: str = "longshore",
        region: str = "us-east-1",
        parameters: Mapping[str, str] | None = None,
        env: Mapping[str, str] | None = None,
        endpoint: str | None = None,
        data: Path | None = None,
        concurrency_max: int | None = None,
        output: Output | None = None,
        api_port: int = 0,
        key: str | None = None,
    ) -> None:
        self._template_path = template_path
        self._address = (host, port)
        self._stack = stack
        self._parameters = parameters or {}
        self._env = env or {}
        self._external = endpoint
        self._data = data
        self._keeper: Keeper | None = None
        self.is_resumed = False
        self._concurrency_max = concurrency_max or max(4, 2 * (os.cpu_count() or 1))
        self._output = output or _log_output
        self._endpoint = Endpoint()
        self._api_port = api_port
        self._gateway = Gateway(key or secrets.token_hex(32), concurrency_max=self._concurrency_max)
        self._functions: dict[str, Function] = {}
        self._queue_pollers: list[QueuePoller] = []
        self._polling: list[asyncio.Task[None]] = []
        self.region = region
        self.endpoint_url = ""
        self.api_url = self.socket_url = ""
        self.template = Template({}, {})
        self.clients = Clients()

    async def __aenter__(self) -> "LocalCloud":
        await self.start()
        return self

    async def __aexit__(self, *_error: object) -> None:
        await self.stop()

    async def start(self) -> None:
        """Raises InvalidInput for a template that cannot run here, and for a port that is taken."""
        text = await asyncio.to_thread(self._template_path.read_text, encoding="utf-8")
        try:
            await self._reach_endpoint()
            await self._make_stack(text)
        except BaseException:
            await self.stop()
            raise
        log.info("local_cloud_started", endpoint=self.endpoint_url, functions=[*self._functions])

    async def serve(self) -> None:
        """Returns only by an error: the first one of any poller."""
        done, _ = await asyncio.wait(self._polling, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()

    async def invoke(self, function: str, event: Any) -> Any:
        """Runs one function (by its name in the world) on an event, beside its event sources."""
        return await self._functions[function].invoke(event)

    @property
    def environment(self) -> dict[str, str]:
        """What another process needs in its environment to be a client of this cloud."""
        return client_environment(self.endpoint_url, self.region)

    async def stop(self, grace_s: float = 10.0) -> None:
        """Takes no more messages, lets batches under way end for `grace_s`, then ends every process it started."""
        polling, self._polling = self._polling, []
        for task in polling:
            task.cancel()
        ended = await asyncio.gather(*polling, return_exceptions=True)
        with suppress(TimeoutError):
            async with asyncio.timeout(grace_s):
                await asyncio.gather(*(poller.drained() for poller in self._queue_pollers))
        await self._gateway.close()
        await asyncio.gather(*(function.close() for function in self._functions.values()))
        await self.clients.close()
        if self._keeper is not None:
            self._endpoint.keeper = None
            self._keeper.close(self.region)
        await self._endpoint.close()
        if errors := [error for error in ended if isinstance(error, Exception)]:
            raise errors[0]

    async def _reach_endpoint(self) -> None:
        if self._data is not None:
            if self._external is not None:
                raise InvalidInput("data", "an endpoint elsewhere keeps its own state", field="--data")
            self._keeper = Keeper(self._data)
        if self._external is None:
            self.endpoint_url = await self._endpoint.start(*self._address)
            self.clients = Clients(
                endpoint_url=self.endpoint_url,
                region=self.region,
                http_session_cls=self._endpoint.session,
                credentials=CREDENTIALS,
            )
        else:
            self.endpoint_url = resolve_endpoint(self._external)
            # Every long poll holds a connection of its service's pool, and deletes must not wait for one.
            self.clients = Clients(
                endpoint_url=self.endpoint_url, region=self.region, credentials=CREDENTIALS, pool=200
            )

    async def _make_stack(self, text: str) -> None:
        place = Place(self._stack, self.region, await self._account(), self.endpoint_url)
        self.template = read_template(text, place, self._parameters)
        specs, sockets = functions(self.template), socket_api(self.template)
        self.api_url = await self._gateway.start(self._address[0], self._api_port)
        if sockets is not None:
            self.socket_url = f"ws{self.api_url.removeprefix('http')}/{sockets.stage}"
        self._gateway.allow(cors(self.template))
        await provision(self.template, self.clients)
        if self._keeper is not None:
            self.is_resumed = self._keeper.restore(self._endpoint.repeat, self.region)
            self._endpoint.keeper = self._keeper
        for spec in specs:
            environment = self._function_environment(spec, place)
            function = Function(
                spec, environment=environment, directory=self._template_path.resolve().parent, output=self._output
            )
            self._functions[spec.name] = function
            for source in spec.sources:
                self._connect(source, function)
        if sockets is not None:
            routes = {route: self._functions[name] for route, name in sockets.routes.items()}
            self._gateway.add_sockets(Sockets(sockets.stage, routes))
        groups = [group.name for group in self.template.of_type("AWS::Scheduler::ScheduleGroup")]
        self._poll(ScheduleClock(groups, self.clients).run())

    async def _account(self) -> str:
        if self._external is None:
            return ACCOUNT
        sts = await self.clients.get("sts")
        return str((await sts.get_caller_identity())["Account"])

    def _connect(self, source: Source, function: Function) -> None:
        match source:
            case HttpSource():
                self._gateway.add(source, function)
            case StreamSource():
                self._poll(StreamPoller(source, function, self.clients, self._keeper).run())
            case ScheduleSource():
                self._poll(at_a_rate(source.every_s, function))
            case QueueSource():
                poller = QueuePoller(source, function, self.clients, concurrency_max=self._concurrency_max)
                self._queue_pollers.append(poller)
                self._poll(poller.run())

    def _poll(self, running: Awaitable[None]) -> None:
        self._polling.append(asyncio.ensure_future(running))

    def _function_environment(self, spec: FunctionSpec, place: Place) -> dict[str, str]:
        """https://docs.aws.amazon.com/lambda/latest/dg/configuration-envvars.html, on top of this process's own."""
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
        reserved = {
            "AWS_LAMBDA_FUNCTION_NAME": spec.name,
            "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
            "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(spec.memory_mb),
            "AWS_LAMBDA_LOG_GROUP_NAME": f"/aws/lambda/{spec.name}",
            "AWS_LAMBDA_LOG_STREAM_NAME": "local",
            "LONGSHORE_LOCAL_FUNCTION_ARN": f"arn:aws:lambda:{place.region}:{place.account}:function:{spec.name}",
            "LAMBDA_TASK_ROOT": str(self._template_path.resolve().parent),
            "PYTHONUNBUFFERED": "1",
            "TZ": "UTC",
            "_HANDLER": spec.handler,
        }
        live = {
            "LONGSHORE_WEBSOCKET_URL": self.socket_url,
            "LONGSHORE_CONNECTIONS_URL": f"http{self.socket_url.removeprefix('ws')}",
        }
        return inherited | self.environment | reserved | dict(spec.environment) | live | dict(self._env)


def _log_output(function: str, line: str) -> None:
    log.info("function_output", function=function, line=line)
