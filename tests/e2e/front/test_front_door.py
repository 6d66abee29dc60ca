"""The HTTP and WebSocket APIs over real sockets, through the local cloud's gateway and containers."""

import asyncio
import io
import json
import time
from typing import Any

import aiohttp
import jwt
import pytest

from infra.local.specs import Authorizer
from infra.local.tokens import checked, signed
from tests.e2e.front.house import AUTHORIZER, KEY, PATIENCE_S, House, Visitor, open_house


def test_a_job_through_the_front_door_and_what_watchers_hear_of_it() -> None:
    async def scenario() -> None:
        async with open_house() as house, house.visitor() as ann, house.visitor("evil") as eve:
            await _a_job_runs(ann)
            await _watchers_hear(ann, eve)
            await _a_ticket_is_used_once(ann)
            await _the_gone_are_gone(house)
            await _bad_requests_are_told(house, ann)

    asyncio.run(scenario())


async def _a_job_runs(ann: Visitor) -> None:
    job_id = await ann.submit(to=3)
    job = await ann.until(job_id, "SUCCESS", "FAILED")
    assert (job["status"], job["user_id"]) == ("SUCCESS", "operator@acme")
    status, result = await ann.ask("GET", f"/jobs/{job_id}/result")
    assert (status, result["success"]) == (200, True)


async def _watchers_hear(ann: Visitor, eve: Visitor) -> None:
    async with ann.live() as mine, eve.live() as hers:
        for socket in (mine, hers):
            await socket.send_json({"action": "subscribe", "topic": "tenant"})
            assert await _next(socket) == {"subscribed": "tenant"}
        job_id = await ann.submit(to=3)
        heard: list[str] = []
        while "completed" not in heard:
            told = await _next(mine)
            assert {event["job_id"] for event in told["events"]} == {job_id}
            heard += [event["event"] for event in told["events"]]
        await hers.send_json({"action": "ping"})
        assert await _next(hers) == {"pong": True}, "and nothing before it"
        async with ann.live() as late:
            await late.send_json({"action": "subscribe", "topic": f"job:{job_id}"})
            await _next(late)
            (event,) = (await _next(late))["events"]
            assert event["event"] == "completed"


async def _a_ticket_is_used_once(ann: Visitor) -> None:
    _, ticket = await ann.ask("POST", "/tickets")
    async with ann.session.ws_connect(ticket["url"]):
        pass
    for url in (ticket["url"], ticket["url"].split("?")[0]):
        with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
            await ann.session.ws_connect(url)
        assert refused.value.status == 401


async def _the_gone_are_gone(house: House) -> None:
    clients = house.cloud.socket_url.replace("ws", "http", 1)
    async with aiohttp.ClientSession() as session, session.post(f"{clients}/@connections/nobody", data=b"x") as answer:
        assert answer.status == 410


async def _bad_requests_are_told(house: House, ann: Visitor) -> None:
    status, problem = await ann.ask("POST", "/jobs", {"type": "generic"})
    assert (status, problem["problems"]) == (422, [{"field": "operation", "expected": "is required"}])
    assert (await ann.ask("GET", "/nothing"))[0] == 404
    async with ann.session.post("/jobs", data=io.BytesIO(b"x" * 6_100_000)) as answer:
        assert answer.status == 413
    async with ann.session.get("/health", headers={"Authorization": "nonsense"}) as answer:
        assert answer.status == 200
    for token in _bad_tokens(house):
        async with ann.session.get("/types", headers={"Authorization": token}) as answer:
            assert (answer.status, await answer.json()) == (401, {"message": "Unauthorized"}), token


def _bad_tokens(house: House) -> list[str]:
    claims = {"iss": AUTHORIZER.issuer, "aud": "longshore", "tenant_id": "acme", "roles": ["operator"], "sub": "x"}
    soon = int(time.time()) + 60
    unsigned = jwt.encode(claims | {"exp": soon}, "", algorithm="none")
    return [
        "",
        "Bearer",
        "Bearer nonsense",
        f"Basic {house.token()}x",
        f"Bearer {house.token(life_s=-10)}",
        f"Bearer {unsigned}",
        f"Bearer {jwt.encode(claims, KEY)}",  # that never ends
        f"Bearer {jwt.encode(claims | {'exp': soon, 'aud': 'another'}, KEY)}",
        f"Bearer {jwt.encode(claims | {'exp': soon, 'iss': 'https://another'}, KEY)}",
        f"Bearer {jwt.encode(claims | {'exp': soon, 'nbf': soon}, KEY)}",
        f"Bearer {jwt.encode(claims | {'exp': soon}, 'another' * 10)}",
    ]


def test_a_token_of_ours_is_taken_and_its_claims_are_handed_on_as_api_gateway_does() -> None:
    token = signed(KEY, AUTHORIZER, tenant_id="acme", user_id="ann", roles=["viewer", "operator"])
    claims = checked(token, KEY, AUTHORIZER)
    assert claims is not None
    assert (claims["tenant_id"], claims["roles"]) == ("acme", "[viewer operator]")
    assert checked(token, KEY, Authorizer("https://another", ("longshore",))) is None


async def _next(socket: aiohttp.ClientWebSocketResponse) -> Any:
    return json.loads(await socket.receive_str(timeout=PATIENCE_S))
