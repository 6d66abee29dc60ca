"""What stands before the walls: tokens, origins, the sizes of things, and the other door, of watchers."""

import asyncio
import base64
import json
import time
from collections.abc import Sequence
from typing import Any

import aiohttp
import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from yarl import URL

from infra.local.tokens import checked, signed
from shared.runtime.api.messages import caller_of
from shared.runtime.api.routes import ROUTES
from shared.runtime.logs import configure_logs
from shared.runtime.watchers import broadcast, connect, hear
from tests.e2e.front.house import AUTHORIZER, KEY, House, open_house
from tests.e2e.front.served import Served, claims_of, served

MINE, THEIRS = "evil-inc", "walled-garden"
PAGE, STRANGER = "https://app.test", "https://evil.test"

# --- tokens -----------------------------------------------------------------------------------------------------------

CLAIMS = {"iss": AUTHORIZER.issuer, "aud": "longshore", "tenant_id": THEIRS, "roles": ["operator"], "sub": "eve"}


def _claims() -> dict[str, Any]:
    return CLAIMS | {"exp": int(time.time()) + 60}


def _with_header(**header: object) -> str:
    """A token whose header says something else than what it was signed with."""
    _, body, signature = signed(KEY, AUTHORIZER, tenant_id=THEIRS, user_id="eve", roles=["operator"]).split(".")
    head = base64.urlsafe_b64encode(json.dumps({"typ": "JWT", "alg": "HS256"} | header).encode()).decode().rstrip("=")
    return f"{head}.{body}.{signature}"


def test_no_token_is_taken_by_another_algorithm_than_ours() -> None:
    private = rsa.generate_private_key(public_exponent=65_537, key_size=2_048)
    confused = [
        jwt.encode(_claims(), private, "RS256"),
        jwt.encode(_claims(), KEY, "HS512"),
        jwt.encode(_claims(), "", "none"),
        *(_with_header(alg=alg) for alg in ("none", "None", "NONE", "nOnE", "", "RS256", "ES256", None)),
        _with_header(jwk={"kty": "oct", "k": ""}),
        _with_header(kid="../../dev/null"),
    ]
    assert [checked(token, KEY, AUTHORIZER) for token in confused] == [None] * len(confused)
    assert checked(jwt.encode(_claims(), KEY, "HS256"), KEY, AUTHORIZER) is not None


def test_a_token_that_was_touched_is_no_token() -> None:
    token = signed(KEY, AUTHORIZER, tenant_id=THEIRS, user_id="eve", roles=["viewer"])
    head, body, signature = token.split(".")
    claims = json.loads(base64.urlsafe_b64decode(body + "=="))
    raised = base64.urlsafe_b64encode(json.dumps(claims | {"roles": ["admin"]}).encode()).decode().rstrip("=")
    for touched in (f"{head}.{raised}.{signature}", f"{head}.{body}.", f"{head}.{body}", "..", f"{token}.{token}"):
        assert checked(touched, KEY, AUTHORIZER) is None


@pytest.mark.parametrize("tenant_id", ["", "#", "a#b", ["acme"], None, {"id": "acme"}, "a b", "x" * 65], ids=str)
def test_a_tenant_that_cannot_be_one_is_nobody_whoever_signed_it(tenant_id: object) -> None:
    claims = checked(jwt.encode(_claims() | {"tenant_id": tenant_id}, KEY, "HS256"), KEY, AUTHORIZER)
    assert claims is not None
    assert caller_of(claims) is None


# --- bodies, parameters, logs -----------------------------------------------------------------------------------------


def test_a_body_of_a_hundred_thousand_mistakes_gets_a_short_answer() -> None:
    many = {"type": "generic", "operation": "x"} | {f"field_{number}": 1 for number in range(100_000)}
    long = {"type": "generic", "operation": "x", "y" * 1_000_000: 1}
    deep = b'{"type":"generic","operation":"x","parameters":' + b'{"a":' * 190 + b"1" + b"}" * 191
    with served(MINE) as house:
        for body in (many, long):
            reply = house.ask("POST", "/jobs", body, claims=claims_of(MINE))
            assert (reply.status, len(reply.body) < 10_000) == (422, True)
        assert house.ask("POST", "/jobs", deep, claims=claims_of(MINE)).status in (202, 400, 422)


def test_a_parameter_that_is_said_twice_is_not_half_heard() -> None:
    with served(MINE) as house:
        both = house.ask("GET", "/jobs", query="status=FAILED&status=SUCCESS", claims=claims_of(MINE))
        assert {job["status"] for job in both.document["jobs"]} == {"FAILED", "SUCCESS"}
        for query in ("limit=1&limit=100", "type=generic&type=extract", f"tenant_id={THEIRS}", "since=7"):
            assert house.ask("GET", "/jobs", query=query, claims=claims_of(MINE)).status == 422, query


def test_a_key_that_no_header_may_hold_is_refused() -> None:
    with served(MINE) as house:
        body = {"type": "generic", "operation": "x"}
        for key, status in (("k" * 257, 422), ("", 422), ("\udcff", 422), ("k\r\nX-Evil: 1", 202)):
            reply = house.ask("POST", "/jobs", body, claims=claims_of(MINE), headers={"idempotency-key": key})
            assert reply.status == status
            assert "x-evil" not in {name.lower() for name in reply.headers}


def test_whatever_a_request_says_is_one_line_of_the_log(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with served(MINE) as house:
        configure_logs("INFO")
        monkeypatch.setattr(house.world.jobs, "get", None)
        job_id = "job_1"
        capsys.readouterr()
        forged = claims_of(MINE, user_id='eve"}\n{"level":"info","event":"forged"}')
        assert house.ask("GET", f"/jobs/{job_id}", claims=forged).status == 500
        assert house.ask("GET", "/jobs/%0A%7B%22event%22:%22forged%22%7D", claims=forged).status == 404
        written = capsys.readouterr().out.splitlines()
    assert [json.loads(line)["event"] for line in written] == ["api_bug"]


# --- watchers ---------------------------------------------------------------------------------------------------------


def _watching(house: Served, connection_id: str, tenant_id: str) -> list[bytes]:
    """A connection of the tenant → what it receives, from now on."""
    ticket = house.ask("POST", "/tickets", claims=claims_of(tenant_id, "viewer")).document["ticket"]
    received: dict[str, list[bytes]] = house.world.ports.connections.received  # type: ignore[attr-defined]  # in memory
    received[connection_id] = []
    assert house.runner.run(connect(house.world.ports, connection_id, ticket))
    return received[connection_id]


def _say(house: Served, connection_id: str, topic: str) -> None:
    asked = json.dumps({"action": "subscribe", "topic": topic})
    house.runner.run(hear(house.world.ports, connection_id, asked))


def test_who_watches_anothers_job_watches_one_that_nobody_has() -> None:
    with served(THEIRS, MINE) as house:
        job_id = house.ids[THEIRS]["job_id"][0]
        received = _watching(house, "c1", MINE)
        for topic in ("tenant", "type:generic", f"job:{job_id}", "job:job_0"):
            _say(house, "c1", topic)
        heard = [json.loads(frame) for frame in received]
        assert heard == [
            {"subscribed": f"{topic}"} for topic in ("tenant", "type:generic", f"job:{job_id}", "job:job_0")
        ]
        received.clear()
        theirs = _watching(house, "c2", THEIRS)
        _say(house, "c2", "tenant")
        records = [record for record in house.world.jobs.stream if record.new and record.new.tenant_id == THEIRS]
        house.runner.run(broadcast(house.world.ports, records))
        assert (len(received), len(theirs)) == (0, 2)


def test_no_topic_reaches_over_a_wall() -> None:
    with served(THEIRS, MINE) as house:
        received = _watching(house, "c1", MINE)
        before = dict(house.world.ports.side.items)  # type: ignore[attr-defined]  # in memory
        for topic in (
            f"tenant:{THEIRS}",
            f"tenant#{THEIRS}",
            f"watchers#{THEIRS}",
            "job:",
            "job:a#b",
            "type:*",
            "",
            "x" * 10_000,
        ):
            _say(house, "c1", topic)
        assert len({*received}) == 1
        assert b"error" in received[0]
        assert before == house.world.ports.side.items  # type: ignore[attr-defined]  # in memory


@pytest.mark.parametrize(
    "text",
    ["", "null", "[]", "{", "[" * 100_000, '{"action":"delete"}', '{"action":"subscribe","topic":"tenant","since":[1]}',
     '{"action":"subscribe","topic":"tenant","tenant_id":"walled-garden"}', '{"action":"subscribe","topic":"\\ud800"}'],
    ids=lambda text: text[:40],
)  # fmt: skip
def test_whatever_a_watcher_says_it_is_told_how_to_say_it(text: str) -> None:
    with served(MINE) as house:
        received = _watching(house, "c1", MINE)
        house.runner.run(hear(house.world.ports, "c1", text))
        assert [json.loads(frame).keys() for frame in received] == [{"error"}]


def test_a_ticket_opens_one_connection_within_its_minute_and_nothing_else_does() -> None:
    with served(THEIRS) as house:
        ports = house.world.ports
        fresh, late = (house.ask("POST", "/tickets", claims=claims_of(THEIRS)).document["ticket"] for _ in range(2))
        for forged in ("", "x", fresh[:-1], fresh.upper() + "!", "ticket", THEIRS, "#", "x" * 1_000):
            assert not house.runner.run(connect(ports, "c1", forged))
        assert house.runner.run(connect(ports, "c1", fresh))
        assert not house.runner.run(connect(ports, "c2", fresh))
        house.runner.run(asyncio.sleep(61))
        assert not house.runner.run(connect(ports, "c3", late))


# --- origins ----------------------------------------------------------------------------------------------------------


def test_pages_of_allowed_origins_may_call_and_no_others_and_no_path_leads_around_the_door() -> None:
    async def scenario() -> None:
        async with open_house(CorsOrigins=f"{PAGE},https://other.test") as house, aiohttp.ClientSession() as session:
            await _ways_around(session, house)
            for method in sorted({route.method for route in ROUTES}):
                preflight = await _preflight(session, house, PAGE, method)
                assert method in preflight["Access-Control-Allow-Methods"].split(",")
                assert preflight["Access-Control-Allow-Origin"] == PAGE
            assert _of_cors(await _preflight(session, house, STRANGER, "GET")) == []
            for origin, token, status, allowed in (
                (PAGE, house.token(), 200, [PAGE]),
                (STRANGER, house.token(), 200, []),
                (PAGE, "", 401, []),
            ):
                headers = {"Origin": origin, "Authorization": f"Bearer {token}"}
                async with session.get(f"{house.cloud.api_url}/types", headers=headers) as answer:
                    assert answer.status == status
                    assert answer.headers.getall("Access-Control-Allow-Origin", []) == allowed

    asyncio.run(scenario())


AROUND = {
    "/assets/..%2F..%2Fjobs": 404, "/assets/%2e%2e/jobs": 404, "/assets/x/..%2f..%2fjobs": 404, "/assets/": 404,
    "/health/../jobs": 401, "/health%2F..%2Fjobs": 401, "/health;/jobs": 401, "/openapi.json/..": 401, "//health": 401,
    "//jobs": 401, "/jobs/": 401, "/JOBS": 401, "/jobs%2fx": 401, "/%2e%2e/jobs": 401, "/live/../jobs": 401,
}  # fmt: skip
"""Paths as they are on the wire → what nobody in particular is answered."""

WITHIN = ("/jobs/a%2Fb", "/jobs/%00", "/jobs/%ff", "/jobs/%23", "/jobs/%0d%0aX-Evil:1", "/jobs/" + "x" * 7_000)


async def _ways_around(session: aiohttp.ClientSession, house: House) -> None:
    headers = {"Authorization": f"Bearer {house.token()}"}
    asked: list[tuple[str, int, dict[str, str]]] = [(path, status, {}) for path, status in AROUND.items()] + [
        (path, 404, headers) for path in WITHIN
    ]
    for path, status, mine in asked:
        async with session.get(URL(f"{house.cloud.api_url}{path}", encoded=True), headers=mine) as answer:
            assert answer.status == status, path
            assert "X-Evil" not in answer.headers
            assert (await answer.json(content_type=None)).keys() & {"code", "message"}


async def _preflight(session: aiohttp.ClientSession, house: House, origin: str, method: str) -> Any:
    headers = {"Origin": origin, "Access-Control-Request-Method": method}
    async with session.options(f"{house.cloud.api_url}/jobs", headers=headers) as answer:
        assert answer.status == 204
        return answer.headers


def _of_cors(headers: Any) -> Sequence[str]:
    return [name for name in headers if name.lower().startswith("access-control")]
