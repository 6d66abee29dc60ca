"""Schedules over HTTP."""

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest

from tests.e2e.front.served import Served, claims_of, served

ASKED = {
    "schedule_id": "nightly",
    "name": "nightly",
    "cron": "30 2 * * *",
    "timezone": "Europe/Berlin",
    "payload": {"type": "generic", "operation": "echo"},
}


@pytest.fixture
def house() -> Iterator[Served]:
    with served() as found:
        yield found


def ask(house: Served, method: str, path: str, body: object = None, role: str = "operator") -> tuple[int, Any]:
    reply = house.ask(method, path, body, claims=claims_of(role=role))
    return reply.status, reply.document


def test_a_schedule_is_made_shown_and_asked_for_again_without_a_second(house: Served) -> None:
    status, made = ask(house, "POST", "/schedules", ASKED, role="producer")
    assert (status, made["state"], made["next_at"], made["type"]) == (
        201,
        "active",
        "2026-01-01T01:30:00.000Z",
        "generic",
    )
    assert len(made["next_times"]) == 10
    assert made["next_times"][0] == {"at": "2026-01-01T01:30:00.000Z", "local": "2026-01-01T02:30:00+01:00"}
    assert made["payload"]["metadata"] == {"schedule_id": "nightly"}
    assert ask(house, "POST", "/schedules", ASKED)[0] == 200
    assert ask(house, "POST", "/schedules", ASKED | {"jitter_s": 5})[0] == 409
    _, listed = ask(house, "GET", "/schedules", role="viewer")
    assert [one["schedule_id"] for one in listed["schedules"]] == ["nightly"]
    assert "payload" not in listed["schedules"][0]


def test_it_is_paused_resumed_run_and_deleted(house: Served) -> None:
    ask(house, "POST", "/schedules", ASKED)
    _, paused = ask(house, "POST", "/schedules/nightly/pause")
    assert (paused["state"], paused.get("next_at"), paused["next_times"]) == ("paused", None, [])
    assert ask(house, "POST", "/schedules/nightly/resume")[1]["state"] == "active"
    status, job = ask(house, "POST", "/schedules/nightly/run", role="producer")
    assert status == 202
    assert ask(house, "GET", "/schedules/nightly")[1]["last"]["job_id"] == job["job_id"]
    assert ask(house, "GET", f"/jobs/{job['job_id']}")[1]["metadata"] == {"schedule_id": "nightly"}
    assert ask(house, "DELETE", "/schedules/nightly")[0] == 200
    assert ask(house, "GET", "/schedules/nightly")[0] == 404


@pytest.mark.parametrize(
    ("role", "act", "status"),
    [
        ("viewer", ("POST", "/schedules"), 403),
        ("viewer", ("POST", "/schedules/nightly/run"), 403),
        ("producer", ("POST", "/schedules/nightly/pause"), 403),
        ("producer", ("POST", "/schedules/nightly/resume"), 403),
        ("producer", ("DELETE", "/schedules/nightly"), 403),
        ("viewer", ("GET", "/schedules/nightly"), 404),
    ],
    ids=str,
)
def test_whoever_makes_jobs_may_make_schedules_and_only_an_operator_stops_one(
    house: Served, role: str, act: tuple[str, str], status: int
) -> None:
    assert ask(house, *act, ASKED if act[1] == "/schedules" else None, role=role)[0] == status


@pytest.mark.parametrize("named", [{"tenant_id": "other"}, {"tenantId": "other"}, {"tenant_id": ["acme"]}], ids=str)
def test_no_schedule_submits_for_another_tenant(house: Served, named: dict[str, object]) -> None:
    asked = ASKED | {"payload": {"type": "generic", "operation": "echo", **named}}
    assert ask(house, "POST", "/schedules", asked)[0] == 403


def test_the_next_times_are_told_beforehand_and_what_has_none_is_refused(house: Served) -> None:
    status, shown = ask(house, "POST", "/schedules/preview", {"cron": "@hourly"}, role="viewer")
    assert (status, len(shown["times"])) == (200, 10)
    for body, word in (({"cron": "0 0 31 2 *"}, "day-of-month"), ({"cron": "0 0 */10 2 MON#5"}, "still to come")):
        status, refused = ask(house, "POST", "/schedules/preview", body)
        assert status == 422
        assert word in refused["detail"]


def test_one_moment_that_has_passed_cannot_be_resumed(house: Served) -> None:
    once = {name: value for name, value in ASKED.items() if name != "cron"} | {"at": "2026-01-01T00:10:00Z"}
    assert ask(house, "POST", "/schedules", once)[0] == 201
    ask(house, "POST", "/schedules/nightly/pause")
    house.runner.run(asyncio.sleep(3600))
    status, refused = ask(house, "POST", "/schedules/nightly/resume")
    assert (status, refused["code"]) == (409, "over")
