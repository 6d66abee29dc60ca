"""The API over the in-memory ports: every route, and what stands between a caller and it."""

import json
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from shared.bucket import Limit
from shared.errors import Permanent
from shared.payloads.generic import GenericPayload
from shared.payloads.results import ProcessResult
from shared.runtime.api.app import Api
from shared.runtime.api.limiting import Limiter
from shared.runtime.api.messages import Answer, Caller, Request, Role
from shared.runtime.api.routes import ROUTES
from shared.runtime.context import Context
from tests.world import World, in_world

ANN = Caller("acme", "ann", Role.OPERATOR)
PLENTY = Limit(1_000, 1_000)
EVE = Caller("evil", "eve", Role.OPERATOR)


class Client:
    """Asks as `caller`; → (status, document)."""

    def __init__(self, world: World, *, limit: Limit = PLENTY) -> None:
        self.world = world
        self.api = Api(ROUTES, world.ports, Limiter(world.ports, limit))

    async def ask(
        self, method: str, path: str, body: object = None, *, caller: Caller | None = ANN, **headers: str
    ) -> Answer:
        path, _, query = path.partition("?")
        return await self.api.answer(
            Request(
                method=method,
                path=path,
                query=dict(pair.split("=", 1) for pair in query.split("&")) if query else {},
                headers={name.replace("_", "-"): value for name, value in headers.items()},
                body=body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode(),
                caller=caller,
                request_id="r-1",
            )
        )

    async def submit(self, **fields: object) -> str:
        answer = await self.ask("POST", "/jobs", {"type": "generic", "operation": "x", **fields})
        assert answer.status == 202, answer
        return str(document(answer)["job_id"])


def document(answer: Answer) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(answer.body)
    return found


def with_client(
    story: Callable[[Client], Awaitable[None]],
    handler: Callable[[GenericPayload, Context], Awaitable[object]] | None = None,
    limit: Limit = PLENTY,
) -> None:
    in_world(handler or done, lambda world: story(Client(world, limit=limit)))


async def done(_payload: GenericPayload, context: Context) -> ProcessResult:
    async with context.artifacts.create("out.txt") as upload:
        await upload.write(b"hello")
    return ProcessResult(data={"url": upload.url})


async def broken(_payload: GenericPayload, _context: Context) -> ProcessResult:
    raise Permanent("broken", "it will not do", field="operation")


def test_a_job_from_its_submission_to_its_result() -> None:
    async def story(client: Client) -> None:
        answer = await client.ask("POST", "/jobs", {"type": "generic", "operation": "x"})
        accepted = document(answer)
        assert (answer.status, accepted["status"]) == (202, "QUEUED")
        assert set(accepted) == {"job_id", "status", "created_at"}
        path = answer.headers["Location"]
        assert path == f"/jobs/{accepted['job_id']}"
        await client.world.drain()
        job = document(await client.ask("GET", path))
        assert (job["status"], job["tenant_id"], job["user_id"]) == ("SUCCESS", "acme", "ann")
        assert document(await client.ask("GET", f"{path}/payload")) == {"payload": {"operation": "x"}}
        events = document(await client.ask("GET", f"{path}/events"))["events"]
        assert [event["event"] for event in events] == ["submit", "claim", "succeed"]
        result = document(await client.ask("GET", f"{path}/result"))
        assert result["success"]
        assert [link["url"] for link in result["links"]] == [result["data"]["result"]["data"]["url"]]

    with_client(story)


def test_what_is_too_large_for_an_answer_is_behind_a_link() -> None:
    async def large(_payload: GenericPayload, _context: Context) -> ProcessResult:
        return ProcessResult(data={"rows": "x" * 5_000_000})

    async def story(client: Client) -> None:
        job_id = await client.submit(parameters={"text": "y" * 3_000_000})
        await client.world.drain()
        payload = document(await client.ask("GET", f"/jobs/{job_id}/payload"))
        assert set(payload) == {"href"}
        result = document(await client.ask("GET", f"/jobs/{job_id}/result"))
        assert result["success"]
        assert "result" not in result["data"]
        (link,) = result["links"]
        assert link["url"].endswith("_result.json")

    with_client(story, large)


def test_the_same_key_is_the_same_job_and_another_payload_a_conflict() -> None:
    async def story(client: Client) -> None:
        body = {"type": "generic", "operation": "x"}
        first = await client.ask("POST", "/jobs", body, idempotency_key="k")
        again = await client.ask("POST", "/jobs", body, idempotency_key="k")
        assert (first.status, again.status) == (202, 200)
        assert document(first) == document(again)
        other = await client.ask("POST", "/jobs", {**body, "operation": "y"}, idempotency_key="k")
        assert (other.status, document(other)["code"]) == (409, "conflict")
        elsewhere = await client.ask("POST", "/jobs", body, idempotency_key="k", caller=EVE)
        assert elsewhere.status == 202

    with_client(story)


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        (b"{", 400, "malformed_json"),
        (b"", 400, "malformed_json"),
        (b"\xff", 400, "malformed_json"),
        (b'{"a":' * 300, 400, "malformed_json"),
        (b"[]", 422, "invalid_payload"),
        ({"type": "generic"}, 422, "invalid_payload"),
        ({"type": "nonsense"}, 422, "invalid_payload"),
        ({"operation": "x"}, 422, "invalid_payload"),
        ({"type": "generic", "operation": "x", "tenant_id": "evil"}, 403, "another_tenant"),
        ({"type": "generic", "operation": "x", "tenantId": "evil"}, 403, "another_tenant"),
        ({"type": "generic", "operation": "x", "tenant_id": 7}, 422, "invalid_payload"),
        (b" " * (4 * 1024 * 1024 + 1), 413, "too_large"),
    ],
)
def test_a_bad_body_is_told_what_is_wrong_with_it(body: object, status: int, code: str) -> None:
    async def story(client: Client) -> None:
        answer = await client.ask("POST", "/jobs", body)
        assert (answer.status, document(answer).get("code")) == (status, code)
        assert answer.headers["Content-Type"] == "application/problem+json"
        assert client.world.jobs.rows == {}

    with_client(story)


def test_a_problem_names_every_field_and_what_was_expected_there() -> None:
    async def story(client: Client) -> None:
        body = {"type": "extract", "database": "sqlite:///x", "tables": [1], "output_format": "xml"}
        problem = document(await client.ask("POST", "/jobs", body))
        assert {found["field"] for found in problem["problems"]} >= {"tables", "output_format"}
        assert problem["instance"] == "urn:request:r-1"

    with_client(story)


def test_a_delay_and_a_content_type_that_cannot_be_are_refused() -> None:
    async def story(client: Client) -> None:
        body = {"type": "generic", "operation": "x"}
        for query in ("delay_s=-1", "delay_s=x", "delay_s=nan", "delay=1"):
            assert (await client.ask("POST", f"/jobs?{query}", body)).status == 422, query
        assert (await client.ask("POST", "/jobs?delay_s=60", body)).status == 202
        assert (await client.ask("POST", "/jobs", body, content_type="text/xml")).status == 415

    with_client(story)


def test_another_tenants_job_is_one_that_nobody_has() -> None:
    async def story(client: Client) -> None:
        job_id = await client.submit()
        await client.world.drain()
        for method, path in (
            ("GET", ""),
            ("GET", "/payload"),
            ("GET", "/result"),
            ("GET", "/events"),
            ("GET", "/errors"),
            ("GET", "/why"),
            ("POST", "/cancel"),
            ("POST", "/redrive"),
        ):
            theirs = await client.ask(method, f"/jobs/{job_id}{path}", caller=EVE)
            nobodys = await client.ask(method, f"/jobs/{job_id[:-1]}x{path}", caller=EVE)
            assert theirs.status == nobodys.status == 404
            assert theirs.body == nobodys.body.replace(f"{job_id[:-1]}x".encode(), job_id.encode())
        assert document(await client.ask("GET", f"/jobs/{job_id}"))["status"] == "SUCCESS"

    with_client(story)


@pytest.mark.parametrize(
    "route", [route for route in ROUTES if route.role], ids=lambda route: f"{route.method} {route.path}"
)
def test_every_route_asks_for_a_token_and_a_role(route: Any) -> None:
    async def story(client: Client) -> None:
        path = route.path.replace("{job_id}", "job_1")
        nobody = await client.ask(route.method, path, {}, caller=None)
        assert (nobody.status, nobody.headers["WWW-Authenticate"]) == (401, "Bearer")
        below = [None, *(role for role in Role if role != route.role)][: list(Role).index(route.role) + 1]
        for role in below:
            assert (await client.ask(route.method, path, {}, caller=Caller("acme", "x", role))).status == 403
        assert (await client.ask(route.method, path, {}, caller=Caller("acme", "x", route.role))).status != 403

    with_client(story)


def test_what_is_open_tells_nothing_of_any_tenant() -> None:
    assert {route.path for route in ROUTES if route.role is None} == {
        "/",
        "/assets/{version}/{name}",
        "/health",
        "/openapi.json",
    }


def test_a_path_that_is_not_there_and_a_method_that_is_not_allowed() -> None:
    async def story(client: Client) -> None:
        assert (await client.ask("GET", "/nothing")).status == 404
        answer = await client.ask("DELETE", "/jobs/job_1")
        assert (answer.status, answer.headers["Allow"]) == (405, "GET")
        for job_id in ("a b", "../x", "%00", "x" * 65, "a#b"):
            assert (await client.ask("GET", f"/jobs/{job_id}")).status == 404

    with_client(story)


def test_a_failed_job_tells_why_and_runs_again() -> None:
    async def story(client: Client) -> None:
        job_id = await client.submit()
        await client.world.drain()
        why = document(await client.ask("GET", f"/jobs/{job_id}/why"))
        assert why["reasons"][0]["text"] == "broken (operation): it will not do"
        assert why["reasons"][-1]["action"] == "mend the cause, then redrive it"
        redriven = await client.ask("POST", f"/jobs/{job_id}/redrive")
        assert (redriven.status, document(redriven)["status"]) == (202, "QUEUED")
        assert document(redriven)["history"][-1]["who"] == "ann"
        assert (await client.ask("POST", f"/jobs/{job_id}/redrive")).status == 409
        cancelled = await client.ask("POST", f"/jobs/{job_id}/cancel")
        assert (cancelled.status, document(cancelled)["status"]) == (200, "CANCELLED")

    with_client(story, broken)


def test_every_answer_carries_the_headers_that_keep_it_safe() -> None:
    async def story(client: Client) -> None:
        for answer in (await client.ask("GET", "/health"), await client.ask("GET", "/nothing")):
            assert answer.headers["X-Content-Type-Options"] == "nosniff"
            assert "default-src 'none'" in answer.headers["Content-Security-Policy"]

    with_client(story)


def test_a_tenant_that_asks_too_fast_is_told_when_to_come_back_and_another_is_not() -> None:
    async def story(client: Client) -> None:
        statuses = [(await client.ask("GET", "/types")).status for _ in range(30)]
        assert statuses == [200] * 20 + [429] * 10
        refused = await client.ask("GET", "/types")
        assert refused.headers["Retry-After"] == "1"
        assert (await client.ask("GET", "/types", caller=EVE)).status == 200
        assert (await client.ask("GET", "/health")).status == 200

    with_client(story, limit=Limit(10, 20))


def test_a_bug_of_ours_is_500_without_a_word_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    async def story(client: Client) -> None:
        job_id = await client.submit()
        monkeypatch.setattr(client.world.ports.jobs, "get", None)
        answer = await client.ask("GET", f"/jobs/{job_id}")
        assert (answer.status, document(answer)["detail"]) == (500, "something went wrong here")

    with_client(story)


def test_the_openapi_document_names_every_route_and_every_schema_it_refers_to() -> None:
    async def story(client: Client) -> None:
        text = (await client.ask("GET", "/openapi.json", caller=None)).body.decode()
        found = json.loads(text)
        told = {(method.upper(), path) for path, methods in found["paths"].items() for method in methods}
        assert told == {(route.method, route.path) for route in ROUTES}
        referred = {part.split('"')[0] for part in text.split('"#/components/schemas/')[1:]}
        assert referred <= set(found["components"]["schemas"])
        ids = [operation["operationId"] for methods in found["paths"].values() for operation in methods.values()]
        assert len(ids) == len(set(ids))

    with_client(story)
