"""Where a stream's event source mapping puts records it gives up: a queue gets their numbers, a bucket the records too.

https://docs.aws.amazon.com/lambda/latest/dg/services-dynamodb-errors.html
"""

import json
import uuid
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from infra.local.events import Event
from shared.aws.clients import Clients


@dataclass(frozen=True, slots=True)
class GivenUp:
    """A batch that no one will try again. `condition` is Lambda's word for why."""

    function: str
    stream_arn: str
    shard_id: str
    condition: str
    invocations: int
    records: list[Event]


async def send_given_up(given_up: GivenUp, destination_arn: str, clients: Clients, *, now_s: float) -> None:
    """Sends the batch's invocation record to the destination. Without one the records are gone, as in Lambda."""
    _, _, service, _, _, name = destination_arn.split(":") if destination_arn else [""] * 6
    record = _invocation_record(given_up, now_s)
    if service == "sqs":
        sqs = await clients.get("sqs")
        url = (await sqs.get_queue_url(QueueName=name))["QueueUrl"]
        await sqs.send_message(QueueUrl=url, MessageBody=json.dumps(record))
    elif service == "s3":
        s3 = await clients.get("s3")
        body = record | {"payload": json.dumps({"Records": given_up.records})}
        at = datetime.fromtimestamp(now_s, UTC)
        key = f"aws/lambda/local/{given_up.shard_id}/{at:%Y/%m/%d}/{at:%Y-%m-%dT%H.%M.%S}-{uuid.uuid4()}"
        await s3.put_object(Bucket=name, Key=key, Body=json.dumps(body).encode())


def _invocation_record(given_up: GivenUp, now_s: float) -> dict[str, Any]:
    first, last = given_up.records[0]["dynamodb"], given_up.records[-1]["dynamodb"]
    return {
        "requestContext": {
            "requestId": str(uuid.uuid4()),
            "functionArn": given_up.function,
            "condition": given_up.condition,
            "approximateInvokeCount": given_up.invocations,
        },
        "responseContext": {"statusCode": 200, "executedVersion": "$LATEST", "functionError": "Unhandled"},
        "version": "1.0",
        "timestamp": _iso(now_s),
        "DDBStreamBatchInfo": {
            "shardId": given_up.shard_id,
            "startSequenceNumber": first["SequenceNumber"],
            "endSequenceNumber": last["SequenceNumber"],
            "approximateArrivalOfFirstRecord": _iso(first["ApproximateCreationDateTime"]),
            "approximateArrivalOfLastRecord": _iso(last["ApproximateCreationDateTime"]),
            "batchSize": len(given_up.records),
            "streamArn": given_up.stream_arn,
        },
    }


def _iso(at_s: float) -> str:
    return datetime.fromtimestamp(at_s, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
