"""A pause and a place: what is paused keeps no place from who is not."""

import asyncio
from typing import ClassVar, Literal

from infra.testing import Longshore
from shared.pause import Pause
from shared.payloads.base import Payload
from shared.retry import Policy
from shared.runtime.context import Context
from shared.runtime.definition import job
from shared.runtime.pause import pause
from shared.throttle import Concurrency

ONE_AT_A_TIME = Policy(throttles=(Concurrency(at_once=1, by="host"),))


class OnePayload(Payload):
    policy: ClassVar[Policy] = ONE_AT_A_TIME
    type: Literal["one"] = "one"
    host: str = "h"


class OtherPayload(Payload):
    policy: ClassVar[Policy] = ONE_AT_A_TIME
    type: Literal["other"] = "other"
    host: str = "h"


def test_a_place_that_is_handed_to_a_paused_job_goes_on_to_who_may_run(longshore: Longshore) -> None:
    ran: list[str] = []

    @longshore.use
    @job(OnePayload)
    async def one(_payload: OnePayload, _context: Context) -> None:
        ran.append("one")
        await asyncio.sleep(5)

    @longshore.use
    @job(OtherPayload)
    async def other(_payload: OtherPayload, _context: Context) -> None:
        ran.append("other")
        await asyncio.sleep(5)

    async def story() -> None:
        for payload in [OnePayload()] * 3 + [OtherPayload()] * 2:
            await longshore.service.submit(payload)
            await asyncio.sleep(0.01)
        await longshore.world.react()
        running = asyncio.create_task(longshore.world.invoke("one"))
        await asyncio.sleep(1)
        await longshore.world.invoke("other")
        now = longshore.ports.now()
        await pause(longshore.ports, Pause(tenant_id="default", type="one", since=now, who="x", token="x"))
        await running

    longshore.run(story())
    longshore.drain(with_scheduled=True)
    assert ran == ["one", "other", "other"]
