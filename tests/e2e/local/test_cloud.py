"""The local cloud as a whole: what it is given, what it leaves behind, what it refuses."""

import asyncio
import signal
import sys
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from infra.local.cloud import LocalCloud, resolve_endpoint
from infra.local.endpoint import Endpoint
from infra.local.events import InvocationFailed
from infra.local.provision import provision
from shared.errors import InvalidInput
from tests.e2e.local.harness import STACK, create_schedule, eventually, has, is_alive, running, send

CLOUD_OF_ITS_OWN = f"""
import asyncio, pathlib
from infra.local.cloud import LocalCloud
from tests.e2e.local.harness import send

async def main():
    path = pathlib.Path({str(STACK / "template.yaml")!r})
    async with LocalCloud(path, stack="t", output=lambda function, line: print(line, flush=True)) as cloud:
        await send(cloud, "batch", {{"do": "sleep", "s": 60}})
        await cloud.serve()

asyncio.run(main())
"""


def test_no_function_survives_the_death_of_the_cloud() -> None:
    async def scenario() -> None:
        cloud = await asyncio.create_subprocess_exec(
            sys.executable, "-c", CLOUD_OF_ITS_OWN, stdout=asyncio.subprocess.PIPE
        )
        assert cloud.stdout is not None
        lines = ""
        while '"began"' not in lines:
            line = await asyncio.wait_for(cloud.stdout.readline(), 30)
            assert line, "the cloud ended before its function began"
            lines = line.decode()
        function = int(lines.rsplit('"pid": ', 1)[1].rstrip("}\n"))
        assert is_alive(function)
        cloud.send_signal(signal.SIGKILL)
        await cloud.communicate()
        await eventually(lambda: not is_alive(function))

    asyncio.run(scenario())


def test_functions_reach_the_endpoint_and_their_changes_reach_other_functions() -> None:
    async def scenario() -> None:
        async with running() as (cloud, said):
            await send(cloud, "patient", {"do": "write", "key": "from a function"})
            await eventually(lambda: any("from a function" in batch for batch in said.rows()))

    asyncio.run(scenario())


def test_the_same_stack_runs_against_another_endpoint() -> None:
    async def scenario() -> None:
        elsewhere = Endpoint()
        url = await elsewhere.start()
        try:
            async with running(endpoint=url) as (cloud, said):
                assert cloud.endpoint_url == url
                await send(cloud, "patient", {"do": "write", "key": "there"})
                await eventually(lambda: any("there" in batch for batch in said.rows()))
                await eventually(lambda: has(cloud, "patient", 0))
        finally:
            await elsewhere.close()

    asyncio.run(scenario())


def test_making_the_stack_again_changes_nothing() -> None:
    async def scenario() -> None:
        async with running() as (cloud, _):
            await send(cloud, "batch", {"do": "sleep", "s": 1})
            dynamodb = await cloud.clients.get("dynamodb")
            await dynamodb.put_item(TableName="t-rows", Item={"pk": {"S": "kept"}})
            await create_schedule(cloud, "at(2999-01-01T00:00:00)")
            before = await _described(cloud)
            await provision(cloud.template, cloud.clients)
            assert await _described(cloud) == before
            assert (await dynamodb.get_item(TableName="t-rows", Key={"pk": {"S": "kept"}}))["Item"]
            scheduler = await cloud.clients.get("scheduler")
            assert len((await scheduler.list_schedules(GroupName="t"))["Schedules"]) == 1

    asyncio.run(scenario())


def test_the_stack_is_made_as_the_template_says() -> None:
    async def scenario() -> None:
        async with running() as (cloud, _):
            queue, table, expiry = await _described(cloud)
            assert queue["VisibilityTimeout"] == "2"
            assert '"maxReceiveCount": 2' in queue["RedrivePolicy"]
            assert table["GlobalSecondaryIndexes"][0]["IndexName"] == "by_group"
            assert table["StreamSpecification"] == {"StreamEnabled": True, "StreamViewType": "NEW_AND_OLD_IMAGES"}
            assert expiry == {"AttributeName": "expires_at", "TimeToLiveStatus": "ENABLED"}

    asyncio.run(scenario())


def test_a_function_can_be_invoked_directly_and_says_how_it_failed() -> None:
    async def scenario() -> None:
        async with running() as (cloud, _):
            event = {"Records": [{"messageId": "m", "body": '{"do": "raise"}'}]}
            with pytest.raises(InvocationFailed, match="ValueError: as asked"):
                await cloud.invoke("t-batch", event)
            assert await cloud.invoke("t-batch", {"Records": []}) == {"batchItemFailures": []}

    asyncio.run(scenario())


def test_a_handler_that_cannot_be_imported_fails_its_invocation(tmp_path: Path) -> None:
    async def scenario() -> None:
        path = _template(tmp_path, handler="nowhere.handler")
        async with LocalCloud(path) as cloud:
            with pytest.raises(InvocationFailed, match="No module named 'nowhere'"):
                await cloud.invoke("longshore-Work", {})

    asyncio.run(scenario())


def test_what_fails_in_the_background_is_raised(tmp_path: Path) -> None:
    async def scenario() -> None:
        path = _template(tmp_path, queue_arn="arn:aws:sqs:us-east-1:123456789012:missing")
        cloud = LocalCloud(path)
        await cloud.start()
        with pytest.raises(ClientError, match=r"NonExistentQueue|QueueDoesNotExist"):
            await cloud.serve()
        with pytest.raises(ClientError, match=r"NonExistentQueue|QueueDoesNotExist"):
            await cloud.stop()

    asyncio.run(scenario())


@pytest.mark.parametrize(
    ("addition", "field"),
    [
        ("  Host: {Type: AWS::EC2::Instance}", "Resources.Host.Type"),
        ("  Q: {Type: AWS::SQS::Queue, Properties: {Colour: red}}", "Resources.Q.Properties.Colour"),
    ],
)
def test_what_cannot_be_made_here_is_refused_and_nothing_is_left_running(
    tmp_path: Path, addition: str, field: str
) -> None:
    async def scenario() -> None:
        path = _template(tmp_path)
        path.write_text(path.read_text() + addition)
        with pytest.raises(InvalidInput) as refused:
            await LocalCloud(path).start()
        assert refused.value.field == field
        async with LocalCloud(_template(tmp_path)):
            pass

    asyncio.run(scenario())


def test_localstack_and_urls_are_resolved_and_anything_else_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    monkeypatch.setenv("LOCALSTACK_HOST", "box:4577")
    assert resolve_endpoint("localstack") == "http://box:4577"
    assert resolve_endpoint("https://example.test/") == "https://example.test"
    with pytest.raises(InvalidInput, match="localstack or a URL"):
        resolve_endpoint("elsewhere")


async def _described(cloud: LocalCloud) -> list[dict[str, Any]]:
    sqs, dynamodb = await cloud.clients.get("sqs"), await cloud.clients.get("dynamodb")
    queue = (await sqs.get_queue_url(QueueName="t-batch"))["QueueUrl"]
    attributes = (await sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["All"]))["Attributes"]
    table = (await dynamodb.describe_table(TableName="t-rows"))["Table"]
    expiry = (await dynamodb.describe_time_to_live(TableName="t-rows"))["TimeToLiveDescription"]
    changing = {"LastModifiedTimestamp", "ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"}
    return [{name: value for name, value in attributes.items() if name not in changing}, table, expiry]


def _template(directory: Path, *, handler: str = "work.handler", queue_arn: str = "") -> Path:
    source = f"Events: {{M: {{Type: SQS, Properties: {{Queue: '{queue_arn}'}}}}}}" if queue_arn else ""
    path = directory / "template.yaml"
    path.write_text(f"""
Resources:
  Work:
    Type: AWS::Serverless::Function
    Properties:
      Handler: {handler}
      {source}
""")
    return path
