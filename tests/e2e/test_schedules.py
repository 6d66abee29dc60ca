"""Schedules on the local cloud: by the program, and by the function that the clock invokes."""

import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.e2e.cli import Longshore, up
from tests.e2e.front.house import PATIENCE_S, open_house


@pytest.fixture(scope="module")
def longshore(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Longshore]:
    directory: Path = tmp_path_factory.mktemp("schedules")
    with up(directory) as found:
        yield found


ADD: tuple[str, ...] = (
    "schedule",
    "add",
    "poll",
    "generic",
    "operation=echo",
    "parameters.n:=3",
    "--cron",
    "30 2 * * *",
)
ADD += ("--timezone", "Europe/Berlin", "--id", "poll", "--overlap", "skip", "--late", "600")


def test_a_schedule_is_added_shown_stopped_run_and_removed_by_the_program(longshore: Longshore) -> None:
    added = longshore(*ADD)
    assert (added.code, longshore(*ADD).code) == (0, 0), added.err
    assert "02:30:00+0" in added.out
    assert longshore("schedule", "add", "x", "generic", "operation=x", "--cron", "@daily", "--id", "poll").code == 2
    listed = longshore("schedule", "list")
    assert [word in listed.out for word in ("poll", "30 2 * * *", "Europe/Berlin", "active")] == [True] * 4
    assert longshore("schedule", "pause", "poll", "--json").document["state"] == "paused"
    assert longshore.over_http("schedule", "resume", "poll", "--json").document["state"] == "active"
    job_id = longshore("schedule", "run", "poll").out.strip()
    assert longshore("watch", job_id).code == 0
    shown = longshore.over_http("schedule", "show", "poll", "--json").document
    assert shown["last"]["job_id"] == job_id
    assert (shown["overlap"], shown["late_s"], shown["missed"]) == ("skip", 600, "once")
    assert shown["payload"]["parameters"] == {"n": 3}
    assert longshore("schedule", "remove", "poll").code == 0
    assert longshore("schedule", "show", "poll").code == 3
    assert longshore("schedule", "list").out == ""


def test_the_next_times_are_shown_beforehand_and_nonsense_is_explained(longshore: Longshore) -> None:
    shown = longshore("schedule", "preview", "0 12 * * MON", "--timezone", "Asia/Kathmandu")
    assert [line.split()[0][10:] for line in shown.out.splitlines()] == ["T12:00:00+05:45"] * 10
    refused = longshore("schedule", "preview", "0 0 31 2 *")
    assert refused.code == 2
    assert "day-of-month" in refused.err
    assert longshore("schedule", "show", "../jobs").code == 3


def test_what_is_due_is_submitted_by_the_function_and_runs() -> None:
    async def scenario() -> None:
        async with open_house() as house, house.visitor() as ann:
            assert (await ann.ask("GET", "/schedules"))[1] == {"schedules": []}  # and the function has started
            at = (datetime.now(UTC) + timedelta(seconds=4)).isoformat(timespec="milliseconds")
            asked = {"name": "soon", "at": at, "payload": {"type": "generic", "operation": "echo"}}
            status, made = await ann.ask("POST", "/schedules", asked)
            assert (status, made["state"]) == (201, "active")
            async with asyncio.timeout(PATIENCE_S):
                while not (await house.cloud.invoke("longshore-schedule", {}))["fired"]:
                    assert (await ann.ask("GET", "/jobs"))[1]["jobs"] == []
            _, found = await ann.ask("GET", f"/schedules/{made['schedule_id']}")
            assert found["state"] == "done"
            job = await ann.until(found["last"]["job_id"], "SUCCESS")
            assert job["metadata"] == {"schedule_id": made["schedule_id"]}
            assert (await house.cloud.invoke("longshore-schedule", {}))["fired"] == 0

    asyncio.run(scenario())
