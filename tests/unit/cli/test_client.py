"""What commands ask of the API: one suite for its code in this process and for the same API over HTTP."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest
from aiohttp import web

from infra.cli.client import PAGE, Carrier, Here, Jobs
from infra.cli.http_client import over_http
from shared.bucket import Limit
from shared.errors import Conflict, InvalidInput, LongshoreError, NotFound, Permanent, WorldFault
from shared.memory.ports import memory_ports
from shared.memory.queues import MemoryQueues
from shared.payloads.generic import GenericPayload
from shared.payloads.results import ProcessResult
from shared.runtime.api.app import Api
from shared.runtime.api.limiting import Limiter
from shared.runtime.api.messages import Caller, Request, Role
from shared.runtime.api.routes import ROUTES
from shared.runtime.context import Context
from shared.status import Status
from tests.world import World

ANN = Caller("acme", "ann", Role.OPERATOR)
TOKEN = "ann's"

Story = Callable[[Jobs, World], Awaitable[None]]


async def done(payload: GenericPayload, _context: Context) -> ProcessResult:
    if payload.operation == "fail":
        raise Permanent("broken", f"row {payload.parameters.get('row', 0)} is {'very ' * 100}bad")
    return ProcessResult(data={"echo": payload.parameters})


@asynccontextmanager
async def here(world: World) -> AsyncIterator[Carrier]:
    yield Here(world.ports, ANN)


@asynccontextmanager
async def http(world: World) -> AsyncIterator[Carrier]:
    api = Api(ROUTES, world.ports, Limiter(world.ports, Limit(1_000, 1_000)))

    async def answer(request: web.Request) -> web.Response:
        caller = ANN if request.headers.get("Authorization") == f"Bearer {TOKEN}" else None
        headers = {name.lower(): value for name, value in request.headers.items()}
        body = await request.read()
        found = await api.answer(Request(request.method, request.path, dict(request.query), headers, body, caller))
        return web.Response(status=found.status, body=found.body, headers=found.headers)

    async with served(answer) as url, over_http(url, TOKEN) as carrier:
        yield carrier


@asynccontextmanager
async def served(answer: Callable[[web.Request], Awaitable[web.StreamResponse]]) -> AsyncIterator[str]:
    application = web.Application()
    application.router.add_route("*", "/{path:.*}", answer)
    runner = web.AppRunner(application)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


@pytest.fixture(params=[here, http], ids=["here", "http"])
def tell(request: pytest.FixtureRequest) -> Callable[[Story], None]:
    """Lives through a story in a fresh world, by way of either carrier."""

    def told(story: Story) -> None:
        async def main() -> None:
            def now() -> int:
                return time.time_ns() // 1_000_000

            queues = MemoryQueues(now, visibility_s=90, job_types={"generic"})
            world = World(memory_ports(now, seed=7, queues=queues), done)
            async with request.param(world) as carrier:
                await story(Jobs(carrier), world)

        asyncio.run(main())

    return told


def generic(operation: str = "echo", **parameters: object) -> dict[str, object]:
    return {"type": "generic", "operation": operation, "parameters": parameters}


def test_a_job_is_submitted_looked_at_and_its_result_read(tell: Callable[[Story], None]) -> None:
    async def story(jobs: Jobs, world: World) -> None:
        accepted = await jobs.submit(generic(n=1) | {"metadata": {"item_id": "é\x1b"}}, key="once")
        assert await jobs.submit(generic(n=1) | {"metadata": {"item_id": "é\x1b"}}, key="once") == accepted
        job = await jobs.get(accepted.job_id)
        assert (job.tenant_id, job.user_id, job.status) == ("acme", "ann", Status.QUEUED)
        assert [reason.code for reason in (await jobs.why(job.job_id)).reasons] == ["due"]
        await world.drain()
        assert (await jobs.get(accepted.job_id)).version > job.version
        result = (await jobs.result(accepted.job_id)).data.result
        assert isinstance(result, dict)
        assert result["data"] == {"echo": {"n": 1}}
        payload = (await jobs.payload(job.job_id)).payload
        assert isinstance(payload, dict)
        assert payload["parameters"] == {"n": 1}

    tell(story)


def test_lists_go_on_to_their_end_and_are_narrowed_by_all_that_is_said(tell: Callable[[Story], None]) -> None:
    async def story(jobs: Jobs, world: World) -> None:
        made = [
            (await jobs.submit(generic("fail" if row % 50 == 1 else "echo", row=row))).job_id for row in range(PAGE + 5)
        ]
        await world.drain()
        assert {job.job_id async for job in jobs.all({})} == {*made}
        assert {job.job_id async for job in jobs.all({"status": "failed"})} == {*made[1::50]}
        assert [job async for job in jobs.all({"error": "broken", "ended_since": "2999-01-01T00:00:00Z"})] == []
        page = await jobs.list({"type": "generic"}, limit=5)
        rest = await jobs.list({"type": "generic"}, cursor=page.cursor)
        assert {job.job_id for job in (*page.jobs, *rest.jobs)} == {*made}
        (group,) = (await jobs.errors({})).groups
        assert (group.count, group.error.code) == (3, "broken")
        (failure,) = await jobs.failures(made[1])
        assert failure.message == f"row 1 is {'very ' * 100}bad"

    tell(story)


def test_what_is_over_runs_again_later_and_what_waits_is_cancelled(tell: Callable[[Story], None]) -> None:
    async def story(jobs: Jobs, world: World) -> None:
        failed = (await jobs.submit(generic("fail"))).job_id
        await world.drain()
        again = await jobs.redrive(failed, delay_s=100)
        assert again.next_attempt_at is not None
        assert again.next_attempt_at > again.updated_at
        assert again.history[-1].who == "ann"
        with pytest.raises(Conflict):
            await jobs.redrive(failed)
        assert (await jobs.cancel(failed)).status is Status.CANCELLED

    tell(story)


REFUSALS: list[tuple[type[LongshoreError], str, Callable[[Jobs], Awaitable[object]]]] = [
    (NotFound, "no_such_job", lambda jobs: jobs.get("job_none")),
    (NotFound, "no_such_job", lambda jobs: jobs.get("../types")),
    (InvalidInput, "cursor", lambda jobs: jobs.list({}, cursor="nonsense")),
    (InvalidInput, "unknown_type", lambda jobs: jobs.known("generics")),
    (InvalidInput, "invalid_payload", lambda jobs: jobs.submit({"type": "generic", "operation": 1})),
    (WorldFault, "another_tenant", lambda jobs: jobs.submit(generic() | {"tenant_id": "evil"})),
]


@pytest.mark.parametrize(("kind", "code", "ask"), REFUSALS)
def test_a_refusal_is_the_same_error_as_everywhere(
    kind: type[LongshoreError], code: str, ask: Callable[[Jobs], Awaitable[object]], tell: Callable[[Story], None]
) -> None:
    async def story(jobs: Jobs, _world: World) -> None:
        with pytest.raises(kind) as refused:
            await ask(jobs)
        assert code in refused.value.code

    tell(story)


def test_every_wrong_field_is_named(tell: Callable[[Story], None]) -> None:
    async def story(jobs: Jobs, _world: World) -> None:
        with pytest.raises(InvalidInput) as invalid:
            await jobs.submit({"type": "generic", "operation": 1, "other": 2})
        assert {problem.field for problem in invalid.value.problems} == {"operation", "other"}

    tell(story)


# --- over HTTP alone --------------------------------------------------------------------------------------------------


def ask_types(answer: Callable[[web.Request], Awaitable[web.StreamResponse]]) -> None:
    """`GET /types` of a server that answers so."""

    async def main() -> None:
        async with served(answer) as url, over_http(url, TOKEN) as carrier:
            await Jobs(carrier).types()

    asyncio.run(main())


def test_a_throttled_request_waits_as_long_as_it_is_told_and_is_sent_again() -> None:
    seen = []

    async def answer(request: web.Request) -> web.Response:
        seen.append(request.headers["Authorization"])
        if len(seen) < 3:
            return web.Response(status=429, headers={"Retry-After": "0"})
        return web.json_response({"types": []})

    ask_types(answer)
    assert seen == ["Bearer ann's"] * 3


@pytest.mark.parametrize(
    ("status", "text", "code"),
    [
        (401, '{"message": "Unauthorized"}', "unauthorized"),
        (502, "<html>", "bad_gateway"),
        (200, "<html>", "strange_answer"),
        (200, "{}", "strange_answer"),
        (599, "", "status_599"),
    ],
)
def test_what_is_no_answer_of_longshores_is_said_so(status: int, text: str, code: str) -> None:
    async def answer(_request: web.Request) -> web.Response:
        return web.Response(status=status, text=text)

    with pytest.raises(WorldFault) as error:
        ask_types(answer)
    assert error.value.code == code


def test_a_token_follows_no_redirect() -> None:
    seen = []

    async def answer(request: web.Request) -> web.Response:
        seen.append(request.path)
        return web.Response(status=302, headers={"Location": "/elsewhere"})

    with pytest.raises(WorldFault):
        ask_types(answer)
    assert seen == ["/types"]


def test_a_server_that_is_gone_is_said_so() -> None:
    async def main() -> None:
        async def nobody(_request: web.Request) -> web.Response:
            return web.Response()

        async with served(nobody) as url:
            pass
        async with over_http(url, None) as carrier:
            with pytest.raises(WorldFault, match="nothing answers at http"):
                await Jobs(carrier).types()

    asyncio.run(main())


def test_a_token_of_two_lines_would_be_two_headers() -> None:
    async def main() -> None:
        async with over_http("http://127.0.0.1:1", "a\nb: c"):
            pass

    with pytest.raises(InvalidInput, match="one line"):
        asyncio.run(main())
