"""AWS as it is on a bad day: answers get lost, batches are half taken, bodies break off, doors are shut."""

import asyncio
import json
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from typing import cast

import aiohttp
import pytest
from botocore.exceptions import ConnectionClosedError
from botocore.retries.standard import ExponentialBackoff, RetryContext

from infra.local.endpoint import Answer, Endpoint
from infra.local.in_process import InProcessSession
from shared.aws.clients import Clients
from shared.aws.faults import AwsRefusal
from shared.aws.ports import aws_ports
from shared.errors import WorldFault
from shared.limits import PART_BYTES
from shared.moves import claim, submit
from shared.names import Names
from shared.ports import Applied, Outgoing, Ports, Refused
from tests.contract.conftest import STACK, World
from tests.contract.test_jobs import NOW, job, lease, submitted


@dataclass
class Request:
    """One request on its way, and the way: `forward(body)` takes it to the endpoint."""

    operation: str
    """`UpdateItem`, or `PUT` of S3."""
    body: bytes
    forward: Callable[[bytes], Awaitable[Answer]]


Weather = Callable[[Request], Awaitable[Answer]]


@dataclass
class Sky:
    """Stands between the clients and the endpoint: every request meets `weather`, and is counted by operation."""

    endpoint: Endpoint
    weather: Weather
    seen: list[str] = field(default_factory=list)

    async def answer(self, method: str, url: str, headers: Mapping[str, str], body: bytes) -> Answer:
        operation = headers.get("X-Amz-Target", method).rpartition(".")[2]
        self.seen.append(operation)
        forward = partial(self.endpoint.answer, method, url, headers)
        return await self.weather(Request(operation, body, forward))


async def fine(request: Request) -> Answer:
    return await request.forward(request.body)


@pytest.fixture
def under(aws_world: World) -> Iterator[Callable[[Weather], tuple[Ports, Sky]]]:
    """`ports, sky = under(weather)`, on the embedded endpoint alone."""
    if aws_world.endpoint is None:
        pytest.skip("the weather can be made over the embedded endpoint only")
    endpoint, made = aws_world.endpoint, list[Clients]()

    def ports(weather: Weather) -> tuple[Ports, Sky]:
        sky = Sky(endpoint, weather)
        clients = Clients(endpoint_url=endpoint.url, http_session_cls=partial(InProcessSession, cast("Endpoint", sky)))
        made.append(clients)
        role_arn = "arn:aws:iam::123456789012:role/scheduler"
        names = Names(stack=STACK, bucket=aws_world.ports.objects.bucket, schedule_role_arn=role_arn)
        calm = aws_world.ports
        return aws_ports(clients, names, now=calm.now, dice=lambda: 0.0, token=calm.token), sky

    yield ports
    for clients in made:
        aws_world.run(clients.close())


Under = Callable[[Weather], tuple[Ports, Sky]]


@contextmanager
def world_fault(code: str) -> Iterator[None]:
    with pytest.raises(WorldFault) as fault:
        yield
    assert fault.value.code == code


def once(operation: str, mishap: Weather) -> Weather:
    """The first such request meets the mishap, everything else fine weather."""
    left = [mishap]

    async def weather(request: Request) -> Answer:
        happening = left.pop() if left and request.operation == operation else fine
        return await happening(request)

    return weather


def always(operation: str, mishap: Weather) -> Weather:
    async def weather(request: Request) -> Answer:
        return await (mishap if request.operation == operation else fine)(request)

    return weather


async def answer_lost(request: Request) -> Answer:
    await request.forward(request.body)
    raise ConnectionClosedError(endpoint_url="https://aws")


async def denied(_: Request) -> Answer:
    return Answer(400, {}, b'{"__type": "AccessDeniedException", "message": "not you"}')


async def denied_by_s3(_: Request) -> Answer:
    return Answer(403, {}, b"<Error><Code>AccessDenied</Code><Message>not you</Message></Error>")


# --- what the adapters wait out ---------------------------------------------------------------------------------------

THROTTLES = {
    "ProvisionedThroughputExceededException": 400,
    "ThrottlingException": 400,
    "RequestLimitExceeded": 400,
    "InternalServerError": 500,
    "ServiceUnavailable": 503,
}


def refused_with(code: str) -> Weather:
    body = json.dumps({"__type": code, "message": "not now"}).encode()

    async def mishap(_: Request) -> Answer:
        return Answer(THROTTLES[code], {}, body)

    return mishap


async def reset(_: Request) -> Answer:
    raise ConnectionClosedError(endpoint_url="https://aws")


def times(operation: str, count: int, mishap: Weather) -> Weather:
    """The first so many such requests meet the mishap."""
    left = iter(range(count))

    async def weather(request: Request) -> Answer:
        happening = mishap if request.operation == operation and next(left, None) is not None else fine
        return await happening(request)

    return weather


@pytest.fixture
def thrown(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """botocore's dice show nothing: it waits no time, and each throw is noted with the attempt that it is for."""
    attempts: list[int] = []

    def delay_s(_backoff: ExponentialBackoff, context: RetryContext) -> float:
        attempts.append(context.attempt_number)
        return 0.0

    monkeypatch.setattr(ExponentialBackoff, "delay_amount", delay_s)
    return attempts


@pytest.mark.parametrize("mishap", [*map(refused_with, THROTTLES), reset], ids=[*THROTTLES, "reset"])
def test_a_storm_that_passes_is_waited_out_by_the_adapter(
    aws_world: World, under: Under, mishap: Weather, thrown: list[int]
) -> None:
    row = job(aws_world.fresh("tenant"))
    ports, sky = under(times("UpdateItem", 3, mishap))
    assert isinstance(aws_world.run(ports.jobs.apply(submit(row))), Applied)
    assert thrown == [1, 2, 3]
    ports, sky = under(always("UpdateItem", mishap))
    with pytest.raises(WorldFault):
        aws_world.run(ports.jobs.apply(submit(row)))
    assert sky.seen == ["UpdateItem"] * 4


def test_two_that_were_throttled_together_do_not_come_back_together() -> None:
    """Full jitter: https://aws.amazon.com/builders-library/timeouts-retries-and-backoff-with-jitter/"""
    backoff = ExponentialBackoff()
    delays_s = {backoff.delay_amount(RetryContext(attempt_number=3)) for _ in range(20)}
    assert len(delays_s) == 20
    assert 0 < min(delays_s) < max(delays_s) < 4


def test_a_slow_bucket_is_waited_for(aws_world: World, under: Under, thrown: list[int]) -> None:
    async def slow_down(_: Request) -> Answer:
        return Answer(503, {}, b"<Error><Code>SlowDown</Code><Message>reduce your rate</Message></Error>")

    ports, sky = under(times("PUT", 2, slow_down))
    key = aws_world.fresh("key")
    aws_world.run(ports.objects.put(key, b"body"))
    assert aws_world.run(aws_world.ports.objects.get(key)) == b"body"
    assert (sky.seen, thrown) == (["PUT"] * 3, [1, 2])


# --- rows -------------------------------------------------------------------------------------------------------------


def test_a_lost_answer_costs_nothing_since_the_row_carries_my_token(aws_world: World, under: Under) -> None:
    ports, sky = under(once("UpdateItem", answer_lost))
    row = job(aws_world.fresh("tenant"))
    aws_world.run(aws_world.ports.jobs.apply(submit(row)))
    move = claim(row.tenant_id, row.job_id, job_type=row.type, seq=1, lease=lease("mine"), now=NOW)
    answer = aws_world.run(ports.jobs.apply(move))
    assert isinstance(answer, Applied)
    assert (answer.job.epoch, answer.job.token) == (1, "mine")
    assert sky.seen == ["UpdateItem", "UpdateItem"]


def test_a_move_is_one_request_made_or_refused_and_a_look_is_one(aws_world: World, under: Under) -> None:
    ports, sky = under(fine)
    row = job(aws_world.fresh("tenant"))

    async def story() -> None:
        await ports.jobs.apply(submit(row))
        refused = await ports.jobs.apply(submit(replace(row, token="another")))
        assert isinstance(refused, Refused)
        await ports.jobs.get(row.tenant_id, row.job_id)

    aws_world.run(story())
    assert sky.seen == ["UpdateItem", "UpdateItem", "GetItem"]


def test_what_somebody_may_decide_by_is_read_consistently(aws_world: World, under: Under) -> None:
    asked: list[dict[str, object]] = []

    async def noted(request: Request) -> Answer:
        asked.append(json.loads(request.body))
        return await fine(request)

    ports, _ = under(noted)

    async def story() -> None:
        await ports.jobs.get("tenant", "job_1")
        await ports.side.get("job", "payload")
        await ports.side.query("job", limit=1)

    aws_world.run(story())
    assert [request.get("ConsistentRead") for request in asked] == [True, True, True]


def test_keys_that_a_busy_table_left_unread_are_asked_for_again(aws_world: World, under: Under) -> None:
    async def half(request: Request) -> Answer:
        asked = json.loads(request.body)["RequestItems"]
        ((table, wanted),) = asked.items()
        first, *rest = wanted["Keys"]
        answer = await request.forward(json.dumps({"RequestItems": {table: {"Keys": [first]}}}).encode())
        assert isinstance(answer.body, bytes)
        body = json.loads(answer.body) | {"UnprocessedKeys": {table: {"Keys": rest}} if rest else {}}
        return Answer(200, {}, json.dumps(body).encode())

    tenant_id = aws_world.fresh("tenant")
    newest_first = aws_world.run(submitted(aws_world, tenant_id, 4))
    ports, sky = under(always("BatchGetItem", half))
    page = aws_world.run(ports.jobs.list(tenant_id, limit=4))
    assert {job.job_id for job in page.jobs} == set(newest_first)
    assert sky.seen.count("BatchGetItem") == 4
    aws_world.run(submitted(aws_world, tenant_id := aws_world.fresh("tenant"), 6))
    with world_fault("throttled"):
        aws_world.run(ports.jobs.list(tenant_id, limit=6))


def test_a_shut_door_is_the_worlds_fault_and_a_missing_table_is_not(aws_world: World, under: Under) -> None:
    ports, _ = under(always("GetItem", denied))
    with world_fault("AccessDeniedException"):
        aws_world.run(ports.jobs.get("tenant", "job_1"))
    assert aws_world.clients is not None
    elsewhere = Names(stack="no-such-stack", bucket="none")
    other = aws_ports(aws_world.clients, elsewhere, now=ports.now, dice=ports.dice, token=ports.token)
    with pytest.raises(AwsRefusal) as refusal:
        aws_world.run(other.jobs.get("tenant", "job_1"))
    assert refusal.value.code == "ResourceNotFoundException"


# --- messages ---------------------------------------------------------------------------------------------------------


def _without(index: int, operation: str, *, is_senders: bool) -> Weather:
    """SQS does not take the entry of this index."""

    async def partly(request: Request) -> Answer:
        asked = json.loads(request.body)
        taken = [entry for entry in asked["Entries"] if entry["Id"] != str(index)]
        body: dict[str, object] = {"Successful": []}
        if taken:
            answer = await request.forward(json.dumps(asked | {"Entries": taken}).encode())
            assert isinstance(answer.body, bytes)
            body = json.loads(answer.body)
        failure = {"Id": str(index), "Code": "InternalError", "Message": "not now", "SenderFault": is_senders}
        failed = [failure] if len(taken) < len(asked["Entries"]) else []
        return Answer(200, {}, json.dumps(body | {"Failed": failed}).encode())

    return always(operation, partly)


def test_what_a_batch_does_not_take_is_tried_again_and_then_named(aws_world: World, under: Under) -> None:
    ports, sky = under(_without(3, "SendMessageBatch", is_senders=False))

    async def story() -> None:
        job_type = await aws_world.queue()
        assert await ports.queues.send([Outgoing(job_type, str(number)) for number in range(5)]) == [3]
        received = await ports.queues.receive(job_type, max_messages=10, wait_s=0)
        assert sorted(message.body for message in received) == ["0", "1", "2", "4"]
        with world_fault("InternalError"):
            await _without_any(job_type)

    async def _without_any(job_type: str) -> None:
        nothing_taken, _ = under(_without(0, "SendMessageBatch", is_senders=False))
        await nothing_taken.queues.send([Outgoing(job_type, "alone")])

    aws_world.run(story())
    assert sky.seen.count("SendMessageBatch") == 3


def test_of_many_messages_exactly_those_are_named_that_were_not_taken(aws_world: World, under: Under) -> None:
    """Three requests, each refused in part, for the sender's fault or for AWS's own."""
    bad = {"3": False, "12": True, "13": False, "24": True}

    async def partly(request: Request) -> Answer:
        asked = json.loads(request.body)
        taken = [entry for entry in asked["Entries"] if entry["Id"] not in bad]
        body: dict[str, object] = {"Successful": []}
        if taken:
            answer = await request.forward(json.dumps(asked | {"Entries": taken}).encode())
            assert isinstance(answer.body, bytes)
            body = json.loads(answer.body)
        refused = [entry["Id"] for entry in asked["Entries"] if entry["Id"] in bad]
        failed = [{"Id": name, "Code": "X", "Message": "no", "SenderFault": bad[name]} for name in refused]
        return Answer(200, {}, json.dumps(body | {"Failed": failed}).encode())

    ports, _ = under(always("SendMessageBatch", partly))

    async def story() -> None:
        job_type = await aws_world.queue()
        assert await ports.queues.send([Outgoing(job_type, str(number)) for number in range(25)]) == [3, 12, 13, 24]
        came: list[str] = []
        while found := await ports.queues.receive(job_type, max_messages=10, wait_s=0):
            came += [message.body for message in found]
            await ports.queues.delete(job_type, [message.receipt for message in found])
        assert sorted(came, key=int) == [str(number) for number in range(25) if str(number) not in bad]

    aws_world.run(story())


def test_a_delete_that_was_not_made_is_told(aws_world: World, under: Under) -> None:
    ports, _ = under(_without(0, "DeleteMessageBatch", is_senders=False))

    async def story() -> None:
        job_type = await aws_world.queue()
        await ports.queues.send([Outgoing(job_type, "stays")])
        (message,) = await ports.queues.receive(job_type, max_messages=1, wait_s=0)
        with world_fault("InternalError"):
            await ports.queues.delete(job_type, [message.receipt])

    aws_world.run(story())


def test_a_lost_batch_of_two_types_is_missed_for_one_of_them_alone(aws_world: World, under: Under) -> None:
    ports, _ = under(once("SendMessageBatch", denied))

    async def story() -> None:
        one, two = await aws_world.queue(), await aws_world.queue()
        missed = await ports.queues.send([Outgoing(one, "a"), Outgoing(two, "b"), Outgoing(one, "c")])
        assert list(missed) in ([0, 2], [1])

    aws_world.run(story())


# --- objects ----------------------------------------------------------------------------------------------------------


class BreaksOff(bytes):
    """A body that promises its length and then breaks off."""

    def __getitem__(self, _wanted: object) -> bytes:  # type: ignore[override]  # no part of it can be had
        raise aiohttp.ClientPayloadError("connection lost")


def test_a_download_that_breaks_off_goes_on_where_it_was(aws_world: World, under: Under) -> None:
    lost = {2, 3}

    async def second_and_third_break_off(request: Request) -> Answer:
        answer = await request.forward(request.body)
        whole = answer.body if isinstance(answer.body, bytes) else answer.body[:]
        return Answer(answer.status, answer.headers, BreaksOff(whole) if len(sky.seen) in lost else whole)

    ports, sky = under(second_and_third_break_off)
    key, body = aws_world.fresh("key"), bytes(range(256)) * (3 * PART_BYTES // 256) + b"end"

    async def story() -> bytes:
        await aws_world.ports.objects.put(key, body)
        return b"".join([chunk async for chunk in ports.objects.stream(key)])

    assert aws_world.run(story()) == body
    assert sky.seen == ["GET"] * 6
    lost |= set(range(100))
    with world_fault("ClientPayloadError"):
        aws_world.run(ports.objects.get(key))


def test_a_download_never_mixes_two_versions(aws_world: World, under: Under) -> None:
    ports, _ = under(fine)
    key = aws_world.fresh("key")

    async def story() -> None:
        await ports.objects.put(key, b"a" * (PART_BYTES + 1))
        chunks = aiter(ports.objects.stream(key))
        await anext(chunks)
        await ports.objects.put(key, b"b" * (PART_BYTES + 1))
        with pytest.raises(AwsRefusal) as refusal:
            await anext(chunks)
        assert refusal.value.code == "PreconditionFailed"

    aws_world.run(story())


def test_an_upload_whose_part_fails_says_so_and_leaves_nothing(aws_world: World, under: Under) -> None:
    async def parts_denied(request: Request) -> Answer:
        is_part = request.operation == "PUT" and len(request.body) >= PART_BYTES
        return await (denied_by_s3 if is_part else fine)(request)

    ports, _ = under(parts_denied)
    key = aws_world.fresh("key")

    async def story() -> None:
        upload = await ports.objects.upload(key)
        await upload.write(b"x" * (PART_BYTES + 1))
        with world_fault("AccessDenied"):
            await upload.complete()
        assert upload.sha256 == ""
        assert await ports.objects.get(key) is None
        assert aws_world.clients is not None
        left = await aws_world.clients.call("s3", "list_multipart_uploads", Bucket=ports.objects.bucket)
        assert left.get("Uploads", []) == []

    aws_world.run(story())


def test_a_long_upload_stops_soon_after_a_part_has_failed(aws_world: World, under: Under) -> None:
    async def parts_denied(request: Request) -> Answer:
        return await (denied_by_s3 if request.operation == "PUT" else fine)(request)

    ports, sky = under(parts_denied)

    async def story() -> None:
        upload = await ports.objects.upload(aws_world.fresh("key"))
        with world_fault("AccessDenied"):
            for _ in range(50):
                await upload.write(b"x" * PART_BYTES)
        await upload.abort()

    aws_world.run(story())
    assert sky.seen.count("PUT") <= 5


# --- clients ----------------------------------------------------------------------------------------------------------


class SlowToOpen(InProcessSession):
    async def __aenter__(self) -> "SlowToOpen":
        await asyncio.sleep(0)
        return self


def test_two_that_ask_for_a_client_at_once_get_the_same_one(aws_world: World) -> None:
    async def story() -> None:
        sky = cast("Endpoint", Sky(Endpoint(), fine))
        clients = Clients(endpoint_url="http://127.0.0.1:1", http_session_cls=partial(SlowToOpen, sky))
        first, second = await asyncio.gather(clients.get("sts"), clients.get("sts"))
        assert first is second
        await clients.close()

    aws_world.run(story())


# --- schedules --------------------------------------------------------------------------------------------------------


def test_a_schedule_that_is_refused_is_the_stacks_fault_and_its_wake_up_is_not_given_up(
    aws_world: World, under: Under
) -> None:
    async def no_role(_: Request) -> Answer:
        return Answer(400, {}, b'{"__type": "ValidationException", "Message": "the role cannot be assumed"}')

    ports, _ = under(no_role)
    with world_fault("ValidationException"):
        aws_world.run(ports.schedules.wake_at("name", 1_800_000_000_000, Outgoing("generic", "{}")))
