"""Deliveries to a receiver that really listens, and to some that had better not be reached."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, cast

import aiohttp
import pytest
from aiohttp import web
from standardwebhooks import Webhook

import handlers.jobs.webhook as webhook_handler
from infra.testing.world import World
from shared.audit import wakeup_for
from shared.errors import InvalidInput
from shared.job import attributes
from shared.memory.ports import memory_ports
from shared.memory.secrets import MemorySecrets
from shared.memory.side import MemorySide
from shared.payloads.generic import GenericPayload
from shared.runtime import webhooks
from shared.runtime.webhooks import LOCAL_VARIABLE, announce
from shared.status import Status
from shared.webhooks import EXHAUSTED_MAX, EventName, Subscription

SIX_HOURS_MS = 6 * 3_600_000

Respond = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass
class Received:
    headers: dict[str, str]
    body: bytes


@dataclass
class Story:
    """A world with a receiver; `now` is the world's clock, which a test may put forward."""

    world: World
    url: str
    clock: list[int]
    received: list[Received] = field(default_factory=list)
    announced: int = 0

    async def subscribe(self, *events: EventName) -> tuple[Subscription, str]:
        return await webhooks.subscribe(self.world.ports, "acme", self.url, events or ("completed",), (), who="ann")

    async def run_a_job(self, operation: str = "echo") -> str:
        job = await self.world.service.submit(GenericPayload(tenant_id="acme", operation=operation))
        await self.settle_down()
        return job.job_id

    async def settle_down(self) -> None:
        """All that is due, and what the stream tells of it."""
        while self.announced < len(self.world.jobs.stream):
            await self.world.drain(with_scheduled=False)
            fresh = self.world.jobs.stream[self.announced :]
            self.announced += len(fresh)
            await announce(self.world.ports, fresh)

    async def until_given_up(self) -> int:
        """→ how often it was put forward"""
        for n in range(20):
            if all(row.status.is_terminal for row in self.world.jobs.rows.values()):
                return n
            await self.wake_later()
        raise AssertionError(self.deliveries())

    async def wake_later(self) -> None:
        """When all that was put off is due: their schedules would take real hours."""
        self.clock[0] += SIX_HOURS_MS
        late = [wakeup for row in self.deliveries() if (wakeup := wakeup_for(row)) is not None]
        await self.world.ports.queues.send(late)
        await self.world.drain(with_scheduled=False)
        await self.settle_down()

    def deliveries(self) -> list[Any]:
        return [row for row in self.world.jobs.rows.values() if row.type == "webhook"]

    async def log(self, found: Subscription) -> list[tuple[int, int | None, str | None]]:
        """(attempt, status code, error), the oldest first"""
        entries = await webhooks.attempts(self.world.ports, "acme", found.webhook_id)
        return [(entry.attempt, entry.status_code, entry.error) for entry in reversed(entries)]

    async def state(self, found: Subscription) -> Subscription:
        return await webhooks.subscription(self.world.ports, "acme", found.webhook_id)


def tell(respond: Respond, story: Callable[[Story], Awaitable[None]]) -> None:
    async def run() -> None:
        clock = [1_700_000_000_000]
        world = World(memory_ports(lambda: clock[0], seed=7))
        received: list[Received] = []

        async def hear(request: web.Request) -> web.StreamResponse:
            received.append(Received(dict(request.headers), await request.read()))
            return await respond(request)

        async with listening(hear) as url:
            await story(Story(world, url, clock, received))

    asyncio.run(run())


@asynccontextmanager
async def listening(respond: Respond) -> AsyncIterator[str]:
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", respond)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}/hook"
    finally:
        await runner.cleanup()


def answering(status: int, **options: Any) -> Respond:
    async def respond(_request: web.Request) -> web.StreamResponse:
        return web.Response(status=status, **options)

    return respond


@pytest.fixture(autouse=True)
def _this_machine_may_listen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(LOCAL_VARIABLE, "1")


def test_a_jobs_end_is_told_once_and_signed_and_no_secret_is_left_anywhere(capsys: pytest.CaptureFixture[str]) -> None:
    async def story(here: Story) -> None:
        made, secret = await here.subscribe()
        job_id = await here.run_a_job()
        await announce(here.world.ports, here.world.jobs.stream)  # the stream tells all of it again
        await here.settle_down()
        (heard,) = here.received
        verified = _verified(secret, heard.body, heard.headers)
        assert verified["type"] == "job.completed"
        assert (verified["data"]["job_id"], verified["data"]["status"]) == (job_id, "SUCCESS")
        assert heard.headers["Content-Type"] == "application/json"
        (delivery,) = here.deliveries()
        assert heard.headers["webhook-id"] == delivery.job_id
        assert (delivery.status, delivery.list_shard) == (Status.SUCCESS, None)
        assert sum(len(f"{name}{value}") for name, value in attributes(delivery).items()) < 1024, "one write unit"
        assert await here.log(made) == [(1, 200, None)]
        kept = [str(attributes(row)) for row in here.world.jobs.rows.values()]
        kept += list(cast("MemorySide", here.world.ports.side).items.values())
        assert secret.removeprefix("whsec_") not in "".join(kept) + capsys.readouterr().out
        assert list(cast("MemorySecrets", here.world.ports.secrets).values) == [f"_webhooks/acme/{made.webhook_id}"]

    tell(answering(200), story)


def test_a_delivery_tells_nobody_of_itself_and_is_in_no_list() -> None:
    async def story(here: Story) -> None:
        await here.subscribe("queued", "active", "completed", "failed")
        job_id = await here.run_a_job()
        told = [json.loads(heard.body)["data"] for heard in here.received]
        assert sorted(event["event"] for event in told) == ["active", "completed", "queued"]
        assert {event["job_id"] for event in told} == {job_id}
        assert [job.job_id for job in (await here.world.service.list("acme")).jobs] == [job_id]

    tell(answering(204), story)


def test_a_receiver_that_fails_is_tried_eight_times_over_hours_and_then_it_counts() -> None:
    async def story(here: Story) -> None:
        made, _ = await here.subscribe()
        await here.run_a_job()
        assert await here.log(made) == [(1, 500, "the receiver answered 500: no way")]
        assert await here.until_given_up() == 7
        assert [attempt for attempt, *_ in await here.log(made)] == list(range(1, 9))
        assert len({heard.headers["webhook-id"] for heard in here.received}) == 1
        assert len({heard.body for heard in here.received}) == 1
        assert len({heard.headers["webhook-timestamp"] for heard in here.received}) == 8
        assert (await here.state(made)).failures == 1
        (delivery,) = here.deliveries()
        assert delivery.status is Status.FAILED

    tell(answering(500, text="no\n  way"), story)


def test_ten_that_are_given_up_disable_it_and_enabled_it_is_told_again() -> None:
    async def story(here: Story) -> None:
        made, _ = await here.subscribe()
        for _ in range(EXHAUSTED_MAX):
            await here.run_a_job()
        await here.until_given_up()
        reason = (await here.state(made)).disabled_reason
        assert reason is not None
        assert reason.startswith("10 deliveries in a row were given up")
        here.received.clear()
        await here.run_a_job()
        assert (len(here.deliveries()), here.received) == (EXHAUSTED_MAX, []), "nothing is enqueued for it"
        await webhooks.enable(here.world.ports, "acme", made.webhook_id)
        await here.run_a_job()
        assert len(here.received) == 1
        given_up = here.deliveries()[0].job_id
        await here.world.service.redrive("acme", given_up, who="ann")
        await here.settle_down()
        assert here.received[-1].headers["webhook-id"] == given_up

    tell(answering(500), story)


def test_a_success_makes_up_for_failures() -> None:
    answers = iter([404] * 8 + [200])

    async def respond(_request: web.Request) -> web.StreamResponse:
        return web.Response(status=next(answers))

    async def story(here: Story) -> None:
        made, _ = await here.subscribe()
        await here.run_a_job()
        await here.until_given_up()
        assert (await here.state(made)).failures == 1
        await here.run_a_job()
        assert (await here.state(made)).failures == 0

    tell(respond, story)


def test_a_receiver_that_is_gone_is_disabled_at_once() -> None:
    async def story(here: Story) -> None:
        made, _ = await here.subscribe()
        await here.run_a_job()
        assert (await here.state(made)).disabled_reason == "the receiver answered 410: it wants no more"
        assert len(here.received) == 1

    tell(answering(410), story)


@pytest.mark.parametrize("where", ["/elsewhere", "http://169.254.169.254/latest/meta-data/"])
def test_a_redirect_is_not_followed(where: str) -> None:
    async def story(here: Story) -> None:
        made, _ = await here.subscribe()
        await here.run_a_job()
        assert await here.log(made) == [(1, 307, "the receiver answered 307")]
        assert len(here.received) == 1

    tell(answering(307, headers={"Location": where}), story)


def test_a_pause_that_is_asked_for_is_kept() -> None:
    async def story(here: Story) -> None:
        await here.subscribe()
        await here.run_a_job()
        (delivery,) = here.deliveries()
        assert delivery.due_at - here.clock[0] == 20_000_000

    tell(answering(503, headers={"Retry-After": "20000"}), story)


def test_a_slow_receiver_and_one_that_drips_have_10_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    assert webhook_handler.TIMEOUT.total == 10
    monkeypatch.setattr(webhook_handler, "TIMEOUT", aiohttp.ClientTimeout(total=0.2))

    async def respond(request: web.Request) -> web.StreamResponse:
        await asyncio.Event().wait()
        return web.Response()

    async def story(here: Story) -> None:
        made, _ = await here.subscribe()
        await here.run_a_job()
        ((attempt, status, error),) = await here.log(made)
        assert (attempt, status) == (1, None)
        assert error is not None
        assert error.startswith("no answer from the receiver: ")

    tell(respond, story)


def test_what_a_receiver_says_is_read_no_further_than_it_is_shown() -> None:
    async def respond(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(status=500, headers={"Content-Encoding": "gzip"})
        await response.prepare(request)
        await response.write(b"x" * 100_000)
        await asyncio.Event().wait()  # and never ends
        return response

    async def story(here: Story) -> None:
        made, _ = await here.subscribe()
        await here.run_a_job()
        assert await here.log(made) == [(1, 500, "the receiver answered 500: " + "x" * 120)]

    tell(respond, story)


def test_nobody_listening_is_tried_again() -> None:
    async def story(here: Story) -> None:
        here.url = "http://127.0.0.1:1/hook"
        made, _ = await here.subscribe()
        await here.run_a_job()
        assert await here.log(made) == [(1, None, "no answer from the receiver: ClientConnectorError")]

    tell(answering(200), story)


def test_a_name_that_leads_inside_is_not_connected_to(monkeypatch: pytest.MonkeyPatch) -> None:
    """The name is good when it is subscribed; what it leads to is looked at when it is connected to."""

    async def story(here: Story) -> None:
        made, _ = await here.subscribe()
        inside = made.model_copy(update={"url": here.url.replace("http://127.0.0.1", "https://0x7f.1")})
        await webhooks.changed(here.world.ports, "acme", made.webhook_id, lambda _: inside)
        await here.run_a_job()
        assert await here.log(made) == [(1, None, "the URL leads to an address that is not public")]
        assert here.received == []
        assert (await here.state(made)).failures == 1

    tell(answering(200), story)


def test_this_machine_is_out_of_reach_unless_it_is_allowed(monkeypatch: pytest.MonkeyPatch) -> None:
    async def story(here: Story) -> None:
        made, _ = await here.subscribe()
        monkeypatch.delenv(LOCAL_VARIABLE)
        await here.run_a_job()
        (delivery,) = here.deliveries()
        assert delivery.status is Status.FAILED
        assert (here.received, await here.log(made)) == ([], [])
        with pytest.raises(InvalidInput):
            await here.subscribe()

    tell(answering(200), story)


def test_two_secrets_sign_for_a_day_after_a_rotation() -> None:
    async def story(here: Story) -> None:
        made, old = await here.subscribe()
        _, fresh = await webhooks.rotate(here.world.ports, "acme", made.webhook_id)
        await here.run_a_job()
        here.clock[0] += 4 * SIX_HOURS_MS
        await here.run_a_job()
        first, second = here.received
        assert _verified(old, first.body, first.headers) == _verified(fresh, first.body, first.headers)
        assert len(second.headers["webhook-signature"].split()) == 1
        assert _verified(fresh, second.body, second.headers)

    tell(answering(200), story)


def test_a_deleted_webhook_is_told_nothing_more_and_its_secret_is_gone() -> None:
    async def story(here: Story) -> None:
        made, _ = await here.subscribe()
        await here.run_a_job()
        heard = len(here.received)
        await webhooks.unsubscribe(here.world.ports, "acme", made.webhook_id)
        await here.wake_later()
        await here.run_a_job()
        assert len(here.received) == heard
        assert [row.status for row in here.deliveries()] == [Status.FAILED]
        assert cast("MemorySecrets", here.world.ports.secrets).values == {}

    tell(answering(500), story)


def _verified(secret: str, body: bytes, headers: dict[str, str]) -> Any:
    """By the standard's own library. Its `verify` looks at the clock, so it signs the same and we compare."""
    found = Webhook(secret)
    at = datetime.fromtimestamp(int(headers["webhook-timestamp"]), UTC)
    assert found.sign(headers["webhook-id"], at, body.decode()) in headers["webhook-signature"].split()
    return json.loads(body)
