"""The table's stream of the embedded endpoint: one record for one write, as on AWS."""

import asyncio
from typing import Any

from infra.local.endpoint import Endpoint
from shared.aws.clients import Clients


def test_an_update_that_creates_its_item_leaves_one_record() -> None:
    async def scenario() -> list[dict[str, Any]]:
        endpoint = Endpoint()
        url = await endpoint.start()
        aws = Clients(
            endpoint_url=url, region="us-east-1", http_session_cls=endpoint.session, credentials=("local", "local")
        )
        try:
            arn = await _make_table(aws)
            for key in ("one", "two", "one"):
                await aws.call(
                    "dynamodb",
                    "update_item",
                    TableName="rows",
                    Key={"pk": {"S": key}},
                    UpdateExpression="ADD n :one",
                    ExpressionAttributeValues={":one": {"N": "1"}},
                )
            return await _records(aws, arn)
        finally:
            await aws.close()
            await endpoint.close()

    records = asyncio.run(scenario())
    assert [(r["eventName"], r["dynamodb"]["NewImage"]) for r in records] == [
        ("INSERT", {"pk": {"S": "one"}, "n": {"N": "1"}}),
        ("INSERT", {"pk": {"S": "two"}, "n": {"N": "1"}}),
        ("MODIFY", {"pk": {"S": "one"}, "n": {"N": "2"}}),
    ]
    numbers = [int(record["dynamodb"]["SequenceNumber"]) for record in records]
    assert numbers == sorted({*numbers})


async def _make_table(aws: Clients) -> str:
    made = await aws.call(
        "dynamodb",
        "create_table",
        TableName="rows",
        BillingMode="PAY_PER_REQUEST",
        AttributeDefinitions=[{"AttributeName": "pk", "AttributeType": "S"}],
        KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}],
        StreamSpecification={"StreamEnabled": True, "StreamViewType": "NEW_AND_OLD_IMAGES"},
    )
    return str(made["TableDescription"]["LatestStreamArn"])


async def _records(aws: Clients, arn: str) -> list[dict[str, Any]]:
    described = await aws.call("dynamodbstreams", "describe_stream", StreamArn=arn)
    shard = described["StreamDescription"]["Shards"][0]["ShardId"]
    began = await aws.call(
        "dynamodbstreams", "get_shard_iterator", StreamArn=arn, ShardId=shard, ShardIteratorType="TRIM_HORIZON"
    )
    answer = await aws.call("dynamodbstreams", "get_records", ShardIterator=began["ShardIterator"])
    records: list[dict[str, Any]] = answer["Records"]
    return records
