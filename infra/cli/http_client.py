"""A deployed API, over HTTP. Throttled, it waits as long as it is told to, and asks again."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from http import HTTPStatus
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import aiohttp

from shared.errors import InvalidInput, NotFound, WorldFault
from shared.runtime.api.jobs import Link
from shared.runtime.api.messages import Answer

TRIES: Final = 5
WAIT_S_MAX: Final = 20.0
CHUNK_BYTES: Final = 1 << 20
TIMES: Final = aiohttp.ClientTimeout(total=60, sock_connect=10)
TIMES_OF_A_STREAM: Final = aiohttp.ClientTimeout(total=None, sock_connect=10, sock_read=60)


class Http:
    """A `Carrier`. `token` goes to the API alone: not where it redirects to, nor where a result is."""

    is_live = True

    def __init__(self, session: aiohttp.ClientSession, url: str, token: str | None) -> None:
        self._session = session
        self._url = url.rstrip("/")
        self._authorization = {} if token is None else {"authorization": f"Bearer {token}"}

    async def send(
        self, method: str, path: str, query: Mapping[str, str], body: bytes, headers: Mapping[str, str]
    ) -> Answer:
        answer = await self._once(method, path, query, body, headers)
        for _ in range(TRIES - 1):
            if answer.status != HTTPStatus.TOO_MANY_REQUESTS and (answer.status, method) != (503, "GET"):
                break
            await asyncio.sleep(_wait_s(answer))
            answer = await self._once(method, path, query, body, headers)
        return answer

    async def _once(
        self, method: str, path: str, query: Mapping[str, str], body: bytes, headers: Mapping[str, str]
    ) -> Answer:
        try:
            async with self._session.request(
                method,
                f"{self._url}{path}",
                params=query,
                data=body or None,
                headers={**headers, **self._authorization},
                timeout=TIMES,
                allow_redirects=False,
            ) as answer:
                return Answer(answer.status, await answer.read(), answer.headers)
        except aiohttp.ClientConnectorError:
            raise WorldFault("unreachable", f"nothing answers at {self._url}; is it running?") from None
        except (aiohttp.ClientError, TimeoutError) as error:
            raise WorldFault(
                "unreachable", f"no answer from {self._url}: {str(error) or type(error).__name__}"
            ) from None

    async def stream(self, link: Link) -> AsyncIterator[bytes]:
        place = link.url.rpartition("/")[2]
        try:
            async with self._session.get(link.href, timeout=TIMES_OF_A_STREAM) as answer:
                if answer.status == HTTPStatus.NOT_FOUND:
                    raise NotFound("no_such_object", "it is no longer kept", field=place)
                answer.raise_for_status()
                async for chunk in answer.content.iter_chunked(CHUNK_BYTES):
                    yield chunk
        except (aiohttp.ClientError, TimeoutError) as error:
            raise WorldFault("unreachable", f"{place} could not be fetched: {error}") from None


@asynccontextmanager
async def over_http(url: str, token: str | None) -> AsyncIterator[Http]:
    """Raises InvalidInput for what is no URL, and for a token that would be no header."""
    if urlsplit(url).scheme not in ("http", "https") or not urlsplit(url).netloc:
        raise InvalidInput("api", f"the API's URL was expected, not {url!r}", field="--api")
    if token is not None and not (token.isascii() and token.isprintable()):
        raise InvalidInput("token", "a token is one line of letters, digits, dots, hyphens", field="--token")
    async with aiohttp.ClientSession() as session:
        yield Http(session, url, token)


async def put(url: str, file: Path) -> None:
    """To a presigned place, of its size as it was asked for; no message repeats the URL. Raises WorldFault."""
    why = ""
    try:
        with file.open("rb") as body:
            async with (
                aiohttp.ClientSession() as session,
                session.put(url, data=body, timeout=TIMES_OF_A_STREAM) as answer,
            ):
                why = "" if answer.ok else f"the answer is {answer.status}; was it changed meanwhile?"
    except (aiohttp.ClientError, TimeoutError) as error:
        why = str(error) or type(error).__name__
    if why:
        raise WorldFault("unreachable", f"{file} could not be put into its place: {why}")


def _wait_s(answer: Answer) -> float:
    said = answer.headers.get("Retry-After", "")
    return min(float(said), WAIT_S_MAX) if said.isdecimal() else 1.0
