"""What goes into a function and how its answer is read: the shapes and rules of Lambda's event source mappings, pure.

SQS: https://docs.aws.amazon.com/lambda/latest/dg/with-sqs.html, services-sqs-errorhandling.html
DynamoDB: https://docs.aws.amazon.com/lambda/latest/dg/with-ddb.html, services-ddb-batchfailurereporting.html
"""

import base64
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

Event = dict[str, Any]
"""A JSON object as a function receives it."""


class InvocationFailed(Exception):
    """The function raised, died, ran out of time, or answered what Lambda cannot read: its whole batch has failed."""

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(f"{kind}: {message}")
        self.kind = kind
        self.message = message


def failed_items(answer: Any, identifiers: Sequence[str]) -> set[str]:
    """Which items of a batch an answer with `batchItemFailures` names. Nothing, null or an empty list: none of them.

    Raises InvocationFailed where Lambda takes the whole batch for failed: no object, or an item without a known id.
    """
    items = answer.get("batchItemFailures") if isinstance(answer, dict) else answer
    if items is None:
        return set()
    named = [_identifier(item) for item in items] if isinstance(items, list) else [None]
    if not all(name in identifiers for name in named):
        raise InvocationFailed("InvalidAnswer", f"batchItemFailures must list ids of this batch: {answer!r:.200}")
    return {str(name) for name in named}


def _identifier(item: Any) -> Any:
    return item.get("itemIdentifier") if isinstance(item, dict) else None


def queue_record(message: dict[str, Any], queue_arn: str) -> Event:
    """A received SQS message → a record of the event."""
    record: Event = {
        "messageId": message["MessageId"],
        "receiptHandle": message["ReceiptHandle"],
        "body": message["Body"],
        "attributes": message.get("Attributes", {}),
        "messageAttributes": {
            name: _message_attribute(value) for name, value in message.get("MessageAttributes", {}).items()
        },
        "md5OfBody": message["MD5OfBody"],
        "eventSource": "aws:sqs",
        "eventSourceARN": queue_arn,
        "awsRegion": queue_arn.split(":")[3],
    }
    if "MD5OfMessageAttributes" in message:
        record["md5OfMessageAttributes"] = message["MD5OfMessageAttributes"]
    return record


def _message_attribute(value: dict[str, Any]) -> Event:
    attribute: Event = {"stringListValues": [], "binaryListValues": [], "dataType": value["DataType"]}
    if "StringValue" in value:
        attribute["stringValue"] = value["StringValue"]
    if "BinaryValue" in value:
        attribute["binaryValue"] = _base64(value["BinaryValue"])
    return attribute


def stream_record(record: dict[str, Any], stream_arn: str) -> Event:
    """A record as botocore reads it from a shard → a record of the event."""
    event: Event = {key: _as_json(value) for key, value in record.items() if key != "userIdentity"}
    if identity := record.get("userIdentity"):
        event["userIdentity"] = {"principalId": identity["PrincipalId"], "type": identity["Type"]}
    event["awsRegion"] = stream_arn.split(":")[3]
    event["eventSourceARN"] = stream_arn
    return event


def window_fields(starts_s: int, ends_s: int, state: Any, *, is_final: bool) -> Event:
    """What an event has beside its records when its source has tumbling windows.

    https://docs.aws.amazon.com/lambda/latest/dg/services-ddb-windows.html
    """
    start, end = (datetime.fromtimestamp(at_s, UTC).strftime("%Y-%m-%dT%H:%M:%SZ") for at_s in (starts_s, ends_s))
    return {
        "window": {"start": start, "end": end},
        "state": state,
        "isFinalInvokeForWindow": is_final,
        "isWindowTerminatedEarly": False,
    }


def state_of(answer: Any) -> Any:
    """The state that an answer carries on. Raises InvocationFailed, as Lambda does, if it carries none."""
    if not isinstance(answer, dict) or not isinstance(answer.get("state"), dict):
        raise InvocationFailed("InvalidAnswer", f"with tumbling windows an answer has a state: {answer!r:.200}")
    return answer["state"]


def _as_json(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _as_json(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_as_json(item) for item in value]
    if isinstance(value, bytes):
        return _base64(value)
    return int(value.timestamp()) if isinstance(value, datetime) else value


def _base64(value: bytes) -> str:
    return base64.b64encode(value).decode()
