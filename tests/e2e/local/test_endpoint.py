"""The embedded endpoint: AWS's answers, to many callers at once, over HTTP and in process."""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest
from botocore.exceptions import ClientError
from moto.dynamodbstreams.models import dynamodbstreams_backends
from moto.sqs.models import sqs_backends

from infra.local.endpoint import ACCOUNT, Endpoint
from infra.local.mended_moto import ITERATORS_MAX, Attributes, mend, whole_attributes
from shared.aws.clients import Clients
from shared.errors import InvalidInput
from tests.e2e.local.harness import eventually

PART_BYTES = 8 << 20


@asynccontextmanager
async def clients(*, over_http: bool = True) -> AsyncIterator[Clients]:
    endpoint = Endpoint()
    url = await endpoint.start()
    session = None if over_http else endpoint.session
    made = Clients(endpoint_url=url, region="us-east-1", http_session_cls=session, credentials=("local", "local"))
    try:
        yield made
    finally:
        await made.close()
        await endpoint.close()


both_ways = pytest.mark.parametrize("over_http", [True, False], ids=["http", "in process"])


@both_ways
def test_concurrent_conditional_writes_have_exactly_one_winner(over_http: bool) -> None:
    async def scenario() -> None:
        async with clients(over_http=over_http) as aws:
            dynamodb = await aws.get("dynamodb")
            await _make_table(dynamodb)

            def claim(number: int) -> Any:
                return dynamodb.put_item(
                    TableName="rows",
                    Item={"pk": {"S": "one"}, "owner": {"N": str(number)}},
                    ConditionExpression="attribute_not_exists(pk)",
                )

            answers = await asyncio.gather(*(claim(number) for number in range(40)), return_exceptions=True)
            won = [number for number, answer in enumerate(answers) if isinstance(answer, dict)]
            lost = [answer.response["Error"]["Code"] for answer in answers if isinstance(answer, ClientError)]
            assert lost == ["ConditionalCheckFailedException"] * 39
            row = (await dynamodb.get_item(TableName="rows", Key={"pk": {"S": "one"}}))["Item"]
            assert [row["owner"]["N"]] == [str(number) for number in won]

    asyncio.run(scenario())


@both_ways
def test_a_refused_write_shows_the_row_that_refused_it(over_http: bool) -> None:
    async def scenario() -> None:
        async with clients(over_http=over_http) as aws:
            dynamodb = await aws.get("dynamodb")
            await _make_table(dynamodb)
            await dynamodb.put_item(TableName="rows", Item={"pk": {"S": "one"}, "token": {"S": "mine"}})
            with pytest.raises(ClientError) as refused:
                await dynamodb.put_item(
                    TableName="rows",
                    Item={"pk": {"S": "one"}},
                    ConditionExpression="attribute_not_exists(pk)",
                    ReturnValuesOnConditionCheckFailure="ALL_OLD",
                )
            assert refused.value.response["Item"]["token"] == {"S": "mine"}

    asyncio.run(scenario())


@both_ways
def test_a_long_poll_keeps_no_one_waiting_and_ends_when_a_message_comes(over_http: bool) -> None:
    async def scenario() -> None:
        async with clients(over_http=over_http) as aws:
            sqs = await aws.get("sqs")
            queue = (await sqs.create_queue(QueueName="q"))["QueueUrl"]
            polls = [asyncio.create_task(sqs.receive_message(QueueUrl=queue, WaitTimeSeconds=20)) for _ in range(3)]
            dynamodb = await aws.get("dynamodb")
            await _make_table(dynamodb)
            for number in range(10):
                await dynamodb.put_item(TableName="rows", Item={"pk": {"S": str(number)}})
            assert not any(poll.done() for poll in polls)
            await sqs.send_message(QueueUrl=queue, MessageBody="for one of them")
            await eventually(lambda: any(poll.done() for poll in polls))
            await sqs.send_message(QueueUrl=queue, MessageBody="for another")
            await eventually(lambda: sum(poll.done() for poll in polls) == 2)
            received = [poll.result()["Messages"][0]["Body"] for poll in polls if poll.done()]
            assert sorted(received) == ["for another", "for one of them"]
            for poll in polls:
                poll.cancel()

    asyncio.run(scenario())


def test_a_long_poll_sees_a_delayed_and_a_hidden_message_when_their_time_comes() -> None:
    async def scenario() -> None:
        async with clients() as aws:
            sqs = await aws.get("sqs")
            queue = (await sqs.create_queue(QueueName="q", Attributes={"VisibilityTimeout": "1"}))["QueueUrl"]
            await sqs.send_message(QueueUrl=queue, MessageBody="later", DelaySeconds=1)
            assert "Messages" not in await sqs.receive_message(QueueUrl=queue)
            for count in ("1", "2"):
                answer = await sqs.receive_message(
                    QueueUrl=queue, WaitTimeSeconds=20, MessageSystemAttributeNames=["ApproximateReceiveCount"]
                )
                assert answer["Messages"][0]["Attributes"]["ApproximateReceiveCount"] == count

    asyncio.run(scenario())


def test_a_queues_own_wait_applies_and_an_empty_long_poll_ends_by_itself() -> None:
    async def scenario() -> None:
        async with clients() as aws:
            sqs = await aws.get("sqs")
            waits = {"ReceiveMessageWaitTimeSeconds": "1"}
            queue = (await sqs.create_queue(QueueName="q", Attributes=waits))["QueueUrl"]
            poll = asyncio.create_task(sqs.receive_message(QueueUrl=queue))
            await sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["All"])
            assert not poll.done()
            assert "Messages" not in await poll
            with pytest.raises(ClientError, match="WaitTimeSeconds"):
                await sqs.receive_message(QueueUrl=queue, WaitTimeSeconds=21)

    asyncio.run(scenario())


@both_ways
def test_a_large_object_is_uploaded_in_parts_and_read_in_ranges(over_http: bool) -> None:
    async def scenario() -> None:
        async with clients(over_http=over_http) as aws:
            s3 = await aws.get("s3")
            await s3.create_bucket(Bucket="bucket")
            body = os.urandom(2 * PART_BYTES + 12345)
            key = "a/deep key/with ünicode+&%.bin"
            await _upload(s3, key, body)
            assert (await s3.head_object(Bucket="bucket", Key=key))["ContentLength"] == len(body)
            at = PART_BYTES - 10
            part = await s3.get_object(Bucket="bucket", Key=key, Range=f"bytes={at}-{at + 19}")
            assert part["ContentRange"] == f"bytes {at}-{at + 19}/{len(body)}"
            assert await part["Body"].read() == body[at : at + 20]
            assert await (await s3.get_object(Bucket="bucket", Key=key))["Body"].read() == body
            # What was copied outlives what it was copied from.
            await s3.copy_object(Bucket="bucket", Key="copy", CopySource={"Bucket": "bucket", "Key": key})
            await s3.delete_object(Bucket="bucket", Key=key)
            assert await (await s3.get_object(Bucket="bucket", Key="copy"))["Body"].read() == body
            await _upload(s3, "copy", body[:100])
            assert await (await s3.get_object(Bucket="bucket", Key="copy"))["Body"].read() == body[:100]

    asyncio.run(scenario())


def test_an_upload_is_completed_only_with_the_parts_that_were_sent() -> None:
    async def scenario() -> None:
        async with clients() as aws:
            s3 = await aws.get("s3")
            await s3.create_bucket(Bucket="bucket")
            upload = {"Bucket": "bucket", "Key": "k"}
            upload["UploadId"] = (await s3.create_multipart_upload(**upload))["UploadId"]
            small = await s3.upload_part(**upload, PartNumber=1, Body=b"small")
            last = await s3.upload_part(**upload, PartNumber=2, Body=b"last")
            parts = [{"PartNumber": 1, "ETag": small["ETag"]}, {"PartNumber": 2, "ETag": last["ETag"]}]
            with pytest.raises(ClientError, match="EntityTooSmall"):
                await s3.complete_multipart_upload(**upload, MultipartUpload={"Parts": parts})
            wrong = [{"PartNumber": 1, "ETag": '"0"'}]
            with pytest.raises(ClientError, match="InvalidPart"):
                await s3.complete_multipart_upload(**upload, MultipartUpload={"Parts": wrong})
            await s3.abort_multipart_upload(**upload)
            assert "Contents" not in await s3.list_objects_v2(Bucket="bucket")

    asyncio.run(scenario())


def test_a_presigned_url_works_for_anyone_and_an_existing_key_can_be_protected() -> None:
    async def scenario() -> None:
        async with clients() as aws, aiohttp.ClientSession() as anyone:
            s3 = await aws.get("s3")
            await s3.create_bucket(Bucket="bucket")
            await s3.put_object(Bucket="bucket", Key="k", Body=b"hello")
            with pytest.raises(ClientError, match="PreconditionFailed"):
                await s3.put_object(Bucket="bucket", Key="k", Body=b"other", IfNoneMatch="*")
            url = await s3.generate_presigned_url("get_object", Params={"Bucket": "bucket", "Key": "k"}, ExpiresIn=60)
            async with anyone.get(url) as response:
                assert (response.status, await response.read()) == (200, b"hello")

    asyncio.run(scenario())


def test_secrets_and_identity_are_served() -> None:
    async def scenario() -> None:
        async with clients() as aws:
            secrets = await aws.get("secretsmanager")
            await secrets.create_secret(Name="longshore/db", SecretString="s3cret")
            assert (await secrets.get_secret_value(SecretId="longshore/db"))["SecretString"] == "s3cret"
            assert (await (await aws.get("sts")).get_caller_identity())["Account"] == ACCOUNT

    asyncio.run(scenario())


def test_a_protocol_whose_polls_would_stop_everyone_is_refused() -> None:
    async def scenario() -> None:
        async with clients() as aws, aiohttp.ClientSession() as old:
            await (await aws.get("sqs")).create_queue(QueueName="q")
            form = {"Action": "ReceiveMessage", "WaitTimeSeconds": "20", "QueueUrl": "q"}
            signed = {"Authorization": "AWS4-HMAC-SHA256 Credential=local/20260101/us-east-1/sqs/aws4_request"}
            url = (await aws.get("sqs")).meta.endpoint_url
            async with old.post(url, data=form, headers=signed) as response:
                assert (response.status, "speak JSON" in await response.text()) == (400, True)

    asyncio.run(scenario())


def test_what_is_not_served_says_so() -> None:
    async def scenario() -> None:
        async with clients() as aws:
            with pytest.raises(ClientError, match=r"lambda GET .* is not served locally"):
                await (await aws.get("lambda")).list_functions()

    asyncio.run(scenario())


def test_nothing_is_left_when_the_endpoint_closes() -> None:
    async def scenario() -> None:
        async with clients() as aws:
            await (await aws.get("sqs")).create_queue(QueueName="q")
            await (await aws.get("s3")).create_bucket(Bucket="bucket")
        async with clients() as aws:
            assert "QueueUrls" not in await (await aws.get("sqs")).list_queues()
            assert (await (await aws.get("s3")).list_buckets())["Buckets"] == []

    asyncio.run(scenario())


def test_a_taken_port_and_a_second_endpoint_are_refused_in_words() -> None:
    async def scenario() -> None:
        async with clients():
            with pytest.raises(InvalidInput, match="endpoint_taken"):
                await Endpoint().start()
        taken = await asyncio.start_server(lambda *_: None, "127.0.0.1", 0)
        port = taken.sockets[0].getsockname()[1]
        with pytest.raises(InvalidInput, match=f"port_taken.*{port}") as refused:
            await Endpoint().start(port=port)
        assert refused.value.field == "port"
        taken.close()

    asyncio.run(scenario())


@pytest.mark.parametrize("settings", [{}, {"FifoQueue": "true"}, {"KmsMasterKeyId": "k"}], ids=str)
def test_mended_queue_attributes_are_the_same_as_motos(settings: dict[str, str]) -> None:
    async def scenario() -> None:
        async with clients() as aws:
            sqs = await aws.get("sqs")
            suffix = ".fifo" if "FifoQueue" in settings else ""
            await sqs.create_queue(QueueName=f"dead{suffix}", Attributes=settings)
            dead = sqs_backends[ACCOUNT]["us-east-1"].queues[f"dead{suffix}"]
            redrive = f'{{"deadLetterTargetArn": "{dead.queue_arn}", "maxReceiveCount": 3}}'
            await sqs.create_queue(QueueName=f"q{suffix}", Attributes=settings | {"RedrivePolicy": redrive})
            for queue in sqs_backends[ACCOUNT]["us-east-1"].queues.values():
                assert dict(Attributes(queue)) == whole_attributes.fget(queue)

    asyncio.run(scenario())


def test_sending_does_not_look_at_the_messages_that_wait() -> None:
    class Untouchable(list[Any]):
        def __iter__(self) -> Any:
            raise AssertionError("looked at every message")

    async def scenario() -> None:
        async with clients() as aws:
            assert mend(), "another version of moto: look at infra/local/mended_moto.py again"
            sqs = await aws.get("sqs")
            url = (await sqs.create_queue(QueueName="q"))["QueueUrl"]
            queue = sqs_backends[ACCOUNT]["us-east-1"].queues["q"]
            queue._messages = Untouchable()
            await sqs.send_message(QueueUrl=url, MessageBody="one")
            queue._messages = [*queue._messages[:]]
            assert (await sqs.receive_message(QueueUrl=url))["Messages"][0]["Body"] == "one"

    asyncio.run(scenario())


def test_a_dead_letter_says_which_queue_gave_it_up() -> None:
    async def scenario() -> None:
        async with clients() as aws:
            sqs = await aws.get("sqs")
            dead = (await sqs.create_queue(QueueName="dead"))["QueueUrl"]
            arn = sqs_backends[ACCOUNT]["us-east-1"].queues["dead"].queue_arn
            settings = {"RedrivePolicy": f'{{"deadLetterTargetArn": "{arn}", "maxReceiveCount": 1}}'}
            url = (await sqs.create_queue(QueueName="q", Attributes=settings | {"VisibilityTimeout": "0"}))["QueueUrl"]
            sent = await sqs.send_message(QueueUrl=url, MessageBody="poison")
            for _ in range(2):
                await sqs.receive_message(QueueUrl=url, MessageSystemAttributeNames=["All"])
            answer = await sqs.receive_message(QueueUrl=dead, MessageSystemAttributeNames=["All"])
            (letter,) = answer["Messages"]
            assert letter["MessageId"] == sent["MessageId"]
            assert letter["Attributes"]["DeadLetterQueueSourceArn"] == arn.replace(":dead", ":q")
            await sqs.send_message(QueueUrl=dead, MessageBody="sent here")
            (other,) = (await sqs.receive_message(QueueUrl=dead, MessageSystemAttributeNames=["All"]))["Messages"]
            assert "DeadLetterQueueSourceArn" not in other["Attributes"]

    asyncio.run(scenario())


def test_old_stream_iterators_are_forgotten() -> None:
    async def scenario() -> None:
        async with clients() as aws:
            dynamodb = await aws.get("dynamodb")
            await _make_table(dynamodb, StreamSpecification={"StreamEnabled": True, "StreamViewType": "KEYS_ONLY"})
            arn = (await dynamodb.describe_table(TableName="rows"))["Table"]["LatestStreamArn"]
            streams = dynamodbstreams_backends[ACCOUNT]["us-east-1"]
            shard = streams.describe_stream(arn)["Shards"][0]["ShardId"]
            page = {"NextShardIterator": streams.get_shard_iterator(arn, shard, "TRIM_HORIZON").arn}
            for _ in range(ITERATORS_MAX + 10):
                page = streams.get_records(page["NextShardIterator"], 10)
            assert len(streams.shard_iterators) <= ITERATORS_MAX + 1

    asyncio.run(scenario())


async def _make_table(dynamodb: Any, **settings: Any) -> None:
    await dynamodb.create_table(
        TableName="rows",
        BillingMode="PAY_PER_REQUEST",
        AttributeDefinitions=[{"AttributeName": "pk", "AttributeType": "S"}],
        KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}],
        **settings,
    )


async def _upload(s3: Any, key: str, body: bytes) -> None:
    upload = {"Bucket": "bucket", "Key": key}
    upload["UploadId"] = (await s3.create_multipart_upload(**upload))["UploadId"]
    parts = []
    for number, start in enumerate(range(0, len(body), PART_BYTES), 1):
        sent = await s3.upload_part(**upload, PartNumber=number, Body=body[start : start + PART_BYTES])
        parts.append({"PartNumber": number, "ETag": sent["ETag"]})
    await s3.complete_multipart_upload(**upload, MultipartUpload={"Parts": parts})
