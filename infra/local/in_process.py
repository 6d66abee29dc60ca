"""aiobotocore's HTTP session without HTTP: a signed request goes straight to the embedded endpoint on the same loop."""

import inspect
from typing import TYPE_CHECKING, Any

from aiobotocore.awsrequest import AioAWSResponse
from botocore.awsrequest import HeadersDict

if TYPE_CHECKING:
    from infra.local.endpoint import Answer, Endpoint


class InProcessSession:
    """What aiobotocore asks of an `http_session_cls`: to be made with options, entered, sent through, and closed."""

    def __init__(self, endpoint: "Endpoint", **_options: Any) -> None:
        self._endpoint = endpoint

    async def __aenter__(self) -> "InProcessSession":
        return self

    async def __aexit__(self, *_error: object) -> None:
        """Holds nothing to release."""

    close = __aexit__

    async def send(self, request: Any) -> AioAWSResponse:
        headers = HeadersDict({name: _text(value) for name, value in request.headers.items()})
        answer = await self._endpoint.answer(request.method, request.url, headers, await _bytes(request.body))
        lowered = {name.lower(): value for name, value in answer.headers.items()}
        lowered.setdefault("content-length", str(len(answer.body)))
        response = AioAWSResponse(request.url, answer.status, lowered, _Raw(answer))
        if not request.stream_output:
            await response.content
        return response


class _Raw:
    """As much of aiohttp's response as aiobotocore reads from: the body, at once or in pieces."""

    def __init__(self, answer: "Answer") -> None:
        self._body = answer.body
        self._at = 0
        self.content = self

    async def read(self, size: int = -1) -> bytes:
        stop = len(self._body) if size < 0 else self._at + size
        piece = self._body[self._at : stop]
        self._at += len(piece)
        return piece

    def at_eof(self) -> bool:
        return self._at >= len(self._body)

    def close(self) -> None:
        """Holds nothing to release."""


def _text(value: str | bytes) -> str:
    return value.decode() if isinstance(value, bytes) else value


async def _bytes(body: Any) -> bytes:
    """A request's body may be absent, a text, bytes, a file, or aiobotocore's asynchronous wrapper around one."""
    if hasattr(body, "read"):
        body = body.read()
    if inspect.isawaitable(body):
        body = await body
    return body.encode() if isinstance(body, str) else bytes(body or b"")
