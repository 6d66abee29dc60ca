"""Downloads and uploads: over TLS, from and to public addresses, and nowhere else."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from ipaddress import ip_address
from pathlib import Path

import pytest
from aiohttp import web

from shared.errors import LongshoreError, Permanent, Transient
from shared.net.guard import is_public
from shared.net.transfer import download, put
from tests.databases import Jobs, make_sqlite
from tests.https import Answer, loopback, serving


@pytest.mark.parametrize(
    ("address", "public"),
    [
        ("93.184.216.34", True),
        ("2606:2800:220:1:248:1893:25c8:1946", True),
        ("127.0.0.1", False),
        ("0.0.0.0", False),  # noqa: S104  an address to refuse
        ("10.1.2.3", False),
        ("172.16.0.1", False),
        ("192.168.1.1", False),
        ("100.64.0.1", False),
        ("169.254.169.254", False),
        ("224.0.0.1", False),
        ("255.255.255.255", False),
        ("::1", False),
        ("::", False),
        ("fe80::1", False),
        ("fd00:ec2::254", False),
        ("ff02::1", False),
        ("::ffff:10.0.0.1", False),
        ("::ffff:93.184.216.34", False),
        ("::7f00:1", False),
        ("64:ff9b::a00:1", False),
        ("64:ff9b:1::a00:1", False),
        ("fec0::1", False),
        ("2002:a00:1::", False),
        ("2001::a00:1", False),
    ],
)
def test_an_address_is_public_or_it_is_not(address: str, public: bool) -> None:
    assert is_public(ip_address(address)) is public


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::1]", "169.254.169.254", "[::ffff:127.0.0.1]", "0x7f.1"])
def test_our_own_network_is_out_of_reach(host: str) -> None:
    error = failure(lambda: download(f"https://{host}:1/rows.csv?X-Amz-Signature=sesame", field="backup_url"))
    assert isinstance(error, Permanent)
    assert (error.code, error.field) == ("address_refused", "backup_url")
    assert "sesame" not in str(error)


def test_no_connection_is_even_made_to_it(tmp_path: Path) -> None:
    seen: list[str] = []

    async def answer(request: web.Request) -> web.Response:
        seen.append(request.path)
        return web.Response()

    async def run() -> None:
        async with serving(tmp_path, answer) as (url, tls):
            async for _ in download(url, field="url", tls=tls):
                pass

    with pytest.raises(Permanent, match="address_refused"):
        asyncio.run(run())
    assert not seen


def test_a_restore_does_not_reach_it_either(tmp_path: Path) -> None:
    url = make_sqlite(tmp_path / "t.db", "CREATE TABLE t (a)")
    error = Jobs().fail("restore", database=url, tables=["t"], backup_url="https://127.0.0.1:1/t.csv")
    assert error.code == "address_refused"


def test_a_body_comes_as_it_is_in_bounded_chunks(tmp_path: Path) -> None:
    body = bytes(range(256)) * 20_000

    async def answer(_: web.Request) -> web.Response:
        return web.Response(body=body, headers={"Content-Encoding": "gzip"})  # it is not: nobody looks

    chunks = serve(tmp_path, answer)
    assert b"".join(chunks) == body
    assert max(map(len, chunks)) <= 1 << 20


def test_a_redirect_is_followed_within_https(tmp_path: Path) -> None:
    async def answer(request: web.Request) -> web.Response:
        if request.path == "/rows.csv":
            raise web.HTTPFound("elsewhere?x=1")
        return web.Response(text=request.path_qs)

    assert serve(tmp_path, answer) == [b"/elsewhere?x=1"]


@pytest.mark.parametrize(
    ("where", "code"),
    [
        ("http://example.org/", "download_refused"),
        ("ftp://example.org/", "download_refused"),
        ("file:///etc/passwd", "download_refused"),
        ("https://10.0.0.1/", "address_refused"),
        ("/rows.csv", "download_refused"),
    ],
)
def test_a_redirect_leads_neither_out_of_https_nor_inside_nor_on_forever(tmp_path: Path, where: str, code: str) -> None:
    async def answer(_: web.Request) -> web.Response:
        return web.Response(status=307, headers={"Location": where})

    error = failure_of_serving(tmp_path, answer)
    assert error.code == code


@pytest.mark.parametrize(
    ("status", "kind", "code"),
    [
        (404, Permanent, "no_such_artifact"),
        (403, Permanent, "download_refused"),
        (204, Permanent, "download_refused"),
        (429, Transient, "download_failed"),
        (503, Transient, "download_failed"),
    ],
)
def test_what_the_server_answers_tells_whether_to_come_again(
    tmp_path: Path, status: int, kind: type[LongshoreError], code: str
) -> None:
    async def answer(_: web.Request) -> web.Response:
        return web.Response(status=status)

    error = failure_of_serving(tmp_path, answer)
    assert (type(error), error.code) == (kind, code)


def test_a_body_that_breaks_off_is_not_the_whole(tmp_path: Path) -> None:
    async def answer(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Length": "100"})
        await response.prepare(request)
        await response.write(b"only this")
        assert request.transport is not None
        request.transport.close()
        return response

    assert failure_of_serving(tmp_path, answer).code == "download_failed"


def test_a_certificate_that_nobody_vouches_for_is_refused(tmp_path: Path) -> None:
    async def answer(_: web.Request) -> web.Response:
        return web.Response(text="secret")

    async def run() -> None:
        async with serving(tmp_path, answer) as (url, _):
            async for _chunk in download(url, field="url", allowed=lambda _: True):
                pass

    with pytest.raises(Transient, match="download_failed"):
        asyncio.run(run())


def test_headers_are_seen_before_the_body_and_may_be_refused(tmp_path: Path) -> None:
    async def answer(_: web.Request) -> web.Response:
        return web.Response(text="<html>", content_type="text/html")

    def refuse(headers: Mapping[str, str]) -> None:
        raise Permanent("unexpected_type", headers["Content-Type"], field="url")

    async def run() -> None:
        async with serving(tmp_path, answer) as (url, tls):
            async for _chunk in download(url, field="url", accept=refuse, allowed=loopback, tls=tls):
                raise AssertionError("a body that nobody wants")

    with pytest.raises(Permanent, match="text/html"):
        asyncio.run(run())


# --- uploads ----------------------------------------------------------------------------------------------------------


def test_a_put_says_how_much_it_sends_and_nothing_that_was_not_signed(tmp_path: Path) -> None:
    got: list[tuple[str, bytes, dict[str, str]]] = []

    async def answer(request: web.Request) -> web.Response:
        got.append((request.method, await request.read(), dict(request.headers)))
        return web.Response()

    assert send(tmp_path, answer) is None
    assert send(tmp_path, answer, content_type="video/mp4") is None
    (method, body, bare), (_, _, typed) = got
    assert (method, body, bare["Content-Length"]) == ("PUT", b"abc" * 100_000, "300000")
    assert "Transfer-Encoding" not in bare
    assert ("Content-Type" not in bare, typed["Content-Type"]) == (True, "video/mp4")


@pytest.mark.parametrize(
    ("status", "kind", "code"),
    [
        (403, Permanent, "upload_refused"),
        (307, Permanent, "upload_refused"),
        (429, Transient, "upload_failed"),
        (503, Transient, "upload_failed"),
    ],
)
def test_what_the_receiver_answers_tells_whether_to_come_again(
    tmp_path: Path, status: int, kind: type[LongshoreError], code: str
) -> None:
    async def answer(request: web.Request) -> web.Response:
        await request.read()
        return web.Response(status=status, headers={"Location": "/elsewhere"})

    error = send(tmp_path, answer)
    assert (type(error), error and error.code) == (kind, code)


def test_nothing_is_put_inside_our_own_network(tmp_path: Path) -> None:
    async def run() -> None:
        await put("https://127.0.0.1:1/x?signature=sesame", chunks(), 300_000, field="destination.0")

    with pytest.raises(Permanent, match="address_refused") as caught:
        asyncio.run(run())
    assert "sesame" not in str(caught.value)


# --- a server ---------------------------------------------------------------------------------------------------------


def serve(home: Path, answer: Answer) -> list[bytes]:
    async def run() -> list[bytes]:
        async with serving(home, answer) as (url, tls):
            return [chunk async for chunk in download(url, field="url", allowed=loopback, tls=tls)]

    return asyncio.run(run())


def failure_of_serving(home: Path, answer: Answer) -> LongshoreError:
    with pytest.raises(LongshoreError) as caught:
        serve(home, answer)
    return caught.value


def failure(begin: Callable[[], AsyncIterator[bytes]]) -> LongshoreError:
    async def run() -> None:
        async for _ in begin():
            pass

    with pytest.raises(LongshoreError) as caught:
        asyncio.run(run())
    return caught.value


async def chunks() -> AsyncIterator[bytes]:
    for _ in range(100):
        yield b"abc" * 1000


def send(home: Path, answer: Answer, content_type: str | None = None) -> LongshoreError | None:
    """→ how it failed"""

    async def run() -> None:
        async with serving(home, answer) as (url, tls):
            await put(
                url, chunks(), 300_000, field="destination.0", content_type=content_type, allowed=loopback, tls=tls
            )

    try:
        asyncio.run(run())
    except LongshoreError as error:
        return error
    return None
