"""A running local cloud with a small stack, and what its functions said."""

import asyncio
import inspect
import json
import os
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from infra.local.cloud import LocalCloud

STACK = Path(__file__).parent / "stack"


class Said:
    """Every line of JSON that a function wrote, with the function's name under "function"."""

    def __init__(self) -> None:
        self.lines: list[dict[str, Any]] = []

    def take(self, function: str, line: str) -> None:
        if line.startswith("{"):
            self.lines.append({"function": function} | json.loads(line))

    def of(self, field: str) -> list[Any]:
        return [line[field] for line in self.lines if field in line]

    def bodies(self) -> list[list[str]]:
        """What each invocation was asked to do, in order."""
        return [
            [json.loads(record["body"])["do"] for record in event["Records"]]
            for event in self.of("event")
            if event["Records"] and "body" in event["Records"][0]
        ]

    def rows(self) -> list[list[str]]:
        """The keys of each invocation's stream records, in order."""
        return [
            [record["dynamodb"]["Keys"]["pk"]["S"] for record in event["Records"]]
            for event in self.of("event")
            if event["Records"] and "dynamodb" in event["Records"][0]
        ]


@asynccontextmanager
async def running(*, warm: str = "", **options: Any) -> AsyncIterator[tuple[LocalCloud, Said]]:
    """`warm` names a function whose container is started beforehand: on a busy machine a start outlasts visibility."""
    said = Said()
    async with LocalCloud(STACK / "template.yaml", stack="t", output=said.take, **options) as cloud:
        if warm:
            await cloud.invoke(f"t-{warm}", {"Records": []})
        yield cloud, said


async def eventually(check: Callable[[], Any], deadline_s: float = 20) -> Any:
    """The first truthy value of `check` (which may be asynchronous). Fails when the deadline is over."""
    ends_s = time.monotonic() + deadline_s
    while True:
        value = check()
        if inspect.isawaitable(value):
            value = await value
        if value:
            return value
        assert time.monotonic() < ends_s, f"not within {deadline_s} s: {inspect.getsource(check).strip()}"
        await asyncio.sleep(0.02)


async def send(cloud: LocalCloud, queue: str, *asked: dict[str, Any]) -> None:
    sqs = await cloud.clients.get("sqs")
    entries = [{"Id": str(index), "MessageBody": json.dumps(body)} for index, body in enumerate(asked)]
    await sqs.send_message_batch(QueueUrl=await url(cloud, queue), Entries=entries)


async def url(cloud: LocalCloud, queue: str) -> str:
    sqs = await cloud.clients.get("sqs")
    return str((await sqs.get_queue_url(QueueName=f"t-{queue}"))["QueueUrl"])


async def depth(cloud: LocalCloud, queue: str) -> int:
    """How many messages a queue holds, visible or not."""
    sqs = await cloud.clients.get("sqs")
    names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
    answer = await sqs.get_queue_attributes(QueueUrl=await url(cloud, queue), AttributeNames=names)
    return sum(int(value) for value in answer["Attributes"].values())


async def put_rows(cloud: LocalCloud, *keys: str, failing: str = "", fails: int = 0, how: str = "raise") -> None:
    """Writes rows in one call, so that they stand together in the stream; `failing` names the one that fails."""
    rows = [{"pk": {"S": key}, "fails": {"N": str(fails if key == failing else 0)}, "how": {"S": how}} for key in keys]
    dynamodb = await cloud.clients.get("dynamodb")
    await dynamodb.batch_write_item(RequestItems={"t-rows": [{"PutRequest": {"Item": row}} for row in rows]})


async def create_schedule(cloud: LocalCloud, expression: str, *, name: str = "wake-up") -> None:
    scheduler = await cloud.clients.get("scheduler")
    target: dict[str, Any] = {
        "Arn": "arn:aws:sqs:us-east-1:123456789012:t-single",
        "RoleArn": "arn:aws:iam::123456789012:role/any",
        "Input": json.dumps({"do": "wake"}),
    }
    await scheduler.create_schedule(
        GroupName="t",
        Name=name,
        ScheduleExpression=expression,
        FlexibleTimeWindow={"Mode": "OFF"},
        ActionAfterCompletion="DELETE",
        Target=target,
    )


async def has(cloud: LocalCloud, queue: str, count: int) -> bool:
    return await depth(cloud, queue) == count


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True
