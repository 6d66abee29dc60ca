"""Schedules fire once, at the queue they name, and are gone."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest
from botocore.exceptions import ClientError

from tests.e2e.local.harness import create_schedule, eventually, has, running


def test_a_schedule_sends_its_message_when_it_is_due_and_deletes_itself() -> None:
    async def scenario() -> None:
        async with running() as (cloud, said):
            due = datetime.now(UTC) + timedelta(seconds=2)
            await create_schedule(cloud, f"at({due:%Y-%m-%dT%H:%M:%S})")
            await create_schedule(cloud, "at(2999-01-01T00:00:00)", name="far-away")
            assert await has(cloud, "single", 0)
            await eventually(said.bodies)
            assert said.bodies() == [["wake"]]
            sent_ms = int(said.of("event")[0]["Records"][0]["attributes"]["SentTimestamp"])
            assert sent_ms >= int(due.timestamp()) * 1000

            async def names() -> bool:
                scheduler = await cloud.clients.get("scheduler")
                answer = await scheduler.list_schedules(GroupName="t")
                return [schedule["Name"] for schedule in answer["Schedules"]] == ["far-away"]

            await eventually(names)

    asyncio.run(scenario())


@pytest.mark.parametrize(
    "expression",
    [
        "at(2999-13-01T00:00:00)",
        "at(2999-01-01 00:00:00)",
        "at(2999-01-01T00:00:00Z)",
        "at(2020-01-01T00:00:00)",
        "now",
    ],
)
def test_an_expression_that_aws_refuses_is_refused_when_the_schedule_is_made(expression: str) -> None:
    async def scenario() -> None:
        async with running() as (cloud, _):
            with pytest.raises(ClientError, match="Invalid Schedule Expression") as caught:
                await create_schedule(cloud, expression)
            assert caught.value.response["Error"]["Code"] == "ValidationException"

    asyncio.run(scenario())


def test_the_name_of_a_waiting_schedule_conflicts() -> None:
    async def scenario() -> None:
        async with running() as (cloud, _):
            await create_schedule(cloud, "at(2999-01-01T00:00:00)")
            with pytest.raises(ClientError, match="ConflictException"):
                await create_schedule(cloud, "at(2999-01-01T00:00:00)")

    asyncio.run(scenario())
