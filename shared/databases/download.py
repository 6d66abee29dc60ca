"""HTTPS downloads of what a payload names, from public addresses only.

`shared/net/guard.py` says which those are, and keeps redirects to them too.
"""

import ssl
from collections.abc import AsyncIterator, Callable
from typing import Final
from urllib.parse import urljoin

import aiohttp

from shared.errors import Permanent, Transient
from shared.net.guard import Address, Guard, is_public

CHUNK_BYTES: Final = 1 << 20
REDIRECTS_MAX: Final = 5
_TIMEOUT: Final = aiohttp.ClientTimeout(total=None, sock_connect=10, sock_read=30)
_FIELD: Final = "backup_url"
_REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})
_AGAIN: Final = frozenset({408, 425, 429})
_GONE: Final = frozenset({404, 410})


async def download(
    url: str, *, allowed: Callable[[Address], bool] = is_public, tls: ssl.SSLContext | None = None
) -> AsyncIterator[bytes]:
    """The body at an https:// URL, in chunks.

    Raises Permanent("address_refused", "no_such_artifact", "download_refused") or Transient("download_failed"). No
    message repeats the URL: its query may be a signature.
    """
    guard = Guard(allowed)
    connector = aiohttp.TCPConnector(socket_factory=guard.socket, ssl=tls or True)
    try:
        async with (
            aiohttp.ClientSession(connector=connector, timeout=_TIMEOUT, auto_decompress=False) as session,
            await _answer(session, url) as response,
        ):
            async for chunk in response.content.iter_chunked(CHUNK_BYTES):
                yield chunk
    except (aiohttp.ClientError, TimeoutError, ValueError) as error:
        if guard.refused:
            raise Permanent("address_refused", "the URL leads to an address that is not public", field=_FIELD) from None
        raise Transient("download_failed", f"the download broke: {type(error).__name__}", field=_FIELD) from None


async def _answer(session: aiohttp.ClientSession, url: str) -> aiohttp.ClientResponse:
    """The answer after redirects, none of which may leave https."""
    for _ in range(1 + REDIRECTS_MAX):
        if not url.startswith("https://"):
            raise Permanent("download_refused", "a redirect leads away from https", field=_FIELD)
        response = await session.get(url, allow_redirects=False, headers={"Accept-Encoding": "identity"})
        if response.status not in _REDIRECTS:
            return _accepted(response)
        url = urljoin(url, response.headers.get("Location", ""))
        response.release()
    raise Permanent("download_refused", f"more than {REDIRECTS_MAX} redirects", field=_FIELD)


def _accepted(response: aiohttp.ClientResponse) -> aiohttp.ClientResponse:
    status = response.status
    if status == 200:
        return response
    response.close()
    if status in _AGAIN or status >= 500:
        raise Transient("download_failed", f"the server answers {status}", field=_FIELD)
    code = "no_such_artifact" if status in _GONE else "download_refused"
    raise Permanent(code, f"the server answers {status}", field=_FIELD)
