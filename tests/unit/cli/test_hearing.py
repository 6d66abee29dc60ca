"""Whoever listens is told of changes; where nobody tells, or the connection was lost, he must look for himself."""

import asyncio
from collections.abc import Awaitable, Callable

from aiohttp import web

from infra.cli.client import Jobs
from infra.cli.hearing import Ears, listening
from infra.cli.http_client import over_http
from tests.unit.cli.test_client import served

PATIENCE_S = 30


class Broadcaster:
    """A WebSocket API with one connection at a time."""

    def __init__(self) -> None:
        self.connections: list[web.WebSocketResponse] = []
        self.asked: list[object] = []

    async def answer(self, request: web.Request) -> web.StreamResponse:
        if request.path == "/tickets":
            url = f"ws://{request.host}/live?ticket=t"
            return web.json_response({"ticket": "t", "url": url, "expires_in_s": 60}, status=201)
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        self.asked.append(await socket.receive_json())
        await socket.send_json({"subscribed": "tenant"})
        self.connections.append(socket)
        await socket.receive()
        return socket

    async def tell(self, *job_ids: str) -> None:
        await self.connections[-1].send_json({"events": [{"job_id": job_id} for job_id in job_ids]})

    async def hang_up(self) -> None:
        await self.connections[-1].close()


def listen(story: Callable[[Ears, Broadcaster], Awaitable[None]]) -> None:
    async def main() -> None:
        broadcaster = Broadcaster()
        async with (
            asyncio.timeout(PATIENCE_S),
            served(broadcaster.answer) as url,
            over_http(url, None) as carrier,
            listening(Jobs(carrier), ["tenant"]) as ears,
        ):
            await story(ears, broadcaster)

    asyncio.run(main())


async def until_quiet(ears: Ears) -> list[set[str] | None]:
    """All that is told until one hears, and nothing happens."""
    told: list[set[str] | None] = []
    while not told or told[-1] != set():
        told.append(await ears.told())
    return told


def test_who_hears_is_told_what_to_look_at_and_looks_at_everything_first() -> None:
    async def story(ears: Ears, broadcaster: Broadcaster) -> None:
        assert (await until_quiet(ears))[-2:] == [None, set()]
        assert broadcaster.asked == [{"action": "subscribe", "topic": "tenant"}]
        await broadcaster.tell("job_1", "job_2")
        assert await ears.told() == {"job_1", "job_2"}

    listen(story)


def test_after_a_lost_connection_everything_is_looked_at_again() -> None:
    async def story(ears: Ears, broadcaster: Broadcaster) -> None:
        await until_quiet(ears)
        await broadcaster.hang_up()
        told = await until_quiet(ears)
        assert told[-2:] == [None, set()]
        assert len(broadcaster.connections) == 2

    listen(story)


def test_where_nobody_tells_everything_is_looked_at_each_time() -> None:
    async def main() -> None:
        async def refused(_request: web.Request) -> web.Response:
            return web.Response(status=404)

        async with (
            served(refused) as url,
            over_http(url, None) as carrier,
            listening(Jobs(carrier), ["tenant"]) as ears,
        ):
            assert [await ears.told() for _ in range(3)] == [None] * 3

    asyncio.run(main())
