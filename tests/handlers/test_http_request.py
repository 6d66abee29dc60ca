"""`http_request` against servers that really listen, kind ones and hostile ones."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from hypothesis import given
from hypothesis import strategies as st

from handlers.jobs import http_request as http_request_job
from infra.testing import Longshore
from shared.errors import InvalidInput, LongshoreError, Permanent, Transient
from shared.net.blank import Blank
from shared.net.bound import BoundSecret, value_for
from shared.net.exchange import exchange
from shared.payloads import read_payload
from shared.payloads.results import ProcessResult
from tests.databases import Jobs
from tests.https import Answer, loopback, serving

asked: list[web.Request] = []


@pytest.fixture
def jobs() -> Jobs:
    asked.clear()
    return Jobs()


def keep(jobs: Jobs, origin: str) -> None:
    """Two secrets for that server, one for another, and one that says of none."""
    kept = {"crm": (origin, "sesame"), "broken": (origin, "a\r\nX-Evil: 1"), "other": ("https://a.example", "sesame")}
    for name, (whose, value) in kept.items():
        jobs.ports.secrets.values[f"default/{name}"] = json.dumps({"origins": [whose], "value": value})  # type: ignore[attr-defined]  # of the memory port
    jobs.ports.secrets.values["default/plain"] = "sesame"  # type: ignore[attr-defined]  # the same


@pytest.fixture
def ask(jobs: Jobs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., ProcessResult]:
    """One job against a server that answers so."""

    def run(answer: Answer, path: str = "/rows.csv", **fields: Any) -> ProcessResult:  # Any: a payload's fields
        async def story() -> object:
            async with serving(tmp_path, answer) as (url, tls):
                reached = partial(exchange, allowed=loopback, tls=tls)
                monkeypatch.setattr(http_request_job, "exchange", reached)
                keep(jobs, url.removesuffix("/rows.csv"))
                return await jobs.start("http_request", url=url.replace("/rows.csv", path), **fields)

        result = asyncio.run(story())
        assert isinstance(result, ProcessResult)
        return result

    return run


Ask = Callable[..., ProcessResult]


def saying(status: int = 200, body: bytes = b"", **headers: str) -> Answer:
    async def answer(request: web.Request) -> web.Response:
        await request.read()
        asked.append(request)
        return web.Response(
            status=status, body=body, headers={name.replace("_", "-"): headers[name] for name in headers}
        )

    return answer


def problem(work: Callable[[], object]) -> LongshoreError:
    with pytest.raises(LongshoreError) as caught:
        work()
    return caught.value


def test_a_refusal_that_never_ends_is_a_refusal(ask: Ask, monkeypatch: pytest.MonkeyPatch) -> None:
    """Taken for a server that is slow, a POST would be made again."""
    monkeypatch.setattr(http_request_job, "SAID_S", 0.1)

    async def endless(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(status=400)
        await response.prepare(request)
        await response.write(b"no")
        await asyncio.Event().wait()
        return response

    error = problem(lambda: ask(endless, method="POST", timeout=1))
    assert (type(error), error.code, error.message) == (Permanent, "unexpected_status", "the server answers 400")


# --- what comes back --------------------------------------------------------------------------------------------------


def test_json_comes_back_as_json_and_cookies_do_not(ask: Ask) -> None:
    result = ask(saying(201, b'{"id": 7}', Content_Type="application/json", Set_Cookie="a=b", ETag='"1"'))
    assert result.data == {
        "status": 201,
        "headers": result.data["headers"],
        "body": {"id": 7},
    }
    told = result.data["headers"]
    assert isinstance(told, dict)
    assert (told["ETag"], "Set-Cookie" in told) == ('"1"', False)


def test_what_is_large_or_no_text_is_an_artefact(ask: Ask, jobs: Jobs) -> None:
    for body in (b"x" * 40_000, b"\xff\xfe"):
        result = ask(saying(200, body))
        assert result.artifact is not None
        assert "body" not in result.data
        assert jobs.body(result.artifact.url) == body


def test_a_name_makes_it_an_artefact_even_if_it_is_small(ask: Ask, jobs: Jobs) -> None:
    result = ask(saying(200, b"{}", Content_Type="application/json"), name="rates/today.json")
    assert result.artifact is not None
    assert result.artifact.url.endswith("/rates/today.json")


def test_a_broken_document_is_still_text(ask: Ask) -> None:
    assert ask(saying(200, b'{"id":', Content_Type="application/json")).artifact is not None


def test_a_document_a_body_and_the_jobs_id_are_sent(ask: Ask) -> None:
    async def echo(request: web.Request) -> web.Response:
        return web.json_response({"headers": dict(request.headers), "body": await request.text()})

    said = ask(echo, method="POST", json={"a": [1]}, job_id="job_7").data["body"]
    assert isinstance(said, dict)
    assert isinstance(said["headers"], dict)
    assert (said["body"], said["headers"]["Content-Type"]) == ('{"a":[1]}', "application/json")
    assert said["headers"]["Idempotency-Key"] == "job_7"
    put = ask(echo, method="PUT", body="grüße", headers={"Content-Type": "text/x"}).data["body"]
    assert isinstance(put, dict)
    assert isinstance(put["headers"], dict)
    assert (put["body"], put["headers"]["Content-Type"], "Idempotency-Key" in put["headers"]) == (
        "grüße",
        "text/x",
        False,
    )


# --- what it means ----------------------------------------------------------------------------------------------------


def test_a_status_is_a_success_an_end_or_worth_another_attempt(ask: Ask) -> None:
    assert ask(saying(404), expect=[200, 404]).data["status"] == 404
    gone = problem(lambda: ask(saying(404, b"no such  order")))
    assert isinstance(gone, Permanent)
    assert (gone.code, gone.message, gone.field) == (
        "unexpected_status",
        "the server answers 404: no such order",
        "url",
    )
    assert isinstance(problem(lambda: ask(saying(200), expect=[201])), Permanent)
    busy = problem(lambda: ask(saying(503, Retry_After="77")))
    assert isinstance(busy, Transient)
    assert busy.retry_after_s == 77
    assert isinstance(problem(lambda: ask(saying(418), retry_on=[418])), Transient)


def test_a_job_waits_as_long_as_it_was_asked_to(longshore: Longshore, monkeypatch: pytest.MonkeyPatch) -> None:
    def busy(*_: object, **__: object) -> None:
        raise Transient("unexpected_status", "the server answers 429", retry_after_s=600)

    monkeypatch.setattr(http_request_job, "exchange", busy)
    longshore.submit(read_payload('{"type": "http_request", "url": "https://a.example/"}'))
    assert longshore.drain().retried == 1
    (row,) = longshore.world.jobs.rows.values()
    assert row.due_at is not None
    assert row.due_at >= longshore.clock.now() + 600_000


# --- secrets ----------------------------------------------------------------------------------------------------------


def test_a_secret_goes_to_the_server_and_nowhere_else(ask: Ask) -> None:
    headers = {"Authorization": "Bearer secret://crm"}
    ask(saying(200), headers=headers)
    assert asked[0].headers["Authorization"] == "Bearer sesame"
    echoed = problem(lambda: ask(saying(400, b"bad token sesame"), headers=headers))
    assert "sesame" not in str(echoed)


def test_what_a_server_echoes_is_kept_without_the_secret(ask: Ask, jobs: Jobs) -> None:
    async def echo(request: web.Request) -> web.StreamResponse:
        key = request.headers["X-Key"]
        if request.path == "/small":
            return web.json_response({"keys": [key, key[:4]]}, headers={"ETag": key, "Location": "/" + key})
        answer = web.StreamResponse()
        await answer.prepare(request)
        for piece in (b"x" * 70_000, key[:3].encode(), key[3:].encode(), b"y" * 70_000, key.encode()):
            await answer.write(piece)
        return answer

    headers = {"X-Key": "secret://crm"}
    small = ask(echo, "/small", headers=headers)
    assert "sesame" not in small.model_dump_json()
    assert small.data["body"] == {"keys": ["…", "sesa"]}
    large = ask(echo, headers=headers).artifact
    assert large is not None
    assert jobs.body(large.url) == b"x" * 70_000 + "…".encode() + b"y" * 70_000 + "…".encode()


@given(st.lists(st.sampled_from([b"sesame", b"ses", b"ame", b"s", b'a"b\\c', rb"a\"b\\c", b"x"])))
def test_however_a_secret_is_cut_it_is_blanked(chunks: list[bytes]) -> None:
    async def story() -> bytes:
        async def sent() -> AsyncIterator[bytes]:
            for chunk in chunks:
                yield chunk

        return b"".join([chunk async for chunk in Blank.of(["sesame", 'a"b\\c']).stream(sent())])

    told = asyncio.run(story())
    assert not any(secret in told for secret in (b"sesame", b'a"b\\c', rb"a\"b\\c"))
    if b"sesame" not in (all_of_it := b"".join(chunks)) and b"b" not in all_of_it:
        assert told == all_of_it


def test_a_secret_stays_with_its_origin(ask: Ask) -> None:
    async def answer(request: web.Request) -> web.Response:
        asked.append(request)
        if request.path == "/away":
            return web.Response(status=307, headers={"Location": f"https://localhost:{request.url.port}/there"})
        return web.Response(status=307, headers={"Location": "/away"}) if request.path == "/" else web.Response()

    headers = {"X-Api-Key": "secret://crm", "X-Other": "kept"}
    problem(lambda: ask(answer, "/", method="POST", headers=headers))  # its certificate is for 127.0.0.1 alone
    assert [request.headers.get("X-Api-Key") for request in asked] == ["sesame", "sesame"]
    from shared.net.exchange import Request, _redirected  # the rule itself, for what certificates keep us from seeing

    before = Request("POST", "https://a.example/", {"X-Api-Key": "k", "X": "1"}, b"{}", frozenset({"x-api-key"}))
    assert _redirected(before, 307, "https://b.example/").headers == {"X": "1"}
    assert _redirected(before, 307, "https://a.example:444/").headers == {"X": "1"}
    assert _redirected(before, 307, "https://a.example/x").headers == before.headers
    assert (_redirected(before, 303, "https://a.example/").method, _redirected(before, 303, "/").body) == ("GET", None)


def test_a_secret_that_is_not_there_or_breaks_the_line_ends_the_job(ask: Ask) -> None:
    unknown = problem(lambda: ask(saying(), headers={"X-Key": "secret://unknown"}))
    assert (unknown.code, unknown.field) == ("no_such_secret", "headers.X-Key")
    broken = problem(lambda: ask(saying(), headers={"X-Key": "secret://broken"}))
    assert (broken.code, broken.field) == ("bad_secret", "headers.X-Key")
    assert asked == []


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("plain", "longshore secret set plain --for https://HOST"),
        ("other", "secret://other is for https://a.example alone"),
    ],
)
def test_a_secret_goes_where_whoever_kept_it_said(name: str, told: str, ask: Ask) -> None:
    refused = problem(lambda: ask(saying(), headers={"X-Key": f"secret://{name}"}))
    assert (refused.code, refused.field) == ("bad_secret", "headers.X-Key")
    assert told in str(refused)
    assert "sesame" not in str(refused)
    assert asked == []


def test_an_origin_is_scheme_host_and_port() -> None:
    kept = BoundSecret(origins=("https://A.example", "https://b.example:8443"), value="v").model_dump_json()
    for url in ("https://a.example/x", "https://A.EXAMPLE:443/", "https://b.example:8443/y"):
        assert value_for(url, kept, name="s", field="headers.X") == "v"
    for url in ("http://a.example/", "https://a.example:444/", "https://a.example.evil.example/", "https://b.example/"):
        with pytest.raises(Permanent, match="alone"):
            value_for(url, kept, name="s", field="headers.X")
    for origin in (
        "a.example",
        "https://",
        "https://a.example/x",
        "https://u@a.example",
        "https://a.example:x",
        "ftp://a",
    ):
        with pytest.raises(ValueError, match="an origin such as"):
            BoundSecret(origins=(origin,), value="v")


# --- hostile ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("url", "code"),
    [
        ("https://127.0.0.1:1/", "address_refused"),
        ("https://169.254.169.254/latest/meta-data/", "address_refused"),
        ("http://example.com/", "request_refused"),
        ("https://[::bad/", "request_refused"),
        ("https://a..b/", "request_refused"),
        ("https://example.com:99999/", "request_refused"),
        ("https://localhost/", "address_refused"),
        ("https://0x7f.1/", "address_refused"),
        ("https://[::ffff:127.0.0.1]/", "address_refused"),
        ("https://192.0.0.192/opc/v2/instance/", "address_refused"),
    ],
)
def test_our_own_network_and_plain_http_are_out_of_reach(jobs: Jobs, url: str, code: str) -> None:
    error = jobs.fail("http_request", url=url)
    assert isinstance(error, Permanent)
    assert (error.code, error.field) == (code, "url")


def test_a_redirect_inside_is_refused_before_anything_is_sent(
    jobs: Jobs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def story() -> LongshoreError:
        async with serving(tmp_path, saying(302, Location="https://127.0.0.2:1/")) as (url, tls):
            only_this = partial(exchange, allowed=lambda address: str(address) == "127.0.0.1", tls=tls)
            monkeypatch.setattr(http_request_job, "exchange", only_this)
            with pytest.raises(LongshoreError) as caught:
                await jobs.start("http_request", url=url)
            return caught.value

    assert asyncio.run(story()).code == "address_refused"


@pytest.mark.parametrize("where", ["http://example.com/", "file:///etc/passwd", "https://[::bad/"])
def test_a_redirect_leads_to_https_or_nowhere(ask: Ask, where: str) -> None:
    assert problem(lambda: ask(saying(302, Location=where))).code == "request_refused"


def test_redirects_come_to_an_end(ask: Ask) -> None:
    assert problem(lambda: ask(saying(302, Location="/rows.csv"), redirects_max=3)).code == "too_many_redirects"
    assert len(asked) == 4
    assert ask(saying(302, Location="/x"), redirects_max=0, expect=[302]).data["status"] == 302


def test_a_flood_is_cut_off(ask: Ask, jobs: Jobs) -> None:
    async def flood(request: web.Request) -> web.StreamResponse:
        answer = web.StreamResponse()
        await answer.prepare(request)
        for _ in range(10_000):
            await answer.write(b"x" * 65_536)
        return answer

    error = problem(lambda: ask(flood, answer_bytes_max=100_000))
    assert (error.code, error.field) == ("too_large", "answer_bytes_max")
    assert jobs.bodies == {}


def test_a_server_that_says_nothing_is_left_in_time(ask: Ask) -> None:
    async def silent(_: web.Request) -> web.Response:
        await asyncio.Event().wait()
        return web.Response()

    assert isinstance(problem(lambda: ask(silent, timeout=1)), Transient)


def test_a_chain_of_slow_redirects_is_left_in_time(ask: Ask) -> None:
    async def slow(_: web.Request) -> web.Response:
        await asyncio.sleep(0.2)
        return web.Response(status=302, headers={"Location": "/again"})

    assert problem(lambda: ask(slow, timeout=1, redirects_max=10)).message == "the request broke: no answer in time"


def test_a_host_that_is_not_there_is_told_so(jobs: Jobs) -> None:
    error = jobs.fail("http_request", url="https://nobody.invalid/")
    assert isinstance(error, Transient)
    assert (error.code, error.message, error.field) == ("request_failed", "the request broke: no such host", "url")


def saying_raw(said: bytes) -> Answer:
    async def answer(request: web.Request) -> web.Response:
        assert request.transport is not None
        request.transport.write(said)
        request.transport.close()
        return web.Response()

    return answer


@pytest.mark.parametrize(
    ("said", "message"),
    [
        (b"", "the server hung up"),
        (b"220 smtp\r\n", "that is no HTTP"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\na", "the answer ends too early"),
    ],
)
def test_what_is_no_answer_is_told_so(ask: Ask, said: bytes, message: str) -> None:
    assert problem(lambda: ask(saying_raw(said))).message == f"the request broke: {message}"


def test_what_no_document_can_hold_does_no_harm(ask: Ask) -> None:
    head = b"HTTP/1.1 200 OK\r\nETag: \xff\r\nContent-Type: application/json\r\nContent-Length: 3\r\n\r\n"
    result = ask(saying_raw(head + b"NaN"))
    assert result.artifact is not None
    assert '"ETag":"\ufffd"' in result.model_dump_json()


@pytest.mark.parametrize(
    ("fields", "wrong"),
    [
        ({"url": "ftp://example.com"}, "url"),
        ({"url": "https://ann:pw@example.com"}, "url"),
        ({"url": "https://example.com/a b"}, "url"),
        ({"method": "CONNECT"}, "method"),
        ({"headers": {"X: Y": "1"}}, "headers.X: Y.[key]"),
        ({"headers": {"X": "1\r\nY: 2"}}, "headers.X"),
        ({"headers": {"Host": "inside"}}, "(the document)"),
        ({"headers": {"Content-Length": "5"}}, "(the document)"),
        ({"headers": {"transfer-encoding": "chunked"}}, "(the document)"),
        ({"headers": {"X": "1", "x": "2"}}, "(the document)"),
        ({"headers": {"Authorization": "Bearer sesame"}}, "(the document)"),
        ({"headers": {"X": "secret://a and more"}}, "(the document)"),
        ({"json": {}, "body": "", "method": "POST"}, "(the document)"),
        ({"json": {}}, "(the document)"),
        ({"expect": [99]}, "expect.0"),
        ({"timeout": 600}, "timeout"),
        ({"name": "../up"}, "name"),
    ],
)
def test_nonsense_is_refused_at_the_door(fields: dict[str, object], wrong: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        read_payload(json.dumps({"type": "http_request", "url": "https://example.com/", **fields}))
    assert caught.value.field == wrong
    assert "sesame" not in caught.value.message
