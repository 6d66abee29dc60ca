"""The whole product behind its front door: our own template in the local cloud, and clients with tokens."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp

from infra.local.cloud import LocalCloud
from infra.local.specs import Authorizer
from infra.local.template import PRESET
from infra.local.tokens import signed

KEY = "k" * 64
AUTHORIZER = Authorizer(PRESET["TokenIssuer"], ("longshore",))
TEMPLATE = Path(__file__).parents[3] / "template.yaml"
PATIENCE_S = 30


@dataclass
class House:
    cloud: LocalCloud
    lines: list[str] = field(default_factory=list)
    """What functions wrote."""

    def token(self, tenant_id: str = "acme", role: str = "operator", **options: Any) -> str:
        return signed(KEY, AUTHORIZER, tenant_id=tenant_id, user_id=f"{role}@{tenant_id}", roles=[role], **options)

    @asynccontextmanager
    async def visitor(self, tenant_id: str = "acme", role: str = "operator") -> AsyncIterator["Visitor"]:
        headers = {"Authorization": f"Bearer {self.token(tenant_id, role)}"}
        async with aiohttp.ClientSession(self.cloud.api_url, headers=headers) as session:
            yield Visitor(session)


@dataclass
class Visitor:
    session: aiohttp.ClientSession

    async def ask(self, method: str, path: str, document: object = None, **headers: str) -> tuple[int, Any]:
        """→ status, document"""
        options: dict[str, Any] = {} if document is None else {"json": document}
        async with self.session.request(method, path, headers=headers, **options) as answer:
            text = await answer.text()
            return answer.status, json.loads(text) if text else None

    async def submit(self, operation: str = "count", **parameters: Any) -> str:
        payload = {"type": "generic", "operation": operation, "parameters": parameters}
        status, accepted = await self.ask("POST", "/jobs", payload)
        assert status == 202, accepted
        return str(accepted["job_id"])

    async def until(self, job_id: str, *statuses: str) -> dict[str, Any]:
        async with asyncio.timeout(PATIENCE_S):
            while True:
                _, job = await self.ask("GET", f"/jobs/{job_id}")
                if job["status"] in statuses:
                    return dict(job)
                await asyncio.sleep(0.1)

    @asynccontextmanager
    async def live(self) -> AsyncIterator[aiohttp.ClientWebSocketResponse]:
        _, ticket = await self.ask("POST", "/tickets")
        async with self.session.ws_connect(ticket["url"]) as socket:
            yield socket


@asynccontextmanager
async def open_house(**parameters: str) -> AsyncIterator[House]:
    """`parameters` are the template's."""
    lines: list[str] = []
    options: dict[str, Any] = {"parameters": parameters, "output": lambda _, line: lines.append(line)}
    async with LocalCloud(TEMPLATE, key=KEY, **options) as cloud:
        yield House(cloud, lines)
