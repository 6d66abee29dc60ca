"""EventBridge's clocks: one-off schedules that send a message to a queue, deleted afterwards; functions at a rate.

Schedules are read through the API, so that whoever made them, by whatever client, is served. AWS fires within the
minute that was asked for; here it is within `TICK_S`.

https://docs.aws.amazon.com/scheduler/latest/UserGuide/schedule-types.html
"""

import asyncio
import re
import time
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import structlog
from botocore.exceptions import BotoCoreError, ClientError

from infra.local.containers import Function
from infra.local.events import InvocationFailed
from shared.aws.clients import Clients

TICK_S: Final = 1.0

log = structlog.get_logger("longshore.local")


def due_at(expression: str, timezone: str | None) -> int:
    """`at(yyyy-mm-ddThh:mm:ss)` in a time zone (UTC) → milliseconds since the epoch.

    Raises ValueError for what AWS refuses, and for `rate(…)` and `cron(…)`: only one-off schedules are served locally.
    """
    found = re.fullmatch(r"at\((\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)\)", expression)
    if found is None:
        raise ValueError(f"Invalid Schedule Expression {expression}.")
    try:
        zone = ZoneInfo(timezone or "UTC")
        return int(datetime.fromisoformat(found[1]).replace(tzinfo=zone).timestamp() * 1000)
    except (ValueError, ZoneInfoNotFoundError) as error:
        raise ValueError(f"Invalid Schedule Expression {expression}: {error}.") from error


@dataclass(frozen=True, slots=True)
class _Schedule:
    group: str
    name: str
    due_at: int | None
    """None: not served here."""
    target: dict[str, Any]
    is_deleted_after: bool


class ScheduleClock:
    """`run()` fires what is due in these groups, until it is cancelled."""

    def __init__(self, groups: list[str], clients: Clients) -> None:
        self._groups = groups
        self._clients = clients
        self._known: dict[str, _Schedule] = {}
        self._fired: set[str] = set()

    async def run(self) -> None:
        while self._groups:
            try:
                await self._tick(int(time.time() * 1000))
            except (ClientError, BotoCoreError) as error:
                log.warning("schedules_failed", error=str(error))
            await asyncio.sleep(TICK_S)

    async def _tick(self, now: int) -> None:
        for arn in await self._listed():
            schedule = self._known[arn]
            if schedule.due_at is None or schedule.due_at > now:
                continue
            if arn not in self._fired:
                await self._fire(schedule)
                self._fired.add(arn)
            if schedule.is_deleted_after:
                scheduler = await self._clients.get("scheduler")
                await scheduler.delete_schedule(GroupName=schedule.group, Name=schedule.name)

    async def _listed(self) -> list[str]:
        """The ARNs of all enabled schedules; of new ones it also learns when they are due."""
        scheduler = await self._clients.get("scheduler")
        listed: dict[str, dict[str, Any]] = {}
        for group in self._groups:
            pages = scheduler.get_paginator("list_schedules").paginate(GroupName=group, State="ENABLED")
            async for page in pages:
                listed |= {summary["Arn"]: summary for summary in page["Schedules"]}
        for arn in listed.keys() - self._known.keys():
            answer = await scheduler.get_schedule(GroupName=listed[arn]["GroupName"], Name=listed[arn]["Name"])
            self._known[arn] = _schedule(answer)
        for arn in self._known.keys() - listed.keys():
            del self._known[arn]
            self._fired.discard(arn)
        return [*listed]

    async def _fire(self, schedule: _Schedule) -> None:
        sqs = await self._clients.get("sqs")
        url = (await sqs.get_queue_url(QueueName=schedule.target["Arn"].rsplit(":", 1)[-1]))["QueueUrl"]
        group_id = schedule.target.get("SqsParameters", {})
        await sqs.send_message(QueueUrl=url, MessageBody=schedule.target.get("Input", "{}"), **group_id)
        log.info("schedule_fired", group=schedule.group, name=schedule.name)


async def at_a_rate(every_s: int, function: Function) -> None:
    """Invoke `function` every so often: as a period of the clock begins, on the minute or the hour. A failure is
    logged."""
    while True:
        await asyncio.sleep(every_s - time.time() % every_s)
        try:
            await function.invoke({"source": "aws.events", "detail-type": "Scheduled Event", "detail": {}})
        except InvocationFailed as error:
            log.warning("invocation_failed", function=function.spec.name, kind=error.kind, error=error.message)


def _schedule(answer: dict[str, Any]) -> _Schedule:
    return _Schedule(
        group=answer["GroupName"],
        name=answer["Name"],
        due_at=_due_at_if_served(answer),
        target=answer["Target"],
        is_deleted_after=answer.get("ActionAfterCompletion") == "DELETE",
    )


def _due_at_if_served(answer: dict[str, Any]) -> int | None:
    try:
        if not answer["Target"]["Arn"].startswith("arn:aws:sqs:"):
            raise ValueError("only queues can be the target of a schedule here")
        return due_at(answer["ScheduleExpression"], answer.get("ScheduleExpressionTimezone"))
    except ValueError as error:
        log.warning("schedule_not_served", name=answer["Name"], reason=str(error))
        return None
