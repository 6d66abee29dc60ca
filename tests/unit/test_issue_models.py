"""Amazon Bedrock as a model, and which addresses a connection may lead to."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from ipaddress import ip_address
from typing import Any

import pytest

from shared.errors import LongshoreError, Permanent, Transient, WorldFault
from shared.issues.connection import Known
from shared.issues.http import Request, may_reach, net
from shared.issues.model import BEDROCK_VARIABLE, bedrock
from shared.issues.patch import Unusable
from shared.issues.prompts import Remark
from tests.github import Mind, serving

Says = Callable[[str, Any], Any]


def ask(says: Says, monkeypatch: pytest.MonkeyPatch, name: str = "bedrock://some.model-v1:0") -> tuple[str, list[int]]:
    async def story() -> tuple[str, list[int]]:
        async with serving(Mind(says).answer) as url:
            variables = {"ENDPOINT_URL_BEDROCK_RUNTIME": url, "DEFAULT_REGION": "us-east-1", "MAX_ATTEMPTS": "1"}
            credentials = {"ACCESS_KEY_ID": "key", "SECRET_ACCESS_KEY": "hush"}
            for variable, value in (variables | credentials).items():
                monkeypatch.setenv(f"AWS_{variable}", value)
            async with bedrock(name, known=Known()) as model:
                return (await model.ask("Answer.", {"issue": 1}, Remark)).comment, model.tokens

    return asyncio.run(story())


def test_bedrock_is_asked_as_it_wants_to_be(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Any] = []

    def says(instructions: str, document: Any) -> Any:
        asked.append((instructions, document))
        return {"comment": "Yes."}

    assert ask(says, monkeypatch) == ("Yes.", [11, 3])
    assert asked == [("Answer.", {"issue": 1})]


def test_the_stacks_own_model_is_the_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(BEDROCK_VARIABLE, raising=False)
    with pytest.raises(Permanent, match="no model of its own"):
        ask(lambda *_: {"comment": "Yes."}, monkeypatch, "bedrock://")
    monkeypatch.setenv(BEDROCK_VARIABLE, "some.model-v1:0")
    assert ask(lambda *_: {"comment": "Yes."}, monkeypatch, "bedrock://")[0] == "Yes."


@pytest.mark.parametrize(
    ("status", "code", "kind", "told"),
    [
        (403, "AccessDeniedException", Permanent, "model_denied"),
        (400, "ValidationException", Permanent, "model_refused"),
        (408, "ModelTimeoutException", Transient, "unavailable"),
        (403, "ExpiredTokenException", WorldFault, "ExpiredTokenException"),
    ],
)
def test_what_bedrock_refuses_is_understood(
    status: int, code: str, kind: type[LongshoreError], told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    reply = status, {"message": "no"}, {"x-amzn-ErrorType": code}
    with pytest.raises(kind) as caught:
        ask(lambda *_: reply, monkeypatch)
    assert caught.value.code == told


def test_a_throttled_model_is_given_half_a_minute(monkeypatch: pytest.MonkeyPatch) -> None:
    reply = 429, {"message": "slow"}, {"x-amzn-ErrorType": "ThrottlingException"}
    with pytest.raises(Transient) as caught:
        ask(lambda *_: reply, monkeypatch)
    assert (caught.value.code, caught.value.retry_after_s) == ("rate_limited", 30)


def test_what_is_no_answer_is_no_comment(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(Unusable, match="no JSON object"):
        ask(lambda *_: "I think", monkeypatch)


@pytest.mark.parametrize(
    ("address", "public", "private", "local"),
    [
        ("140.82.121.5", True, True, True),
        ("10.1.2.3", False, True, False),
        ("fd00::1", False, True, False),
        ("127.0.0.1", False, False, True),
        ("169.254.169.254", False, False, False),
        ("fe80::1", False, False, False),
        ("0.1.2.3", False, False, False),
        ("::ffff:169.254.169.254", False, False, False),
        ("::ffff:10.0.0.1", False, False, False),
        ("fd00:ec2::254", False, False, False),
    ],
)
def test_who_may_be_reached(address: str, *, public: bool, private: bool, local: bool) -> None:
    found = ip_address(address)
    assert may_reach(found, is_private=False, is_local=False) is public
    assert may_reach(found, is_private=True, is_local=False) is private
    assert may_reach(found, is_private=False, is_local=True) is local


async def _exchange(speak: Callable[[asyncio.StreamWriter], Awaitable[None]], **limits: Any) -> tuple[str, int]:
    """→ the error's code, and how many bytes were sent before it. `speak` is called again and again."""
    sent, gone = 0, asyncio.Event()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        await reader.readuntil(b"\r\n\r\n")
        with contextlib.suppress(ConnectionError):
            while not writer.is_closing() and sent < 1 << 26:
                await speak(writer)
                await writer.drain()
                sent += 1 << 16
        writer.close()
        gone.set()

    async with await asyncio.start_server(answer, "127.0.0.1") as server:
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
        async with net("github", is_local=True, **limits) as exchange:
            with pytest.raises(LongshoreError) as caught:
                await exchange(Request("GET", url, {}))
        await gone.wait()
    return caught.value.code, sent


def test_an_answer_without_end_is_left_where_it_is_too_much() -> None:
    begun: list[bool] = []

    async def speak(writer: asyncio.StreamWriter) -> None:
        writer.write(b"" if begun else b"HTTP/1.1 200 OK\r\nContent-Length: 10000000000\r\n\r\n")
        begun.append(True)
        writer.write(b"x" * (1 << 16))

    code, sent = asyncio.run(_exchange(speak, timeout_s=30, bytes_max=1 << 20))
    assert code == "answer_too_large"
    assert sent < 1 << 25


def test_headers_without_end_are_left_too() -> None:
    begun: list[bool] = []

    async def speak(writer: asyncio.StreamWriter) -> None:
        writer.write(b"" if begun else b"HTTP/1.1 200 OK\r\n")
        begun.append(True)
        writer.write(b"X-Header: y\r\n" * 5_000)

    code, sent = asyncio.run(_exchange(speak, timeout_s=30))
    assert code == "unreachable"
    assert sent < 1 << 25


def test_a_server_that_drips_is_left_when_its_time_is_over() -> None:
    async def speak(writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 103 Early Hints\r\n\r\n")
        await asyncio.sleep(0)

    assert asyncio.run(_exchange(speak, timeout_s=0.05))[0] == "unreachable"
