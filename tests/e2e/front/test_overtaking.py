"""Ten thousand jobs of a noisy tenant wait: who is quiet, or urgent, or low, does not wait behind them."""

import asyncio

from moto.sqs.models import Message, Queue, sqs_backends

from infra.local.cloud import LocalCloud
from infra.local.endpoint import ACCOUNT
from shared.lanes import Priority
from tests.e2e.front.house import KEY, TEMPLATE, House, Visitor

NOISE = 10_000
BODY = '{"operation": "count", "parameters": {"to": 1, "every_s": 1}, "tenant_id": "noisy"}'
"""Such a job takes a second, and leaves the processor to the others."""


def put_noise(queue: Queue) -> None:
    """Into the queue itself: to send so much would take longer than all the rest."""
    for number in range(NOISE):
        message = Message(f"noise-{number}", BODY)
        message.group_id = "noisy"
        message.mark_sent()
        queue._messages.append(message)


async def through(visitor: Visitor, priority: Priority = "normal") -> None:
    """Submit a job, and wait until it is done."""
    asked = {"type": "generic", "operation": "echo", "priority": priority}
    status, accepted = await visitor.ask("POST", "/jobs", asked)
    assert status == 202, accepted
    job = await visitor.until(accepted["job_id"], "SUCCESS")
    assert job["priority"] == priority


def test_a_quiet_tenants_job_and_those_of_other_lanes_overtake_a_noisy_tenants_ten_thousand() -> None:
    async def scenario() -> None:
        async with LocalCloud(TEMPLATE, key=KEY, concurrency_max=1, output=lambda *_: None) as cloud:
            house, queue = House(cloud), sqs_backends[ACCOUNT]["us-east-1"].queues["longshore-generic"]
            put_noise(queue)
            async with house.visitor("quiet") as quiet, house.visitor("noisy") as noisy:
                await through(quiet)
                for priority in ("urgent", "high", "low"):
                    await through(noisy, priority)
            assert len(queue._messages) > NOISE / 2

    asyncio.run(scenario())
