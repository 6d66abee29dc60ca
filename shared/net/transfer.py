"""What jobs fetch from, and send to, URLs that others name: over TLS, at public addresses only.

`shared/net/guard.py` says which those are, and keeps redirects to them too. No message repeats a URL: its query may be
a signature.
"""

import ssl
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Final
from urllib.parse import urljoin

import aiohttp

from shared.errors import LongshoreError, Permanent, Transient
from shared.net.guard import Address, Guard, is_public

CHUNK_BYTES: Final = 1 << 20
REDIRECTS_MAX: Final = 5
_TIMEOUT: Final = aiohttp.ClientTimeout(total=None, sock_connect=10, sock_read=30)
REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})
_AGAIN: Final = frozenset({408, 425, 429})
_GONE: Final = frozenset({404, 410})
_WORDS: Final[Mapping[type[Exception], str]] = {
    aiohttp.ClientConnectorDNSError: "no such host",
    aiohttp.ClientSSLError: "its certificate, or how it speaks TLS, is not valid",
    TimeoutError: "no answer in time",
    aiohttp.ClientConnectorError: "nobody takes the connection",
    aiohttp.ServerDisconnectedError: "the server hung up",
    aiohttp.ClientPayloadError: "the answer ends too early",
    aiohttp.ClientResponseError: "that is no HTTP",
}


async def download(
    url: str,
    *,
    field: str,
    accept: Callable[[Mapping[str, str]], None] = lambda _: None,
    allowed: Callable[[Address], bool] = is_public,
    tls: ssl.SSLContext | None = None,
) -> AsyncGenerator[bytes, None]:
    """The body at an https:// URL, in chunks. `accept` sees the answer's headers first, and raises what it refuses.

    Raises, about `field`, Permanent("address_refused", "no_such_artifact", "download_refused") or
    Transient("download_failed").
    """
    async with open_session("download", field, allowed, tls) as session, await _answer(session, url, field) as response:
        accept(response.headers)
        async for chunk in response.content.iter_chunked(CHUNK_BYTES):
            yield chunk


async def put(
    url: str,
    body: AsyncIterator[bytes],
    size_bytes: int,
    *,
    field: str,
    content_type: str | None = None,
    allowed: Callable[[Address], bool] = is_public,
    tls: ssl.SSLContext | None = None,
) -> None:
    """PUT `size_bytes` to an https:// URL, presigned as a rule; no redirect is followed.

    Raises, about `field`, Permanent("address_refused", "upload_refused") or Transient("upload_failed").
    """
    headers = {"Content-Length": str(size_bytes)} | ({"Content-Type": content_type} if content_type else {})
    async with (
        open_session("upload", field, allowed, tls) as session,
        session.put(
            url, data=body, headers=headers, allow_redirects=False, skip_auto_headers=["Content-Type"]
        ) as response,
    ):
        if not response.ok or response.status in REDIRECTS:
            raise _refused("upload", response.status, "upload_refused", field)


@asynccontextmanager
async def open_session(
    what: str,
    field: str,
    allowed: Callable[[Address], bool],
    tls: ssl.SSLContext | None,
    limits: aiohttp.ClientTimeout = _TIMEOUT,
) -> AsyncIterator[aiohttp.ClientSession]:
    """The net's own errors come out as ours."""
    guard = Guard(allowed)
    connector = aiohttp.TCPConnector(socket_factory=guard.socket, ssl=tls or True)
    try:
        async with aiohttp.ClientSession(connector=connector, timeout=limits, auto_decompress=False) as session:
            yield session
    except (aiohttp.InvalidURL, UnicodeError):  # the latter of a host that can be no name
        raise Permanent(f"{what}_refused", "it is, or leads to, no URL", field=field) from None
    except (aiohttp.ClientError, TimeoutError, ValueError) as error:
        if guard.refused:
            raise Permanent("address_refused", "the URL leads to an address that is not public", field=field) from None
        why = next((words for kind, words in _WORDS.items() if isinstance(error, kind)), type(error).__name__)
        raise Transient(f"{what}_failed", f"the {what} broke: {why}", field=field) from None


async def _answer(session: aiohttp.ClientSession, url: str, field: str) -> aiohttp.ClientResponse:
    """The answer after redirects, none of which may leave https."""
    for _ in range(1 + REDIRECTS_MAX):
        if not url.startswith("https://"):
            raise Permanent("download_refused", "a redirect leads away from https", field=field)
        response = await session.get(url, allow_redirects=False, headers={"Accept-Encoding": "identity"})
        if response.status == 200:
            return response
        response.close()
        if response.status not in REDIRECTS:
            code = "no_such_artifact" if response.status in _GONE else "download_refused"
            raise _refused("download", response.status, code, field)
        url = urljoin(url, response.headers.get("Location", ""))
    raise Permanent("download_refused", f"more than {REDIRECTS_MAX} redirects", field=field)


def _refused(what: str, status: int, code: str, field: str) -> LongshoreError:
    if status in _AGAIN or status >= 500:
        return Transient(f"{what}_failed", f"the server answers {status}", field=field)
    return Permanent(code, f"the server answers {status}", field=field)
