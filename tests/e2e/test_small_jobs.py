"""A mail and a request, through the whole product: its door, its queue, its function, the wire."""

import asyncio
import json
from email import message_from_string
from email.policy import default
from typing import Any

import aiohttp
from aiohttp import web
from moto.core.models import DEFAULT_ACCOUNT_ID
from moto.ses.models import ses_backends

from infra.local.cloud import LocalCloud
from infra.local.template import PRESET
from shared.runtime.webhooks import LOCAL_VARIABLE
from tests.e2e.front.house import KEY, TEMPLATE, House, Visitor


def test_a_mail_with_a_file_and_a_request_with_a_secret() -> None:
    async def story() -> None:
        lines: list[str] = []
        cloud = LocalCloud(TEMPLATE, key=KEY, env={LOCAL_VARIABLE: "1"}, output=lambda _, line: lines.append(line))
        async with cloud:
            house = House(cloud, lines)
            async with house.visitor() as ann:
                await asyncio.gather(_a_mail(ann), _a_request(ann, cloud))

    asyncio.run(story())


async def _a_mail(ann: Visitor) -> None:
    _, place = await ann.ask("POST", "/uploads", {"name": "report.txt", "size_bytes": 5})
    async with aiohttp.ClientSession() as anybody, anybody.put(place["href"], data=b"12345") as answer:
        assert answer.status == 200
    fields = {"to": ["bob@example.com"], "bcc": ["eve@example.com"], "subject": "Hello {{ name }}", "text": "Grüße"}
    files = [{"url": place["url"], "content_type": "text/plain"}]
    done = await _done(ann, type="send_email", values={"name": "Bob"}, attachments=files, **fields)
    (sent,) = ses_backends[DEFAULT_ACCOUNT_ID]["us-east-1"].sent_messages
    assert done["data"]["message_id"] == sent.id
    assert (sent.source, set(sent.destinations)) == (PRESET["EmailFrom"], {"bob@example.com", "eve@example.com"})
    mail = message_from_string(sent.raw_data, policy=default)
    assert (mail["Subject"], mail["To"], mail["Bcc"]) == ("Hello Bob", "bob@example.com", None)
    assert [part.get_content().strip() for part in mail.walk() if not part.is_multipart()] == ["Grüße", "12345"]


async def _a_request(ann: Visitor, cloud: LocalCloud) -> None:
    async def answer(request: web.Request) -> web.Response:
        assert request.headers["X-Api-Key"] == "sesame"
        return web.json_response({"key": request.headers["X-Api-Key"], "sent": await request.json()})

    app = web.Application()
    app.router.add_post("/contacts", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    origin = f"http://127.0.0.1:{runner.addresses[0][1]}"
    kept, url = json.dumps({"origins": [origin], "value": "sesame"}), f"{origin}/contacts"
    await cloud.clients.call("secretsmanager", "create_secret", Name="longshore/acme/crm", SecretString=kept)
    headers = {"X-Api-Key": "secret://crm"}
    done = await _done(ann, type="http_request", method="POST", url=url, headers=headers, json={"name": "Ann"})
    await runner.cleanup()
    assert (done["data"]["status"], done["data"]["body"]) == (200, {"key": "…", "sent": {"name": "Ann"}})


async def _done(ann: Visitor, **payload: object) -> dict[str, Any]:  # Any: a JSON document
    status, accepted = await ann.ask("POST", "/jobs", payload)
    assert status == 202, accepted
    job = await ann.until(accepted["job_id"], "SUCCESS", "FAILED")
    assert job["status"] == "SUCCESS", job
    _, result = await ann.ask("GET", f"/jobs/{accepted['job_id']}/result")
    return dict(result["data"]["result"])
