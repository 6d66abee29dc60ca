"""Tenants are walls: every route there is, tried with whatever is another tenant's, and nothing found.

The table of routes is walked, so that a new route is attacked without anybody's remembering; a new kind of id must be
given to `Served.settle`, or the walk fails.
"""

import base64
import json
import re
from typing import Any, Final
from urllib.parse import quote, urlencode

import pytest

from shared.runtime.api.app import SAFE, Route
from shared.runtime.api.messages import Role
from shared.runtime.api.routes import ROUTES
from tests.e2e.front.served import Reply, Served, claims_of, served

MINE, THEIRS = "evil-inc", "walled-garden"
"""The tenant that attacks, and the one that is attacked."""

GUARDED: Final = [route for route in ROUTES if route.role is not None]
OF_A_TENANT: Final = [route for route in GUARDED if route.role is not Role.ADMIN]
"""An admin looks after the whole stack, and sees what is nobody's or everybody's."""

WITH_IDS: Final = [route for route in OF_A_TENANT if "{" in route.path]

HOSTILE: Final = (
    "#", "a#b", f"{THEIRS}#job_1", "..", "../x", "a/b", "a%2Fb", "a%00b", "\0", "%", "a b", "\r\nX-Evil: 1", "ü", "𝕏",
    "\u202e", "'", '"', "{job_id}", "a?b", "*", "x" * 65, "x" * 10_000, "[]", "null", "-1",
)  # fmt: skip


def test_what_is_anothers_is_what_nobody_has() -> None:
    """The same status, headers, body and number of reads."""
    with served(THEIRS, MINE) as house:
        for route in WITH_IDS:
            name = _parameter(route)
            for real in house.ids[THEIRS][name]:
                unreal = real[:-1] + ("0" if real[-1] != "0" else "1")
                theirs, reads = _asked(house, route, real)
                nobodys, as_many = _asked(house, route, unreal)
                assert theirs.status == 404, route
                assert _told(theirs, real) == _told(nobodys, unreal), route
                assert reads == as_many, route


def test_whatever_is_tried_changes_nothing_of_anothers() -> None:
    with served(THEIRS, MINE) as house:
        before = _belongings(house, THEIRS)
        for route in OF_A_TENANT:
            for real in house.ids[THEIRS].get(_parameter(route), [""]):
                _asked(house, route, real)
        everything = {"filter": {"status": ["FAILED", "SUCCESS", "QUEUED"]}}
        for path in ("/bulk/cancel", "/bulk/redrive"):
            assert house.ask("POST", path, everything, claims=claims_of(MINE)).status == 200
        assert _belongings(house, THEIRS) == before
        assert _belongings(house, MINE)


def test_no_answer_names_another_tenant_and_no_link_leaves_ones_own_folder() -> None:
    with served(THEIRS, MINE) as house:
        links = 0
        for route in OF_A_TENANT:
            for mine in house.ids[MINE].get(_parameter(route), [""]):
                reply, _ = _asked(house, route, mine)
                text = f"{dict(reply.headers)} {reply.body.decode()}"
                assert THEIRS not in text, route
                for job_id in house.ids[THEIRS]["job_id"]:
                    assert job_id not in text, route
                for folder in re.findall(r'"memory://memory/([^?"]*)', text):
                    assert folder.startswith(f"artifacts/{MINE}/"), route
                    links += 1
        assert links >= 2, "an artefact's and an upload's"


@pytest.mark.parametrize("route", WITH_IDS, ids=lambda route: f"{route.method} {route.path}")
def test_a_hostile_id_is_one_that_nobody_has(route: Route) -> None:
    with served(THEIRS, MINE) as house:
        before = _belongings(house, THEIRS)
        for hostile in HOSTILE:
            reply, _ = _asked(house, route, hostile)
            assert reply.status in (404, 405), (hostile[:20], reply)
            assert len(reply.body) < 1_000, hostile[:20]
            assert THEIRS not in reply.body.decode().replace(hostile, ""), hostile[:20]
            assert not any("\n" in value or "\r" in value for value in reply.headers.values())
        assert _belongings(house, THEIRS) == before


def test_a_cursor_of_another_tenants_list_is_no_cursor() -> None:
    with served(THEIRS, MINE) as house:
        first = house.ask("GET", "/jobs", query="limit=1", claims=claims_of(THEIRS)).document["cursor"]
        assert house.ask("GET", "/jobs", query=f"cursor={first}", claims=claims_of(THEIRS)).status == 200
        places = json.loads(base64.urlsafe_b64decode(first))
        moved = {partition: [at, key.replace(THEIRS, MINE)] for partition, (at, key) in places.items()}
        for route in (route for route in OF_A_TENANT if "cursor" in _said(route)):
            (mine, *_) = house.ids[MINE].get(_parameter(route), [""])
            theirs, nonsense = (_asked(house, route, mine, cursor=cursor)[0] for cursor in (first, "nonsense"))
            assert (theirs.status, _told(theirs, first)) == (422, _told(nonsense, "nonsense")), route
            forged, _ = _asked(house, route, mine, cursor=_cursor(moved))
            assert THEIRS not in forged.body.decode(), route


@pytest.mark.parametrize(
    "named",
    [
        {"tenant_id": THEIRS},
        {"tenantId": THEIRS},
        {"tenant_id": MINE, "tenantId": THEIRS},
        {"tenant_id": f"{MINE}#x"},
        {"tenant_id": [THEIRS]},
        {"tenant_id": None},
        {"tenant_id": ""},
        {"TENANT_ID": THEIRS},
        {"job_id": f"{THEIRS}#job_1"},
        {"jobId": "../x"},
    ],
    ids=json.dumps,
)
def test_no_payload_speaks_for_another_tenant(named: dict[str, object]) -> None:
    with served(THEIRS, MINE) as house:
        before = house.world.jobs.rows.copy()
        reply = house.ask("POST", "/jobs", {"type": "generic", "operation": "x", **named}, claims=claims_of(MINE))
        assert reply.status in (403, 422)
        assert house.world.jobs.rows == before


def test_the_last_of_two_equal_names_in_a_body_is_the_one_that_is_checked_and_read() -> None:
    with served(THEIRS, MINE) as house:
        for tenants, status in (((MINE, THEIRS), 403), ((THEIRS, MINE), 202)):
            named = ",".join(f'"tenant_id":"{tenant_id}"' for tenant_id in tenants)
            body = f'{{"type":"generic","operation":"x",{named}}}'.encode()
            assert house.ask("POST", "/jobs", body, claims=claims_of(MINE)).status == status
        assert len(_belongings(house, THEIRS)) == 3 + 2


def test_ids_and_keys_that_another_tenant_has_used_are_free() -> None:
    with served(THEIRS, MINE) as house:
        body = {"type": "generic", "operation": "x"}
        for tenant_id in (THEIRS, MINE):
            other = {**body, "operation": tenant_id}
            reply = house.ask("POST", "/jobs", other, claims=claims_of(tenant_id), headers={"idempotency-key": "k"})
            assert reply.status == 202
        taken = house.ids[THEIRS]["job_id"][0]
        assert house.ask("POST", "/jobs", {**body, "job_id": taken}, claims=claims_of(MINE)).status == 202
        theirs = house.ask("GET", f"/jobs/{taken}", claims=claims_of(THEIRS)).document
        assert (theirs["status"], theirs["tenant_id"]) == ("SUCCESS", THEIRS)


@pytest.mark.parametrize(
    "claims",
    [
        {},
        {"tenant_id": ""},
        {"tenant_id": "#"},
        {"tenant_id": f"{THEIRS}#"},
        {"tenant_id": f" {THEIRS}"},
        {"tenant_id": f"{THEIRS}\n"},
        {"tenant_id": f"[{THEIRS}]"},
        {"tenant_id": [THEIRS]},
        {"tenant_id": {"id": THEIRS}},
        {"tenant_id": None},
        {"tenant_id": "null"},
        {"tenant_id": True},
        {"tenant_id": 7},
        {"tenant_id": "ＡＣＭＥ"},
        {"tenant_id": "x" * 65},
        {"tenantId": THEIRS},
    ],
    ids=str,
)
def test_a_token_without_a_tenant_of_ours_opens_nothing(claims: dict[str, object]) -> None:
    with served(THEIRS) as house:
        house.calls.clear()
        for route in GUARDED:
            reply, _ = _asked(house, route, "job_1", claims={"roles": "[admin]", "sub": "eve", **claims})
            assert (reply.status, reply.document["code"]) == (401, "unauthorized"), route
        assert house.calls == []


ROLES: Final = (
    None, "", "[]", "Operator", "operators", "not-operator", "operator/read", "no:operator", "(admin)", "role.admin",
    "ＯＰＥＲＡＴＯＲ", "root", ["admin operator"], {"admin": True},
)  # fmt: skip


@pytest.mark.parametrize("roles", ROLES, ids=str)
def test_a_role_that_only_looks_like_one_of_ours_opens_nothing(roles: object) -> None:
    with served(THEIRS) as house:
        house.calls.clear()
        for route in GUARDED:
            claims = {"tenant_id": THEIRS, "sub": "eve"} | ({} if roles is None else {"roles": roles})
            reply, _ = _asked(house, route, "job_1", claims=claims)
            assert (reply.status, reply.document["code"]) == (403, "forbidden"), route
        assert house.calls == []


def test_every_answer_carries_the_headers_that_keep_it_safe() -> None:
    with served(MINE) as house:
        for route in ROUTES:
            for claims in (None, claims_of(MINE, "viewer"), claims_of(MINE, "admin")):
                for thing in ("job_1", *house.ids[MINE].get(_parameter(route), [""])):
                    reply, _ = _asked(house, route, thing, claims=claims)
                    assert SAFE.keys() <= reply.headers.keys(), route
        for asked in ("GET /nothing", "PATCH /jobs", "TRACE /", "POST //", "GET /jobs/"):
            reply = house.ask(*asked.split(), claims=claims_of(MINE))
            assert reply.status in (404, 405)
            assert SAFE.keys() <= reply.headers.keys()


# --- asking -----------------------------------------------------------------------------------------------------------


def _asked(
    house: Served, route: Route, thing: str = "", *, claims: Any = ..., cursor: str = ""
) -> tuple[Reply, list[str]]:
    """A request to `route` that is in order but for `thing`, its id → the answer, and what it asked of the ports."""
    path = re.sub(r"\{\w+\}", quote(thing, safe=""), route.path)
    body = _body(route, cursor)
    query = urlencode({"cursor": cursor}) if cursor and body is None else ""
    house.calls.clear()
    claims = claims_of(MINE) if claims is ... else claims
    return house.ask(route.method, path, body, claims=claims, query=query), [*house.calls]


def _body(route: Route, cursor: str) -> object:
    """Enough for each kind of body; a new kind must be told here."""
    if route.body is None:
        return None
    name = route.body if isinstance(route.body, str) else route.body.__name__
    return {
        "AnyPayload": {"type": "generic", "operation": "x"},
        "Bulk": {"filter": {"type": "generic"}, **({"cursor": cursor} if cursor else {})},
        "UploadAsk": {"name": "x", "size_bytes": 1},
        "BulkRedrive": {"filter": {"type": "generic"}, **({"cursor": cursor} if cursor else {})},
        "WebhookAsk": {"url": f"https://{MINE}.test/other"},
        "ScheduleTerms": {"name": "x", "cron": "@daily", "payload": {"type": "generic", "operation": "x"}},
        "When": {"cron": "@daily"},
        "PauseAsk": {"type": "webhook"},
    }[name]


def _parameter(route: Route) -> str:
    found = re.findall(r"\{(\w+)\}", route.path)
    return found[0] if found else ""


def _said(route: Route) -> set[str]:
    models = [model for model in (route.query, route.body) if isinstance(model, type)]
    return {name for model in models for name in model.model_fields}


def _told(reply: Reply, thing: str) -> tuple[int, dict[str, str], bytes]:
    return reply.status, dict(reply.headers), reply.body.replace(thing.encode(), b"?")


def _cursor(places: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(places).encode()).decode()


def _belongings(house: Served, tenant_id: str) -> dict[object, object]:
    """All that is the tenant's, but for its bucket of requests."""
    world = house.world
    rows: dict[object, object] = {key: row for key, row in world.jobs.rows.items() if row.tenant_id == tenant_id}
    side = {key: body for key, body in world.ports.side.items.items() if tenant_id in key[0]}  # type: ignore[attr-defined]  # in memory
    return rows | side
