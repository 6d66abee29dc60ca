"""Functions on a table's stream: in order, again and again until a record succeeds or is too old."""

import asyncio
import base64
import json

from tests.e2e.local.harness import eventually, has, put_rows, running, url


def test_changes_arrive_in_lambdas_shape_and_in_order() -> None:
    async def scenario() -> None:
        async with running() as (cloud, said):
            dynamodb = await cloud.clients.get("dynamodb")
            row = {"pk": {"S": "a"}, "n": {"N": "1"}, "raw": {"B": b"\x00\xff"}, "fails": {"N": "0"}}
            await dynamodb.put_item(TableName="t-rows", Item=row)
            await dynamodb.update_item(
                TableName="t-rows",
                Key={"pk": {"S": "a"}},
                UpdateExpression="SET n = :two",
                ExpressionAttributeValues={":two": {"N": "2"}},
            )
            await eventually(lambda: [key for batch in said.rows() for key in batch] == ["a", "a"])
            first, second = [record for event in said.of("event") for record in event["Records"]]
            assert (first["eventName"], second["eventName"]) == ("INSERT", "MODIFY")
            assert first["eventSource"] == "aws:dynamodb"
            assert first["eventSourceARN"].startswith("arn:aws:dynamodb:us-east-1:123456789012:table/t-rows/stream/")
            assert first["dynamodb"]["NewImage"]["raw"] == {"B": base64.b64encode(b"\x00\xff").decode()}
            assert "OldImage" not in first["dynamodb"]
            assert second["dynamodb"]["OldImage"]["n"] == {"N": "1"}
            assert second["dynamodb"]["NewImage"]["n"] == {"N": "2"}
            assert int(second["dynamodb"]["SequenceNumber"]) > int(first["dynamodb"]["SequenceNumber"])
            assert isinstance(first["dynamodb"]["ApproximateCreationDateTime"], int)

    asyncio.run(scenario())


def test_a_failing_batch_is_halved_until_the_bad_record_stands_alone_and_later_ones_wait_for_it() -> None:
    async def scenario() -> None:
        async with running() as (cloud, said):
            await put_rows(cloud, "a", "b", "c", "d", failing="c", fails=4)
            await eventually(lambda: ["d"] in said.rows())
            batches = said.rows()
            assert batches[0] == ["a", "b", "c", "d"]
            assert batches[1:3] == [["a", "b"], ["c", "d"]]
            assert batches[3:] == [["c"], ["c"], ["c"], ["d"]]

    asyncio.run(scenario())


def test_a_partial_answer_is_taken_up_again_at_the_first_record_it_names() -> None:
    async def scenario() -> None:
        async with running() as (cloud, said):
            await put_rows(cloud, "a", "b", "c", "d", failing="c", fails=2, how="answer")
            await eventually(said.rows)
            await put_rows(cloud, "last")
            await eventually(lambda: ["last"] in said.rows())
            assert said.rows() == [["a", "b", "c", "d"], ["c", "d"], ["c", "d"], ["last"]]

    asyncio.run(scenario())


def test_a_record_past_the_maximum_age_goes_to_the_failure_destination_and_lets_others_pass() -> None:
    async def scenario() -> None:
        async with running(parameters={"RecordAge": "3"}) as (cloud, said):
            await put_rows(cloud, "bad", failing="bad", fails=1000)
            s3 = await cloud.clients.get("s3")

            async def kept() -> list[str]:
                return [item["Key"] for item in (await s3.list_objects_v2(Bucket="t-kept")).get("Contents", [])]

            (key,) = await eventually(kept)
            document = json.loads(await (await s3.get_object(Bucket="t-kept", Key=key))["Body"].read())
            assert document["requestContext"]["condition"] == "RecordAgeExceeded"
            assert document["DDBStreamBatchInfo"]["batchSize"] == 1
            (record,) = json.loads(document["payload"])["Records"]
            assert record["dynamodb"]["NewImage"]["pk"] == {"S": "bad"}
            await put_rows(cloud, "good")
            await eventually(lambda: ["good"] in said.rows())

    asyncio.run(scenario())


def test_after_its_last_retry_a_record_is_given_up_and_a_queue_is_told_its_number() -> None:
    async def scenario() -> None:
        async with running(parameters={"Retries": "1", "FailuresTo": "queue"}) as (cloud, said):
            await put_rows(cloud, "good", "bad", failing="bad", fails=1000)
            await eventually(lambda: has(cloud, "dead-letters", 1))
            assert said.rows() == [["good", "bad"], ["good"], ["bad"], ["bad"]]
            sqs = await cloud.clients.get("sqs")
            answer = await sqs.receive_message(QueueUrl=await url(cloud, "dead-letters"))
            document = json.loads(answer["Messages"][0]["Body"])
            assert document["requestContext"]["condition"] == "RetryAttemptsExhausted"
            assert document["requestContext"]["approximateInvokeCount"] == 2
            number = said.of("event")[-1]["Records"][0]["dynamodb"]["SequenceNumber"]
            assert document["DDBStreamBatchInfo"]["startSequenceNumber"] == number

    asyncio.run(scenario())


def test_without_a_failure_destination_a_record_given_up_is_gone_and_the_next_one_comes() -> None:
    async def scenario() -> None:
        async with running(parameters={"Retries": "0", "FailuresTo": "nowhere"}) as (cloud, said):
            await put_rows(cloud, "bad", failing="bad", fails=1000)
            await eventually(said.rows)
            await put_rows(cloud, "good")
            await eventually(lambda: ["good"] in said.rows())
            assert said.rows() == [["bad"], ["good"]]

    asyncio.run(scenario())


def test_a_tumbling_window_names_the_shard_carries_its_state_and_ends_with_a_call_of_its_own() -> None:
    async def scenario() -> None:
        async with running(parameters={"Window": "1"}) as (cloud, said):
            await put_rows(cloud, *(f"row {number}" for number in range(12)))
            await eventually(lambda: any(event["isFinalInvokeForWindow"] for event in said.of("event")))
            await put_rows(cloud, "next")
            await eventually(lambda: ["next"] in said.rows())
            first, *_ = events = said.of("event")
            assert first["shardId"].startswith("shardId-")
            assert first["state"] == {}
            assert first["window"]["start"] < first["window"]["end"]
            windows = [event["window"]["start"] for event in events]
            for start in {*windows}:
                mine = [event for event in events if event["window"]["start"] == start]
                counts = [len(event["Records"]) for event in mine]
                assert [event["state"].get("seen", 0) for event in mine] == [sum(counts[:n]) for n in range(len(mine))]
                assert [event["isFinalInvokeForWindow"] for event in mine[:-1]] == [False] * (len(mine) - 1)
            assert windows == sorted(windows)
            finals = [event for event in events if event["isFinalInvokeForWindow"]]
            assert all(event["Records"] == [] and event["state"]["seen"] for event in finals)

    asyncio.run(scenario())


def test_a_record_that_the_filter_keeps_back_is_never_seen() -> None:
    async def scenario() -> None:
        wanted = json.dumps({"dynamodb": {"Keys": {"pk": {"S": [{"prefix": "good"}]}}}})
        async with running(parameters={"Wanted": wanted}) as (cloud, said):
            await put_rows(cloud, "good 1", "bad", "good 2")
            await eventually(lambda: sum(map(len, said.rows())) >= 2)
            await put_rows(cloud, "worse", "good 3")
            await eventually(lambda: ["good 3"] in said.rows())
            assert said.rows() == [["good 1", "good 2"], ["good 3"]]

    asyncio.run(scenario())
