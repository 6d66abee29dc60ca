"""An endpoint that says yes at once: `python -m tests.bench.canned` prints its environment and serves until stdin ends.

A queue that always has wake-ups of one job, and a table that grants every write. It takes so little CPU, none of it for
keeping state, that a worker's own can be measured beside it on two cores.
"""

import asyncio
import json
import sys
import time
from collections.abc import Callable
from typing import Any, Final

from aiohttp import web

from infra.local.cloud import client_environment
from infra.local.endpoint import ACCOUNT
from shared.admission import new_job
from shared.aws.expressions import item_of
from shared.envelope import Wakeup, seal, wakeup_body
from shared.job import Job
from shared.moves import Lease, applied, claim, submit
from shared.names import default_bucket
from shared.payloads.generic import GenericPayload
from tests.bench.stack import REGION, STACK

JOB_ID: Final = "job_0123456789abcdef0123456789abcdef"
PAYLOAD: Final = GenericPayload(tenant_id="acme-corp", operation="echo", parameters={"order": 4711, "copies": 2})


def _row(now: int) -> Job:
    """As a claim leaves it."""
    lease = Lease(token="fedcba9876543210", until=now + 75_000, alone=False, who="01234567")
    queued = applied(submit(new_job(seal(PAYLOAD, JOB_ID), now=now, token="0123456789abcdef")), None)
    return applied(claim(queued.tenant_id, JOB_ID, job_type=queued.type, seq=1, lease=lease, now=now), queued)


def _answers(url: str) -> dict[str, Callable[[dict[str, Any]], object]]:
    """Operation → request → answer, both as JSON has them."""
    now = _now()
    row = _row(now)
    item = item_of(row)
    message = {
        "MessageId": "11111111-2222-4333-8444-555555555555",
        "ReceiptHandle": "receipt" * 20,
        "MD5OfBody": "0" * 32,
        "Body": wakeup_body(Wakeup(row.tenant_id, row.job_id, 1)),
        "Attributes": {"ApproximateReceiveCount": "1", "SentTimestamp": str(now)},
    }

    def leased() -> dict[str, Any]:
        return item | {"lease_until": {"N": str(_now() + 75_000)}}

    return {
        "GetQueueUrl": lambda _: {"QueueUrl": f"{url}/{ACCOUNT}/{STACK}-generic"},
        "ReceiveMessage": lambda asked: {"Messages": [message] * asked["MaxNumberOfMessages"]},
        "DeleteMessageBatch": lambda asked: {"Successful": [{"Id": entry["Id"]} for entry in asked["Entries"]]},
        "UpdateItem": lambda asked: {"Attributes": leased()} if asked.get("ReturnValues") == "ALL_NEW" else {},
    }


def _now() -> int:
    return time.time_ns() // 1_000_000


async def _serve() -> None:
    answers: dict[str, Callable[[dict[str, Any]], object]] = {}

    async def answer(request: web.Request) -> web.Response:
        operation = request.headers["X-Amz-Target"].rpartition(".")[2]
        body = answers[operation](json.loads(await request.read()))
        return web.json_response(body, content_type="application/x-amz-json-1.0")

    application = web.Application()
    application.router.add_post("/{path:.*}", answer)
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    answers |= _answers(url)
    names = {"LONGSHORE_STACK": STACK, "LONGSHORE_BUCKET": default_bucket(STACK, ACCOUNT, REGION)}
    print(json.dumps(client_environment(url, REGION) | names), flush=True)
    await asyncio.to_thread(sys.stdin.read)
    await runner.cleanup()


if __name__ == "__main__":
    asyncio.run(_serve())
