"""One server's answers over HTTPS, as values: no redirect is followed, and nothing is read without end.

- What goes out holds a credential: a redirect is an answer like any other, for the caller to refuse.
- The address is looked at when the connection is made (`shared/net/guard.py`).
- Packed answers are not asked for, and not unpacked: a small one could be a large one.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from ipaddress import ip_address, ip_network
from typing import Final

import aiohttp

from shared.errors import Permanent, Transient
from shared.net.guard import Address, Guard, is_public

ANSWER_BYTES_MAX: Final = 12 << 20
"""The longest that GitHub gives are 30 comments of 65,536 characters, which JSON may write in 6 bytes each, and a
recursive tree, 7 MB: https://docs.github.com/en/rest/git/trees#get-a-tree. As values it takes up to 36 times as much.
"""

_INSIDE: Final = tuple(ip_network(net) for net in ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7"))

_OWN_CREDENTIALS: Final = frozenset({ip_address("fd00:ec2::254"), ip_address("fd00:ec2::23")})
"""AWS's, beside the link-local ones:
https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/instancedata-data-retrieval.html"""


@dataclass(frozen=True, slots=True)
class Request:
    method: str
    url: str
    headers: Mapping[str, str]
    body: bytes | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    """`headers` by their names in lower case."""

    status: int
    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict)


Exchange = Callable[[Request], Awaitable[Answer]]
"""Raises Permanent("address_refused", "answer_too_large") or Transient("unreachable")."""


@asynccontextmanager
async def net(
    who: str,
    *,
    timeout_s: float,
    bytes_max: int = ANSWER_BYTES_MAX,
    is_private: bool = False,
    is_local: bool = False,
) -> AsyncIterator[Exchange]:
    """Requests to `who`, the payload's field that names it. `is_private`: inside the worker's own network, too;
    `is_local`: on this machine, too."""
    guard = Guard(lambda address: may_reach(address, is_private=is_private, is_local=is_local))
    connector = aiohttp.TCPConnector(socket_factory=guard.socket)
    timeout = aiohttp.ClientTimeout(total=timeout_s, sock_connect=10)
    async with aiohttp.ClientSession(connector=connector, timeout=timeout, auto_decompress=False) as session:

        async def exchange(request: Request) -> Answer:
            guard.refused = False
            try:
                return await _answer(session, request, who, bytes_max)
            except (aiohttp.ClientError, OSError, ValueError) as error:
                if guard.refused:
                    message = 'it leads to an address that is not public; its secret may say "private": true'
                    raise Permanent("address_refused", message, field=who) from None
                raise Transient("unreachable", f"no answer from it: {type(error).__name__}", field=who) from None

        yield exchange


async def _answer(session: aiohttp.ClientSession, request: Request, who: str, bytes_max: int) -> Answer:
    headers = {"User-Agent": "Longshore", "Accept-Encoding": "identity", **request.headers}
    async with session.request(
        request.method, request.url, headers=headers, data=request.body, allow_redirects=False
    ) as answer:
        body = bytearray()
        async for chunk in answer.content.iter_any():
            body += chunk
            if len(body) > bytes_max:
                raise Permanent("answer_too_large", f"it answers more than {bytes_max:,} bytes", field=who)
        return Answer(answer.status, bytes(body), {name.lower(): value for name, value in answer.headers.items()})


def may_reach(address: Address, *, is_private: bool, is_local: bool) -> bool:
    """Never where a machine asks for its own credentials, whoever allows what."""
    return is_public(address) or (is_private and _is_inside(address)) or (is_local and address.is_loopback)


def _is_inside(address: Address) -> bool:
    """https://www.rfc-editor.org/rfc/rfc1918 and https://www.rfc-editor.org/rfc/rfc4193"""
    return address not in _OWN_CREDENTIALS and any(
        address in network for network in _INSIDE if network.version == address.version
    )
