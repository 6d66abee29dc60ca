"""Watchers, from ticket to event, on the in-memory ports."""

import asyncio
import json
from typing import Any, cast

import pytest

from shared.errors import WorldFault
from shared.memory.connections import MemoryConnections
from shared.memory.side import MemorySide
from shared.payloads.generic import GenericPayload
from shared.payloads.results import ProcessResult
from shared.runtime.context import Context
from shared.runtime.watchers import TICKET_MS, WATCHES_MAX, broadcast, connect, disconnect, hear, new_ticket
from shared.view import version_of
from tests.world import World, in_world


async def answer(_payload: GenericPayload, _context: Context) -> ProcessResult:
    return ProcessResult()


def sockets(world: World) -> MemoryConnections:
    return cast("MemoryConnections", world.ports.connections)


async def opened(world: World, name: str, tenant_id: str = "default") -> None:
    sockets(world).received[name] = []
    assert await connect(world.ports, name, await new_ticket(world.ports, tenant_id, "ann"))


async def ask(world: World, name: str, **fields: object) -> None:
    await hear(world.ports, name, json.dumps(fields))


def told(world: World, name: str) -> list[Any]:
    """And forgotten."""
    frames = [json.loads(frame) for frame in sockets(world).received[name]]
    sockets(world).received[name].clear()
    return [event for frame in frames for event in frame.get("events", [frame])]


async def spread(world: World) -> None:
    """All that the stream holds."""
    await broadcast(world.ports, world.jobs.stream)


def test_a_ticket_opens_one_connection_once_and_not_for_long() -> None:
    async def story(world: World) -> None:
        ticket = await new_ticket(world.ports, "default", "ann")
        both = await asyncio.gather(connect(world.ports, "a", ticket), connect(world.ports, "b", ticket))
        assert sorted(both) == [False, True]
        assert not await connect(world.ports, "c", "nonsense")
        assert not await connect(world.ports, "c", "")
        late = await new_ticket(world.ports, "default", "ann")
        await asyncio.sleep(TICKET_MS / 1000 + 1)
        assert not await connect(world.ports, "d", late)

    in_world(answer, story)


@pytest.mark.parametrize("topic", ["tenant", "type:generic", "job"])
def test_who_watches_is_told_and_who_does_not_is_not(topic: str) -> None:
    async def story(world: World) -> None:
        job = await world.submit()
        await opened(world, "a")
        await opened(world, "idle")
        await opened(world, "evil", "another")
        mine = f"job:{job.job_id}" if topic == "job" else topic
        for name in ("a", "evil"):
            await ask(world, name, action="subscribe", topic=mine)
        assert told(world, "a")[0] == {"subscribed": mine}
        told(world, "evil")
        await world.drain()
        await spread(world)
        (event,) = told(world, "a")
        assert (event["event"], event["job_id"], event["status"]) == ("completed", job.job_id, "SUCCESS")
        assert told(world, "idle") == told(world, "evil") == []
        await ask(world, "a", action="unsubscribe", topic=mine)
        await spread(world)
        assert told(world, "a") == []

    in_world(answer, story)


def test_who_comes_back_is_told_what_is_newer_than_what_he_saw_and_nothing_else() -> None:
    async def story(world: World) -> None:
        job = await world.submit()
        topic = f"job:{job.job_id}"
        seen = version_of(await world.row(job))
        await world.drain()
        now = version_of(await world.row(job))
        for name, since, events in (("a", None, 1), ("b", seen, 1), ("c", now, 0)):
            await opened(world, name)
            await ask(world, name, action="subscribe", topic=topic, since=since)
            assert len(told(world, name)) == 1 + events, since

    in_world(answer, story)


def test_another_tenants_job_looks_as_if_nobody_had_it() -> None:
    async def story(world: World) -> None:
        job = await world.submit()
        await opened(world, "evil", "another")
        for job_id in (job.job_id, "job_nobodys"):
            await ask(world, "evil", action="subscribe", topic=f"job:{job_id}")
            assert told(world, "evil") == [{"subscribed": f"job:{job_id}"}]

    in_world(answer, story)


def test_a_connection_that_is_gone_is_forgotten_with_all_it_watched() -> None:
    async def story(world: World) -> None:
        side = cast("MemorySide", world.ports.side)
        for leave in ("told", "gone"):
            await opened(world, leave)
            await ask(world, leave, action="subscribe", topic="tenant")
            await ask(world, leave, action="subscribe", topic="type:generic")
            if leave == "told":
                await disconnect(world.ports, leave)
            else:
                del sockets(world).received[leave]
                await world.submit()
                await spread(world)
            assert [key for key in side.items if key[0].startswith(("connection", "watchers"))] == []

    in_world(answer, story)


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", '{"action":"steal"}', '{"action":"subscribe","topic":"tenant#x"}', '{"action":"ping","x":1}'],
)
def test_nonsense_is_answered_with_what_can_be_said(text: str) -> None:
    async def story(world: World) -> None:
        await opened(world, "a")
        await hear(world.ports, "a", text)
        assert "subscribe" in told(world, "a")[0]["error"]

    in_world(answer, story)


def test_who_never_connected_is_shown_the_door() -> None:
    async def story(world: World) -> None:
        sockets(world).received["stranger"] = []
        await ask(world, "stranger", action="ping")
        assert "stranger" not in sockets(world).received

    in_world(answer, story)


def test_a_connection_watches_so_much_and_no_more() -> None:
    async def story(world: World) -> None:
        await opened(world, "a")
        for number in range(WATCHES_MAX + 1):
            await ask(world, "a", action="subscribe", topic=f"job:job_{number}")
        answers = told(world, "a")
        assert "error" in answers[-1]
        assert len(answers) == WATCHES_MAX + 1

    in_world(answer, story)


def test_a_broadcast_that_fails_harms_nobody_and_the_others_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    async def story(world: World) -> None:
        await opened(world, "a")
        await opened(world, "b")
        for name in ("a", "b"):
            await ask(world, name, action="subscribe", topic="tenant")
            told(world, name)
        post = sockets(world).post

        async def failing(connection_id: str, data: bytes) -> bool:
            if connection_id == "a":
                raise WorldFault("throttled", "too many posts")
            return await post(connection_id, data)

        monkeypatch.setattr(sockets(world), "post", failing)
        await world.submit()
        await spread(world)
        assert len(told(world, "b")) == 1

    in_world(answer, story)


def test_a_connection_that_hangs_holds_nobody_up_for_long(monkeypatch: pytest.MonkeyPatch) -> None:
    async def story(world: World) -> None:
        await opened(world, "a")
        await ask(world, "a", action="subscribe", topic="tenant")

        async def hanging(_connection_id: str, _data: bytes) -> bool:
            await asyncio.sleep(1_000)
            return True

        monkeypatch.setattr(sockets(world), "post", hanging)
        await world.submit()
        began = world.ports.now()
        await spread(world)
        assert world.ports.now() - began <= 10_000

    in_world(answer, story)
