"""Which jobs have changed, as the WebSocket API tells it; or that nobody tells, and one must look.

A connection that is lost is made again, and everything looked at once: nothing that changed meanwhile is missed.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Final

import aiohttp
from pydantic_core import from_json

from infra.cli.client import Jobs
from shared.errors import LongshoreError

POLL_S: Final = 0.5

LOOKS_PER_S: Final = 20
"""Of one who must look for himself: a tenant's limit is for all of its people."""

LOOK_S: Final = 30.0
"""Even one who is told looks now and then: a broadcast may give up."""

PING_S: Final = 300.0
"""API Gateway ends a connection that was idle for 10 minutes."""

AGAIN_S_MAX: Final = 30.0

TOPICS_MAX: Final = 50
"""Whoever follows more jobs than this hears of all of the tenant's."""


class Ears:
    """`hears`: a WebSocket tells of everything. `poll_s`: how long to wait for it."""

    def __init__(self, poll_s: float = POLL_S) -> None:
        self.hears = False
        self._poll_s = poll_s
        self._told: asyncio.Queue[set[str] | None] = asyncio.Queue()
        self._looked_s = time.monotonic()

    async def told(self) -> set[str] | None:
        """Ids of what has changed meanwhile, perhaps none; None: look at everything."""
        news: list[set[str] | None] = []
        with suppress(TimeoutError):
            async with asyncio.timeout(self._poll_s):
                news.append(await self._told.get())
        while not self._told.empty():
            news.append(self._told.get_nowait())
        now_s = time.monotonic()
        if not self.hears or None in news or now_s - self._looked_s > LOOK_S:
            self._looked_s = now_s
            return None
        return {job_id for ids in news for job_id in ids or ()}

    def tell(self, job_ids: set[str] | None) -> None:
        self._told.put_nowait(job_ids)


@asynccontextmanager
async def listening(jobs: Jobs, topics: Sequence[str]) -> AsyncIterator[Ears]:
    ears = Ears(max(POLL_S, len(topics) / LOOKS_PER_S))
    listener = asyncio.create_task(_listen(jobs, topics if len(topics) <= TOPICS_MAX else ["tenant"], ears))
    try:
        yield ears
    finally:
        listener.cancel()
        with suppress(asyncio.CancelledError):
            await listener


async def _listen(jobs: Jobs, topics: Sequence[str], ears: Ears) -> None:
    again_s = 1.0
    async with aiohttp.ClientSession() as session:
        while jobs.is_live:
            try:
                async with session.ws_connect(await jobs.live_url()) as socket:
                    again_s = 1.0
                    await _hear(socket, topics, ears)
            except (aiohttp.ClientError, LongshoreError, OSError, TimeoutError, ValueError):
                again_s = min(2 * again_s, AGAIN_S_MAX)
            ears.hears = False
            await asyncio.sleep(again_s)


async def _hear(socket: aiohttp.ClientWebSocketResponse, topics: Sequence[str], ears: Ears) -> None:
    """Until the connection ends."""
    for topic in topics:
        await socket.send_json({"action": "subscribe", "topic": topic})
    missing = len(topics)
    while True:
        try:
            message = await socket.receive(timeout=PING_S)
        except TimeoutError:
            await socket.send_json({"action": "ping"})
            continue
        if message.type is not aiohttp.WSMsgType.TEXT:
            return
        told = from_json(message.data)
        if "subscribed" in told:
            missing -= 1
            if not missing:
                ears.hears = True
                ears.tell(None)
        ears.tell({event["job_id"] for event in told.get("events", ())})
