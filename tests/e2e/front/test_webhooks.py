"""Webhooks through the local cloud: from the API to a receiver on this machine, and no secret left on the way."""

import asyncio
import json
import time
from collections.abc import Callable
from typing import Any

from aiohttp import web
from standardwebhooks import Webhook

from infra.local.cloud import LocalCloud
from shared.runtime.webhooks import LOCAL_VARIABLE
from tests.e2e.front.house import KEY, PATIENCE_S, TEMPLATE, House, Visitor
from tests.handlers.test_webhook import listening


class Receiver:
    """`status` is what it answers."""

    def __init__(self) -> None:
        self.status = 200
        self.received: asyncio.Queue[tuple[dict[str, str], bytes]] = asyncio.Queue()

    async def hear(self, request: web.Request) -> web.StreamResponse:
        await self.received.put((dict(request.headers), await request.read()))
        return web.Response(status=self.status)

    async def heard(self, secret: str) -> Any:
        """The next event, verified by the standard's own library with the clock as it is."""
        async with asyncio.timeout(PATIENCE_S):
            headers, body = await self.received.get()
        return Webhook(secret).verify(body, headers)


def test_a_webhook_is_told_of_a_job_and_only_its_tenants_and_its_secret_stays_where_it_belongs() -> None:
    async def scenario() -> None:
        lines: list[str] = []
        receiver = Receiver()
        cloud = LocalCloud(TEMPLATE, key=KEY, env={LOCAL_VARIABLE: "1"}, output=lambda _, line: lines.append(line))
        async with listening(receiver.hear) as url, cloud:
            house = House(cloud, lines)
            async with house.visitor() as ann, house.visitor("evil") as eve:
                secrets = await _a_job_is_told(ann, eve, receiver, url)
                secrets += await _one_that_is_gone_is_disabled(ann, receiver, url)
            await _nothing_knows(cloud, lines, secrets)

    asyncio.run(scenario())


async def _a_job_is_told(ann: Visitor, eve: Visitor, receiver: Receiver, url: str) -> list[str]:
    status, made = await ann.ask("POST", "/webhooks", {"url": url})
    assert status == 201, made
    path, secret = f"/webhooks/{made['webhook_id']}", made["secret"]
    await ann.ask("POST", f"{path}/ping")
    assert (await receiver.heard(secret))["type"] == "webhook.ping"
    await eve.submit(to=1, every_s=0)
    began_s = time.monotonic()
    job_id = await ann.submit(to=1, every_s=0)
    told = await receiver.heard(secret)
    print(f"from submission to the receiver: {time.monotonic() - began_s:.2f} s")
    assert (told["type"], told["data"]["job_id"], told["data"]["status"]) == ("job.completed", job_id, "SUCCESS")
    _, rotated = await ann.ask("POST", f"{path}/rotate")
    failing = await ann.submit("fail")
    assert (await receiver.heard(rotated["secret"]))["data"]["job_id"] == failing
    log = (await _until(ann, f"{path}/deliveries", lambda found: len(found["deliveries"]) == 3))["deliveries"]
    assert [(one["event"], one["status_code"]) for one in log] == [
        ("job.failed", 200),
        ("job.completed", 200),
        ("webhook.ping", 200),
    ]
    assert [job["job_id"] for job in (await ann.ask("GET", "/jobs"))[1]["jobs"]] == [failing, job_id]
    assert (await ann.ask("DELETE", path))[0] == 204
    return [secret, rotated["secret"]]


async def _one_that_is_gone_is_disabled(ann: Visitor, receiver: Receiver, url: str) -> list[str]:
    receiver.status = 410
    _, made = await ann.ask("POST", "/webhooks", {"url": url, "events": ["queued"]})
    await ann.submit(to=1, every_s=0)
    assert (await receiver.heard(made["secret"]))["type"] == "job.queued"
    await _until(ann, f"/webhooks/{made['webhook_id']}", lambda found: "disabled_reason" in found)
    return [made["secret"]]


async def _until(ann: Visitor, path: str, is_so: Callable[[Any], bool]) -> Any:
    async with asyncio.timeout(PATIENCE_S):
        while True:
            _, found = await ann.ask("GET", path)
            if is_so(found):
                return found
            await asyncio.sleep(0.1)


async def _nothing_knows(cloud: LocalCloud, lines: list[str], secrets: list[str]) -> None:
    dynamodb = await cloud.clients.get("dynamodb")
    tables = [await dynamodb.scan(TableName=f"longshore-{name}") for name in ("jobs", "side")]
    everything = json.dumps([table["Items"] for table in tables]) + "\n".join(lines)
    assert "webhooks#acme" in everything
    assert "run_settled" in everything
    kept = (await (await cloud.clients.get("secretsmanager")).list_secrets())["SecretList"]
    assert [secret["Name"].rpartition("/")[0] for secret in kept] == ["longshore/_webhooks/acme"], "one is deleted"
    for secret in secrets:
        assert secret.removeprefix("whsec_")[:16] not in everything
