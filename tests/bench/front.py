"""The front door on this machine: how fast it answers, how soon watchers hear, how much the page weighs.

Rules of this file:
1. What is compared runs in turns, in one run and against one endpoint, over real sockets.
2. The local cloud is one process that plays AWS for all: its figures compare, they do not promise.
"""

import asyncio
import statistics
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from shared.aws.clients import Clients
from shared.runtime.api.page import page
from tests.e2e.front.house import House, Visitor, open_house

ROUNDS: Final = 5
REQUESTS: Final = 100
"""A round's, of each kind."""

WATCHED: Final = 40
UNLIMITED: Final = "1000000"
LATER_S: Final = 3_600


@dataclass(frozen=True, slots=True)
class Speed:
    """Of the best round's requests a second, and of all requests' milliseconds."""

    what: str
    at_once: int
    requests_per_s: float
    p50_ms: float
    p99_ms: float


def speeds() -> list[Speed]:
    return asyncio.run(_speeds())


def delays() -> dict[str, object]:
    """Of `WATCHED` jobs, submitted one after the other."""
    found = sorted(asyncio.run(_delays()))
    return {"jobs": len(found), "min": found[0], "median": statistics.median(found), "max": found[-1]}


def weights() -> list[dict[str, object]]:
    files = page().files
    rows: list[dict[str, object]] = [
        {"file": name, "bytes": len(file.body), "sent": len(file.compressed)} for name, file in files.items()
    ]
    totals = {name: sum(int(str(row[name])) for row in rows) for name in ("bytes", "sent")}
    return [*rows, {"file": "all", **totals}]


async def _speeds() -> list[Speed]:
    async with _visited() as (house, ann), _reader(house) as clients:
        job_id = await _later(ann)
        await ann.until(job_id, "QUEUED")
        key = {"pk": {"S": f"acme#{job_id}"}}

        async def through_the_api() -> None:
            status, _ = await ann.ask("GET", f"/jobs/{job_id}")
            assert status == 200

        async def bare() -> None:
            found = await clients.call("dynamodb", "get_item", TableName="longshore-jobs", Key=key, ConsistentRead=True)
            assert found["Item"]

        asks = {"GetItem": bare, "GET /jobs/{id}": through_the_api}
        for ask in asks.values():
            await _round(ask, 4)  # containers and connections are made
        return [speed for at_once in (1, 4) for speed in await _compared(asks, at_once)]


async def _compared(asks: Mapping[str, Callable[[], Awaitable[None]]], at_once: int) -> list[Speed]:
    rounds: dict[str, list[tuple[float, list[float]]]] = {what: [] for what in asks}
    for _ in range(ROUNDS):
        for what, ask in asks.items():
            rounds[what].append(await _round(ask, at_once))
    return [_speed(what, at_once, found) for what, found in rounds.items()]


def _speed(what: str, at_once: int, rounds: list[tuple[float, list[float]]]) -> Speed:
    cuts = statistics.quantiles([1000 * took for _, taken in rounds for took in taken], n=100)
    return Speed(what, at_once, max(REQUESTS / round_s for round_s, _ in rounds), cuts[49], cuts[98])


async def _round(ask: Callable[[], Awaitable[None]], at_once: int) -> tuple[float, list[float]]:
    """`REQUESTS` by so many clients → seconds in all, and of each."""
    taken: list[float] = []

    async def client() -> None:
        for _ in range(REQUESTS // at_once):
            began_s = time.perf_counter()
            await ask()
            taken.append(time.perf_counter() - began_s)

    began_s = time.perf_counter()
    await asyncio.gather(*(client() for _ in range(at_once)))
    return time.perf_counter() - began_s, taken


async def _delays() -> list[float]:
    async with _visited() as (_, ann), ann.live() as socket:
        await socket.send_json({"action": "subscribe", "topic": "tenant"})
        await socket.receive_json()
        found = []
        for _ in range(WATCHED + 1):
            job_id = await _later(ann)
            while (event := (await socket.receive_json())["events"][-1])["job_id"] != job_id:
                pass
            found.append(1000 * (time.time() - datetime.fromisoformat(event["at"]).timestamp()))
        return found[1:]  # the first one made the containers


@asynccontextmanager
async def _visited() -> AsyncIterator[tuple[House, Visitor]]:
    async with open_house(RequestsPerSecond=UNLIMITED) as house, house.visitor() as ann:
        yield house, ann


@asynccontextmanager
async def _reader(house: House) -> AsyncIterator[Clients]:
    """Over sockets, as a function's own clients; the cloud's are in its process."""
    clients = Clients(endpoint_url=house.cloud.endpoint_url, region=house.cloud.region, credentials=("local", "local"))
    try:
        yield clients
    finally:
        await clients.close()


async def _later(ann: Visitor) -> str:
    """A job that nobody runs."""
    _, accepted = await ann.ask("POST", f"/jobs?delay_s={LATER_S}", {"type": "generic", "operation": "x"})
    return str(accepted["job_id"])
