"""Functions on a queue: Lambda's event source mapping, message by message."""

import asyncio
import base64
import hashlib

from tests.e2e.local.harness import depth, eventually, has, is_alive, running, send, url


def test_a_batch_arrives_in_lambdas_shape_and_is_deleted() -> None:
    async def scenario() -> None:
        async with running() as (cloud, said):
            sqs = await cloud.clients.get("sqs")
            attributes = {
                "word": {"DataType": "String", "StringValue": "é"},
                "raw": {"DataType": "Binary", "BinaryValue": b"\x00\xff"},
            }
            sent = await sqs.send_message(
                QueueUrl=await url(cloud, "single"),
                MessageBody='{"do": "nothing"}',
                MessageAttributes=attributes,
                MessageGroupId="tenant",
            )
            event = (await eventually(lambda: said.of("event")))[0]
            await eventually(lambda: has(cloud, "single", 0))
            (record,) = event["Records"]
            assert record["messageId"] == sent["MessageId"]
            assert record["body"] == '{"do": "nothing"}'
            assert record["md5OfBody"] == hashlib.md5(b'{"do": "nothing"}', usedforsecurity=False).hexdigest()
            assert record["eventSource"] == "aws:sqs"
            assert record["eventSourceARN"] == "arn:aws:sqs:us-east-1:123456789012:t-single"
            assert record["awsRegion"] == "us-east-1"
            assert record["attributes"]["ApproximateReceiveCount"] == "1"
            assert record["attributes"]["MessageGroupId"] == "tenant"
            assert {"SentTimestamp", "SenderId", "ApproximateFirstReceiveTimestamp"} <= record["attributes"].keys()
            assert record["messageAttributes"]["word"]["stringValue"] == "é"
            assert record["messageAttributes"]["raw"]["binaryValue"] == base64.b64encode(b"\x00\xff").decode()
            assert record["messageAttributes"]["raw"]["dataType"] == "Binary"
            assert 0 < said.of("left_ms")[0] <= 1000
            assert said.of("kind") == ["Single"]

    asyncio.run(scenario())


def test_a_batch_gathers_what_comes_within_its_window() -> None:
    async def scenario() -> None:
        async with running() as (cloud, said):
            await send(cloud, "patient", {"do": "a"})
            await send(cloud, "patient", {"do": "b"})
            assert sorted((await eventually(said.bodies))[0]) == ["a", "b"]

    asyncio.run(scenario())


def test_only_the_items_named_in_a_partial_answer_come_back() -> None:
    async def scenario() -> None:
        async with running(warm="batch") as (cloud, said):
            await send(cloud, "batch", {"do": "fine"}, {"do": "fail_once"}, {"do": "also fine"})
            first, again = await eventually(lambda: said.bodies() if len(said.bodies()) > 1 else None)
            assert sorted(first) == ["also fine", "fail_once", "fine"]
            assert again == ["fail_once"]
            await eventually(lambda: has(cloud, "batch", 0))
            assert await depth(cloud, "dead-letters") == 0

    asyncio.run(scenario())


def test_an_exception_fails_the_whole_batch_and_the_last_receive_ends_in_the_dead_letter_queue() -> None:
    async def scenario() -> None:
        async with running(warm="batch") as (cloud, said):
            await send(cloud, "batch", {"do": "fine"}, {"do": "raise"})
            await eventually(lambda: has(cloud, "dead-letters", 2))
            received = [do for batch in said.bodies() for do in batch]
            assert sorted(received) == ["fine", "fine", "raise", "raise"]

    asyncio.run(scenario())


def test_a_function_past_its_timeout_is_killed_with_its_children_and_its_message_comes_back() -> None:
    async def scenario() -> None:
        async with running(warm="single") as (cloud, said):
            await send(cloud, "single", {"do": "hang"})
            await eventually(lambda: len(said.of("grandchild")) == 2)
            await eventually(lambda: has(cloud, "dead-letters", 1))
            pids = said.of("pid") + said.of("grandchild")
            await eventually(lambda: not any(is_alive(pid) for pid in pids))

    asyncio.run(scenario())


def test_a_container_is_reused_until_it_dies_and_its_death_fails_the_batch() -> None:
    async def scenario() -> None:
        async with running() as (cloud, said):
            await send(cloud, "single", {"do": "one"})
            await eventually(lambda: has(cloud, "single", 0))
            await send(cloud, "single", {"do": "two"})
            await eventually(lambda: has(cloud, "single", 0))
            await send(cloud, "single", {"do": "die"})
            await eventually(lambda: len(said.bodies()) == 4)  # "die" came back
            assert said.of("calls") == [1, 2, 3, 1]
            first, second, third, other = said.of("pid")
            assert first == second == third != other

    asyncio.run(scenario())


def test_no_more_containers_than_the_maximum_concurrency_work_at_once() -> None:
    async def scenario() -> None:
        async with running(concurrency_max=10) as (cloud, said):
            await send(cloud, "single", *[{"do": "sleep", "s": 0.3}] * 6)
            await eventually(lambda: len(said.of("ended")) == 6)
            spans = sorted([(at, 1) for at in said.of("began")] + [(at, -1) for at in said.of("ended")])
            at_once = [sum(step for _, step in spans[: index + 1]) for index in range(len(spans))]
            assert max(at_once) == 2

    asyncio.run(scenario())


def test_a_laptop_may_allow_fewer_than_the_template() -> None:
    async def scenario() -> None:
        async with running(concurrency_max=1) as (cloud, said):
            await send(cloud, "single", *[{"do": "sleep", "s": 0.1}] * 3)
            await eventually(lambda: len(said.of("ended")) == 3)
            assert len(set(said.of("pid"))) == 1

    asyncio.run(scenario())


def test_stopping_lets_a_batch_under_way_finish_and_leaves_no_process() -> None:
    async def scenario() -> None:
        async with running() as (cloud, said):
            await send(cloud, "single", {"do": "sleep", "s": 0.5})
            await eventually(lambda: said.of("began"))
        assert said.of("ended")
        assert not any(is_alive(pid) for pid in said.of("pid"))

    asyncio.run(scenario())
