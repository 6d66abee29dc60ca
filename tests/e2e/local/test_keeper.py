"""What a directory keeps: a cloud that is gone without a word comes back with everything it had answered for."""

import asyncio
import pickle
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from infra.local.cloud import LocalCloud
from shared.errors import InvalidInput
from tests.e2e.local.harness import Said, create_schedule, depth, eventually, put_rows, running, send, url


@asynccontextmanager
async def killed(cloud: LocalCloud) -> AsyncIterator[None]:
    """Whatever happens in here is the last that the directory hears of this cloud."""
    yield
    assert cloud._keeper is not None
    cloud._keeper._file.close()  # type: ignore[union-attr]  # a SIGKILL, as far as the directory can tell
    cloud._keeper._file = None


async def table_of(cloud: LocalCloud) -> list[Any]:
    dynamodb = await cloud.clients.get("dynamodb")
    items: list[Any] = (await dynamodb.scan(TableName="t-rows"))["Items"]
    return sorted(items, key=lambda item: str(item["pk"]))


def test_rows_objects_secrets_schedules_and_messages_come_back(tmp_path: Path) -> None:
    big = bytes(range(256)) * 30_000

    async def first() -> list[Any]:
        async with running(data=tmp_path) as (cloud, _):
            assert not cloud.is_resumed
            s3, secrets = await cloud.clients.get("s3"), await cloud.clients.get("secretsmanager")
            async with killed(cloud):
                await put_rows(cloud, "a", "b")
                dynamodb = await cloud.clients.get("dynamodb")
                change = {"UpdateExpression": "SET n = :n", "ExpressionAttributeValues": {":n": {"N": "2"}}}
                await dynamodb.update_item(TableName="t-rows", Key={"pk": {"S": "a"}}, **change)
                await dynamodb.delete_item(TableName="t-rows", Key={"pk": {"S": "b"}})
                for key in ("kept/ü 1", "gone"):
                    await s3.put_object(
                        Bucket="t-kept", Key=key, Body=b"one", ContentType="text/x", Metadata={"m": "1"}
                    )
                await s3.put_object(Bucket="t-kept", Key="kept/ü 1", Body=b"two", ContentType="text/y")
                await s3.delete_object(Bucket="t-kept", Key="gone")
                upload = (await s3.create_multipart_upload(Bucket="t-kept", Key="big"))["UploadId"]
                named = {"Bucket": "t-kept", "Key": "big", "UploadId": upload}
                parts = [
                    {"PartNumber": n, "ETag": (await s3.upload_part(**named, PartNumber=n, Body=big))["ETag"]}
                    for n in (1, 2)
                ]
                await s3.complete_multipart_upload(**named, MultipartUpload={"Parts": parts})
                await secrets.create_secret(Name="s", SecretString="old")
                await secrets.put_secret_value(SecretId="s", SecretString="new")
                await create_schedule(cloud, "at(2999-01-01T00:00:00)")
            await secrets.put_secret_value(SecretId="s", SecretString="too late")
            return await table_of(cloud)

    async def second(rows: list[Any]) -> None:
        async with running(data=tmp_path) as (cloud, _):
            assert cloud.is_resumed
            assert await table_of(cloud) == rows
            s3, secrets = await cloud.clients.get("s3"), await cloud.clients.get("secretsmanager")
            listed = (await s3.list_objects_v2(Bucket="t-kept"))["Contents"]
            assert [(item["Key"], item["Size"]) for item in listed] == [("big", 2 * len(big)), ("kept/ü 1", 3)]
            small = await s3.get_object(Bucket="t-kept", Key="kept/ü 1")
            assert (await small["Body"].read(), small["ContentType"]) == (b"two", "text/y")
            assert await (await s3.get_object(Bucket="t-kept", Key="big"))["Body"].read() == big * 2
            piece = await s3.get_object(Bucket="t-kept", Key="big", Range=f"bytes={len(big)}-{len(big) + 3}")
            assert await piece["Body"].read() == big[:4]
            assert (await secrets.get_secret_value(SecretId="s"))["SecretString"] == "new"
            scheduler = await cloud.clients.get("scheduler")
            assert len((await scheduler.list_schedules(GroupName="t"))["Schedules"]) == 1
            assert len([*(tmp_path / "objects").iterdir()]) == 2

    rows = asyncio.run(first())
    for _ in range(2):  # once after a death, once after a good end
        asyncio.run(second(rows))


def test_an_object_is_kept_whichever_way_its_bucket_is_named(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with running(data=tmp_path) as (cloud, _), aiohttp.ClientSession() as session:
            host = f"t-kept.localhost:{cloud.endpoint_url.rsplit(':', 1)[1]}"
            async with (
                killed(cloud),
                session.put(f"{cloud.endpoint_url}/a/b", data=b"x", headers={"Host": host}) as put,
            ):
                assert put.status == 200
        async with running(data=tmp_path) as (cloud, _):
            s3 = await cloud.clients.get("s3")
            assert await (await s3.get_object(Bucket="t-kept", Key="a/b"))["Body"].read() == b"x"

    asyncio.run(scenario())


def test_messages_come_back_under_their_own_ids_and_what_was_deleted_does_not(tmp_path: Path) -> None:
    async def first() -> dict[str, str]:
        async with LocalCloud(_queues_alone(tmp_path), stack="t", data=tmp_path / "data") as cloud:
            sqs, queue = await cloud.clients.get("sqs"), await url(cloud, "q")
            async with killed(cloud):
                await send(cloud, "q", *({"n": number} for number in range(4)))
                await sqs.send_message(QueueUrl=queue, MessageBody="later", DelaySeconds=900)
                first, second, *_ = (await sqs.receive_message(QueueUrl=queue, MaxNumberOfMessages=4))["Messages"]
                await sqs.delete_message(QueueUrl=queue, ReceiptHandle=first["ReceiptHandle"])
                entry = {"Id": "1", "ReceiptHandle": second["ReceiptHandle"]}
                await sqs.delete_message_batch(QueueUrl=queue, Entries=[entry])
                return {first["MessageId"]: "gone", second["MessageId"]: "gone"}

    async def second(gone: dict[str, str]) -> None:
        async with LocalCloud(_queues_alone(tmp_path), stack="t", data=tmp_path / "data") as cloud:
            sqs, queue = await cloud.clients.get("sqs"), await url(cloud, "q")
            found = (await sqs.receive_message(QueueUrl=queue, MaxNumberOfMessages=10))["Messages"]
            assert len(found) == 2
            assert not {message["MessageId"] for message in found} & gone.keys()
            names = ["ApproximateNumberOfMessagesDelayed"]
            answer = await sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=names)
            assert answer["Attributes"] == {names[0]: "1"}

    asyncio.run(second(asyncio.run(first())))


def test_a_function_on_a_stream_goes_on_after_the_last_record_it_was_done_with(tmp_path: Path) -> None:
    def keys(said: Said) -> list[str]:
        return [key for batch in said.rows() for key in batch]

    async def first() -> list[str]:
        async with running(data=tmp_path) as (cloud, said):
            await put_rows(cloud, "done 1", "done 2")
            await eventually(lambda: len(keys(said)) == 2)
            stream = await cloud.clients.get("dynamodbstreams")
            assert stream is not None
            await eventually(lambda: any(at != "0" for at in cloud._keeper._kept.positions.values()))  # type: ignore[union-attr]
            async with killed(cloud):
                await put_rows(cloud, "not done", failing="not done", fails=1_000)
            await eventually(lambda: "not done" in keys(said))
            return [record["dynamodb"]["SequenceNumber"] for record in said.of("event")[-1]["Records"]]

    async def second(numbers: list[str]) -> None:
        for _ in range(2):
            async with running(data=tmp_path) as (_, said):
                await eventually(lambda: keys(said))
                assert keys(said)[0] == "not done"
                assert "done 1" not in keys(said)
                (record,) = said.of("event")[0]["Records"]
                assert [record["dynamodb"]["SequenceNumber"]] == numbers

    asyncio.run(second(asyncio.run(first())))


def test_a_frame_that_a_crash_cut_off_is_left_out(tmp_path: Path) -> None:
    async def scenario() -> None:
        path, data = _queues_alone(tmp_path), tmp_path / "data"
        async with LocalCloud(path, stack="t", data=data) as cloud, killed(cloud):
            await send(cloud, "q", {"n": "whole"})
            await send(cloud, "q", {"n": "cut"})
        (data / "state").write_bytes((data / "state").read_bytes()[:-10])
        async with LocalCloud(path, stack="t", data=data) as cloud:
            assert await depth(cloud, "q") == 1

    asyncio.run(scenario())


def test_a_directory_that_is_used_or_not_ours_is_refused(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with LocalCloud(_queues_alone(tmp_path), data=tmp_path / "data"):
            with pytest.raises(InvalidInput, match="another local cloud uses"):
                await LocalCloud(_queues_alone(tmp_path), data=tmp_path / "data").start()
        state = tmp_path / "data" / "state"
        snapshot = pickle.loads(state.read_bytes())  # noqa: S301  # written a moment ago
        snapshot.moto = "1.0"
        state.write_bytes(pickle.dumps(snapshot))
        with pytest.raises(InvalidInput, match=r"moto 1\.0 wrote this"):
            await LocalCloud(_queues_alone(tmp_path), data=tmp_path / "data").start()
        with pytest.raises(InvalidInput, match="keeps its own state"):
            await LocalCloud(_queues_alone(tmp_path), data=tmp_path / "data", endpoint="http://127.0.0.1:1").start()

    asyncio.run(scenario())


def test_the_directory_is_for_its_owner_alone(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with LocalCloud(_queues_alone(tmp_path), data=tmp_path / "data"):
            assert (tmp_path / "data").stat().st_mode & 0o777 == 0o700

    asyncio.run(scenario())


def _queues_alone(directory: Path) -> Path:
    path = directory / "template.yaml"
    path.write_text("Resources: {Q: {Type: AWS::SQS::Queue, Properties: {QueueName: t-q}}}")
    return path
