"""EventBridge Scheduler: one-off schedules that send a wake-up and delete themselves.

A schedule fires within the minute that begins at its time, in whole seconds, which here are UTC and rounded up: never
too early. MessageGroupId is left out: Scheduler gives one to FIFO queues alone. Whatever it refuses is the stack's
fault and never the wake-up's, which is then not given up: a role that it may not assume yet, a group that is missing.
https://docs.aws.amazon.com/scheduler/latest/UserGuide/schedule-types.html
"""

from datetime import UTC, datetime

from shared.aws.clients import Clients
from shared.aws.faults import AwsRefusal
from shared.errors import WorldFault
from shared.limits import check_outgoing
from shared.names import Names
from shared.ports import Outgoing


class AwsSchedules:
    def __init__(self, clients: Clients, names: Names) -> None:
        self._clients = clients
        self._names = names

    async def wake_at(self, name: str, at: int, message: Outgoing) -> None:
        check_outgoing(message)
        region = (await self._clients.get("scheduler")).meta.region_name
        try:
            await self._clients.call(
                "scheduler",
                "create_schedule",
                Name=name,
                GroupName=self._names.schedule_group,
                ScheduleExpression=at_expression(at),
                FlexibleTimeWindow={"Mode": "OFF"},
                ActionAfterCompletion="DELETE",
                Target={
                    "Arn": self._names.queue_arn(message.job_type, region, message.lane),
                    "RoleArn": self._names.schedule_role_arn,
                    "Input": message.body,
                },
            )
        except AwsRefusal as refusal:
            if refusal.code != "ConflictException":  # else it has been made before
                raise WorldFault(refusal.code, refusal.message) from refusal


def at_expression(at: int) -> str:
    """Milliseconds since the epoch → `at(2026-01-31T12:00:00)`, the same second or the next."""
    return f"at({datetime.fromtimestamp(-(-at // 1000), UTC):%Y-%m-%dT%H:%M:%S})"
