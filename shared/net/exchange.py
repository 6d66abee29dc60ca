"""One HTTP request to an address that others name, and its answer: size, time and redirects are limited.

- Each redirect is looked at as the first URL was. Only 307 and 308 repeat a method that changes something, and its
  body; what is private stays with the origin it was meant for: https://www.rfc-editor.org/rfc/rfc9110#section-15.4
- No message repeats a URL or a header: either may be a secret.
"""

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Final
from urllib.parse import urljoin, urlsplit

import aiohttp

from shared.errors import Permanent
from shared.net.guard import Address, is_public
from shared.net.transfer import REDIRECTS, open_session

_REPEATED: Final = frozenset({307, 308})
_UNCHANGING: Final = frozenset({"GET", "HEAD"})
_OF_A_BODY: Final = frozenset({"content-type", "content-language", "idempotency-key"})


@dataclass(frozen=True, slots=True)
class Request:
    """`private`: names of headers, in lower case, that no other origin may see."""

    method: str
    url: str
    headers: Mapping[str, str]
    body: bytes | None = None
    private: frozenset[str] = frozenset()


@asynccontextmanager
async def exchange(
    request: Request,
    *,
    timeout_s: float,
    redirects_max: int,
    is_local: bool = False,
    allowed: Callable[[Address], bool] = is_public,
    tls: ssl.SSLContext | None = None,
) -> AsyncIterator[aiohttp.ClientResponse]:
    """The answer, whatever its status, its body unread. `timeout_s` are for all of it, redirects and reading it too;
    `is_local`: http:// and this machine count.

    Raises Permanent("address_refused", "request_refused", "too_many_redirects") or Transient("request_failed").
    """
    timeout = aiohttp.ClientTimeout(total=None, sock_connect=10)
    reached = _or_local(allowed) if is_local else allowed
    async with open_session("request", "url", reached, tls, timeout) as client, asyncio.timeout(timeout_s):
        for _ in range(1 + redirects_max):
            if not request.url.startswith(("https://", "http://") if is_local else "https://"):
                raise Permanent("request_refused", "it is, or leads to, something else than https", field="url")
            answer = await client.request(
                request.method, request.url, headers=request.headers, data=request.body, allow_redirects=False
            )
            location = answer.headers.get("Location")
            if answer.status not in REDIRECTS or location is None or not redirects_max:
                async with answer:
                    yield answer
                return
            answer.close()
            request = _redirected(request, answer.status, location)
        raise Permanent("too_many_redirects", f"more than {redirects_max} redirects", field="url")


def _redirected(request: Request, status: int, location: str) -> Request:
    try:
        url = urljoin(request.url, location)
        dropped = frozenset() if urlsplit(url)[:2] == urlsplit(request.url)[:2] else request.private
    except ValueError:  # as of an address in brackets that is none
        raise Permanent("request_refused", "it leads to no URL", field="url") from None
    if status not in _REPEATED and request.method not in _UNCHANGING:
        request, dropped = replace(request, method="GET", body=None), dropped | _OF_A_BODY
    headers = {name: value for name, value in request.headers.items() if name.lower() not in dropped}
    return replace(request, url=url, headers=headers)


def _or_local(allowed: Callable[[Address], bool]) -> Callable[[Address], bool]:
    return lambda address: address.is_loopback or allowed(address)
