"""What the stack's own operator sees, through the gateway and its containers."""

import asyncio
from urllib.parse import quote

from tests.e2e.front.house import PATIENCE_S, open_house


def test_the_stacks_operator_looks_after_queues_and_quarantine_and_nobody_else_does() -> None:
    async def scenario() -> None:
        async with open_house() as house, house.visitor(role="admin") as root, house.visitor() as ann:
            for path in ("/queues", "/quarantine", "/audit"):
                assert (await ann.ask("GET", path))[0] == 403
            status, found = await root.ask("GET", "/queues")
            assert (status, found["dead_letters"]) == (200, 0)
            assert {"extract", "generic"} <= {queue["type"] for queue in found["queues"]}
            url = (await house.cloud.clients.call("sqs", "get_queue_url", QueueName="longshore-generic"))["QueueUrl"]
            await house.cloud.clients.call("sqs", "send_message", QueueUrl=url, MessageBody="no JSON")
            async with asyncio.timeout(PATIENCE_S):
                while True:
                    _, found = await root.ask("GET", "/quarantine")
                    if found["items"]:
                        break
                    await asyncio.sleep(0.1)
            path = f"/quarantine/{quote(found['items'][0]['id'], safe='')}"
            status, item = await root.ask("GET", path)
            assert (status, item["body"]) == (200, "no JSON")
            assert (await root.ask("POST", f"{path}/retry"))[0] == 409
            status, health = await ann.ask("GET", "/health/deep")
            assert (status, {part["status"] for part in health["parts"].values()}) == (200, {"ok"}), health

    asyncio.run(scenario())
