"""What a team writes that needs no Longshore yet: receive ten, claim, work, finish, delete.

One conditional write before the work and one after it are the least that keeps two deliveries from working twice.
There are no retries, no progress, no leases that can be taken over, no history, no logs. Clients are aiobotocore's,
which have no types.
"""

import asyncio
import json
import secrets
import time
from contextlib import suppress
from typing import Any


async def make_table(dynamodb: Any, table: str) -> None:
    """Once; a second time changes nothing."""
    with suppress(dynamodb.exceptions.ResourceInUseException):
        await dynamodb.create_table(
            TableName=table,
            BillingMode="PAY_PER_REQUEST",
            AttributeDefinitions=[{"AttributeName": "pk", "AttributeType": "S"}],
            KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}],
        )


async def put(dynamodb: Any, table: str, pk: str, payload: str) -> None:
    """A job that waits, as the producer writes it before it sends its message."""
    row = {"pk": {"S": pk}, "status": {"S": "QUEUED"}, "payload": {"S": payload}}
    await dynamodb.put_item(TableName=table, Item=row)


async def work_batch(sqs: Any, dynamodb: Any, *, queue_url: str, table: str, batch: int = 10, wait_s: int = 0) -> int:
    """→ how many jobs were done."""
    messages = await received(sqs, queue_url, batch, wait_s)
    await asyncio.gather(*(work(dynamodb, table, json.loads(message["Body"])) for message in messages))
    await delete(sqs, queue_url, messages)
    return len(messages)


async def work_batch_without_state(sqs: Any, *, queue_url: str, batch: int = 10) -> int:
    """The job is in the message, and nobody can ask what became of it."""
    messages = await received(sqs, queue_url, batch, 0)
    for message in messages:
        json.loads(message["Body"])
    await delete(sqs, queue_url, messages)
    return len(messages)


async def received(sqs: Any, queue_url: str, batch: int, wait_s: int, **more: Any) -> list[dict[str, Any]]:
    answer = await sqs.receive_message(QueueUrl=queue_url, MaxNumberOfMessages=batch, WaitTimeSeconds=wait_s, **more)
    messages: list[dict[str, Any]] = answer.get("Messages", [])
    return messages


async def delete(sqs: Any, queue_url: str, messages: list[dict[str, Any]]) -> None:
    if messages:
        entries = [{"Id": str(index), "ReceiptHandle": m["ReceiptHandle"]} for index, m in enumerate(messages)]
        await sqs.delete_message_batch(QueueUrl=queue_url, Entries=entries)


async def work(dynamodb: Any, table: str, job: dict[str, Any]) -> None:
    key = {"pk": {"S": f"{job['tenant_id']}#{job['job_id']}"}}
    token, now = secrets.token_hex(8), time.time_ns() // 1_000_000
    names = {"#status": "status", "#token": "token"}
    claimed = await dynamodb.update_item(
        TableName=table,
        Key=key,
        ConditionExpression="#status = :queued",
        UpdateExpression="SET #status = :running, #token = :token, lease_until = :until, updated_at = :now",
        ExpressionAttributeNames=names,
        ExpressionAttributeValues={
            ":queued": {"S": "QUEUED"},
            ":running": {"S": "RUNNING"},
            ":token": {"S": token},
            ":until": {"N": str(now + 75_000)},
            ":now": {"N": str(now)},
        },
        ReturnValues="ALL_NEW",
    )
    result = json.loads(claimed["Attributes"]["payload"]["S"])["parameters"]
    await dynamodb.update_item(
        TableName=table,
        Key=key,
        ConditionExpression="#status = :running AND #token = :token",
        UpdateExpression="SET #status = :success, inline_result = :result, completed_at = :now, expires_at = :expires",
        ExpressionAttributeNames=names,
        ExpressionAttributeValues={
            ":running": {"S": "RUNNING"},
            ":token": {"S": token},
            ":success": {"S": "SUCCESS"},
            ":result": {"S": json.dumps(result)},
            ":now": {"N": str(time.time_ns() // 1_000_000)},
            ":expires": {"N": str(now // 1000 + 7_776_000)},
        },
    )
