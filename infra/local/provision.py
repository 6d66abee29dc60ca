"""Makes a template's queues, tables, bucket and schedule group through the AWS API, on any endpoint, once or often.

Rules of this file:
1. Every type of resource is in one of two tables: `MAKERS` makes it, `NOT_LOCAL` says why there is nothing to make.
   A type in neither is refused, so that nobody believes something exists that does not.
2. The same for properties: applied, or listed as meaning nothing here, or refused.
3. What exists already is left, and brought to the template's settings where the API allows it.
"""

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

from botocore.exceptions import ClientError

from infra.local.intrinsics import refused
from infra.local.template import Resource, Template
from shared.aws.clients import Clients

NOT_LOCAL: Final[Mapping[str, str]] = {
    "AWS::CloudWatch::Alarm": "nobody is on call for a laptop",
    "AWS::Events::Rule": "SES tells of no mail here",
    "AWS::IAM::ManagedPolicy": "rights are not checked here",
    "AWS::IAM::Policy": "rights are not checked here",
    "AWS::IAM::Role": "rights are not checked here",
    "AWS::Lambda::EventSourceMapping": "is polled by the local cloud, which feeds its function",
    "AWS::Logs::LogGroup": "functions log to the local cloud's own log",
    "AWS::S3::BucketPolicy": "rights are not checked here",
    "AWS::SES::ConfigurationSet": "mails go nowhere from a laptop",
    "AWS::SES::ConfigurationSetEventDestination": "SES tells of no mail here",
    "AWS::SNS::Topic": "nobody is on call for a laptop",
    "AWS::SQS::QueuePolicy": "rights are not checked here",
    "AWS::Serverless::HttpApi": "is served by the local cloud's gateway, not at the endpoint",
    "AWS::Serverless::WebSocketApi": "is served by the local cloud's gateway, not at the endpoint",
    "AWS::Serverless::Function": "runs in containers of the local cloud, not at the endpoint",
}

QUEUE_ATTRIBUTES: Final = {
    "DelaySeconds",
    "FifoQueue",
    "ContentBasedDeduplication",
    "MaximumMessageSize",
    "MessageRetentionPeriod",
    "ReceiveMessageWaitTimeSeconds",
    "RedrivePolicy",
    "SqsManagedSseEnabled",
    "VisibilityTimeout",
}
TABLE_SETTINGS: Final = {"AttributeDefinitions", "BillingMode", "GlobalSecondaryIndexes", "KeySchema"}

MEANINGLESS_HERE: Final[Mapping[str, set[str]]] = {
    "AWS::DynamoDB::Table": {
        "DeletionProtectionEnabled",
        "PointInTimeRecoverySpecification",
        "SSESpecification",
        "Tags",
    },
    "AWS::S3::Bucket": {
        "BucketEncryption",
        "LifecycleConfiguration",
        "OwnershipControls",
        "PublicAccessBlockConfiguration",
        "Tags",
    },
    "AWS::SQS::Queue": {"Tags"},
    "AWS::Scheduler::ScheduleGroup": {"Tags"},
}


async def provision(template: Template, clients: Clients) -> None:
    """Makes everything the template asks for; a second run changes nothing. Raises InvalidInput for unknown types."""
    for resource in template.resources.values():
        if resource.type not in MAKERS and resource.type not in NOT_LOCAL:
            raise refused(f"Resources.{resource.logical_id}.Type", f"{resource.type} cannot be made locally")
    made = [resource for resource in template.resources.values() if resource.type in MAKERS]
    await asyncio.gather(*(MAKERS[resource.type](resource, clients) for resource in made))
    # A redrive policy names another queue, which must exist by then.
    await asyncio.gather(*(_set_queue(queue, clients) for queue in template.of_type("AWS::SQS::Queue")))


async def _make_queue(queue: Resource, clients: Clients) -> None:
    _check(queue, "QueueName", *QUEUE_ATTRIBUTES)
    sqs = await clients.get("sqs")
    fixed = {"FifoQueue": "true"} if queue.properties.get("FifoQueue") else {}
    await sqs.create_queue(QueueName=queue.name, Attributes=fixed)


async def _set_queue(queue: Resource, clients: Clients) -> None:
    sqs = await clients.get("sqs")
    url = (await sqs.get_queue_url(QueueName=queue.name))["QueueUrl"]
    settings = {name: _as_attribute(value) for name, value in queue.properties.items() if name in QUEUE_ATTRIBUTES}
    settings.pop("FifoQueue", None)
    if settings:
        await sqs.set_queue_attributes(QueueUrl=url, Attributes=settings)


def _as_attribute(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


async def _make_table(table: Resource, clients: Clients) -> None:
    _check(table, "TableName", "StreamSpecification", "TimeToLiveSpecification", *TABLE_SETTINGS)
    dynamodb = await clients.get("dynamodb")
    settings = {name: value for name, value in table.properties.items() if name in TABLE_SETTINGS}
    if stream := table.properties.get("StreamSpecification"):
        settings["StreamSpecification"] = {"StreamEnabled": True, "StreamViewType": stream["StreamViewType"]}
    await _unless("ResourceInUseException", dynamodb.create_table(TableName=table.name, **settings))
    while (await dynamodb.describe_table(TableName=table.name))["Table"]["TableStatus"] != "ACTIVE":  # noqa: ASYNC110  # AWS sends no event
        await asyncio.sleep(0.2)
    if expiry := table.properties.get("TimeToLiveSpecification"):
        now = (await dynamodb.describe_time_to_live(TableName=table.name))["TimeToLiveDescription"]
        if now["TimeToLiveStatus"] == "DISABLED":
            await dynamodb.update_time_to_live(TableName=table.name, TimeToLiveSpecification=expiry)


async def _make_bucket(bucket: Resource, clients: Clients) -> None:
    _check(bucket, "BucketName")
    s3 = await clients.get("s3")
    region = s3.meta.region_name
    # us-east-1 is the one region that may not be named: https://docs.aws.amazon.com/AmazonS3/latest/API/API_CreateBucket.html
    where = {} if region == "us-east-1" else {"CreateBucketConfiguration": {"LocationConstraint": region}}
    await _unless("BucketAlreadyOwnedByYou", s3.create_bucket(Bucket=bucket.name, **where))


async def _make_schedule_group(group: Resource, clients: Clients) -> None:
    _check(group, "Name")
    scheduler = await clients.get("scheduler")
    # Asked first, since not every endpoint refuses a second group of the same name, and its schedules would be lost.
    if await _unless("ResourceNotFoundException", scheduler.get_schedule_group(Name=group.name)) is None:
        await scheduler.create_schedule_group(Name=group.name)


MAKERS: Final[Mapping[str, Callable[[Resource, Clients], Awaitable[None]]]] = {
    "AWS::DynamoDB::Table": _make_table,
    "AWS::S3::Bucket": _make_bucket,
    "AWS::SQS::Queue": _make_queue,
    "AWS::Scheduler::ScheduleGroup": _make_schedule_group,
}


def _check(resource: Resource, *applied: str) -> None:
    unknown = resource.properties.keys() - {*applied} - MEANINGLESS_HERE[resource.type]
    if unknown:
        path = f"Resources.{resource.logical_id}.Properties.{min(unknown)}"
        raise refused(path, "this property cannot be applied locally")


async def _unless(code: str, call: Awaitable[Any]) -> Any:
    """The call's answer, or None if AWS refuses it with this error code."""
    try:
        return await call
    except ClientError as error:
        if error.response["Error"]["Code"] != code:
            raise
        return None
