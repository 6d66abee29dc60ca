"""The API in this process over ports in memory, asked by API Gateway's events: quick enough for thousands of them."""

import asyncio
import base64
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import unquote

from shared.bucket import Limit
from shared.errors import Permanent
from shared.memory.clock import VirtualTimeLoop
from shared.memory.ports import memory_ports
from shared.memory.queues import MemoryQueues
from shared.payloads import TYPES
from shared.payloads.generic import GenericPayload
from shared.payloads.results import ProcessResult
from shared.ports import Ports
from shared.runtime.api.app import Api
from shared.runtime.api.gateway import request_of, response_of
from shared.runtime.api.limiting import Limiter
from shared.runtime.api.routes import ROUTES
from shared.runtime.context import Context
from tests.world import World

PLENTY = Limit(1e9, 10**9)
LIVE_URL = "wss://live.test/live"


@dataclass(frozen=True)
class Reply:
    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def document(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.body)
        return found


@dataclass
class Served:
    """A tenant has three jobs: one that went well, one that failed, one that waits; a webhook, and a schedule."""

    runner: asyncio.Runner
    world: World
    api: Api
    calls: list[str]
    """What was asked of the ports, in order: empty it to begin anew."""
    ids: dict[str, dict[str, list[str]]] = field(default_factory=dict)
    """tenant → the name of a path's parameter → what that tenant has"""

    def ask(
        self,
        method: str,
        path: str,
        body: object = None,
        *,
        claims: Mapping[str, object] | None = None,
        query: str = "",
        headers: Mapping[str, str] | None = None,
    ) -> Reply:
        """`path` as it is on the wire. `claims` None: no token."""
        data = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
        context: dict[str, Any] = {"http": {"method": method, "path": path}, "requestId": "r-1"}
        if claims is not None:
            context["authorizer"] = {"jwt": {"claims": claims, "scopes": None}}
        event = {
            "rawPath": unquote(path),
            "rawQueryString": query,
            "headers": headers or {},
            "requestContext": context,
            "body": base64.b64encode(data).decode(),
            "isBase64Encoded": True,
        }
        request = request_of(json.loads(json.dumps(event)))
        response = json.loads(json.dumps(response_of(self.runner.run(self.api.answer(request)))))
        text = response["body"]
        data = base64.b64decode(text) if response["isBase64Encoded"] else text.encode()
        return Reply(response["statusCode"], response["headers"], data)

    def settle(self, tenant_id: str) -> None:
        """Give the tenant its jobs."""
        claims = claims_of(tenant_id)
        made = []
        for operation, query in (("fine", ""), ("bad", ""), ("later", "delay_s=3600")):
            body = {"type": "generic", "operation": operation, "metadata": {"of": tenant_id}}
            made.append(self.ask("POST", "/jobs", body, claims=claims, query=query).document["job_id"])
        self.runner.run(self.world.drain(with_scheduled=False))
        hook = self.ask("POST", "/webhooks", {"url": f"https://{tenant_id}.test/hook"}, claims=claims)
        asked = {"name": tenant_id, "cron": "@daily", "payload": {"type": "generic", "operation": "x"}}
        plan = self.ask("POST", "/schedules", asked, claims=claims)
        paused = {"type": ("backup", "extract", "restore")[len(self.ids)]}
        stop = self.ask("POST", "/pauses", paused, claims=claims)
        self.ids[tenant_id] = {
            "pause_id": [stop.document["pause_id"]],
            "job_id": made,
            "webhook_id": [hook.document["webhook_id"]],
            "schedule_id": [plan.document["schedule_id"]],
        }


def claims_of(tenant_id: object = "acme", role: str = "operator", user_id: str = "ann") -> dict[str, object]:
    """As API Gateway hands them on."""
    return {"tenant_id": tenant_id, "roles": f"[{role}]", "sub": user_id}


@contextmanager
def served(*tenants: str, limit: Limit = PLENTY) -> Iterator[Served]:
    loop = VirtualTimeLoop()
    with asyncio.Runner(loop_factory=lambda: loop) as runner:
        queues = MemoryQueues(loop.now, visibility_s=90, job_types={*TYPES})
        calls: list[str] = []
        world = World(_listened(memory_ports(loop.now, seed=7, queues=queues), calls), _work)
        api = Api(ROUTES, world.ports, Limiter(world.ports, limit), live_url=LIVE_URL)
        found = Served(runner, world, api, calls)
        for tenant_id in tenants:
            found.settle(tenant_id)
        yield found


class _Listened:
    """A port that notes the names of its methods as they are called."""

    def __init__(self, port: object, name: str, calls: list[str]) -> None:
        self._port, self._name, self._calls = port, name, calls

    def __getattr__(self, method: str) -> Any:
        found = getattr(self._port, method)
        if callable(found):
            self._calls.append(f"{self._name}.{method}")
        return found


def _listened(ports: Ports, calls: list[str]) -> Ports:
    names = ("jobs", "side", "objects", "secrets", "queues", "connections")
    heard: dict[str, Any] = {name: _Listened(getattr(ports, name), name, calls) for name in names}
    return replace(ports, **heard)


async def _work(payload: GenericPayload, context: Context) -> ProcessResult:
    if payload.operation == "bad":
        raise Permanent("bad_row", f"a row of {payload.tenant_id} is bad", field="rows")
    async with context.artifacts.create("out.txt") as upload:
        await upload.write(b"hello")
    return ProcessResult(data={"url": upload.url})
