"""What Queues promise: wake-ups may come late or twice, but they come, are counted, and are given up in the end."""

import pytest

from shared.errors import InvalidInput, NotFound
from shared.job import rfc3339
from shared.lanes import LANES, queue_of, queues_of
from shared.limits import MESSAGE_BYTES_MAX
from shared.names import Names
from shared.ports import Depth, Message, Outgoing
from tests.contract.conftest import RECEIVES_MAX, STACK, World


async def receive(world: World, job_type: str, *, wait_s: int = 0, most: int = 10) -> list[Message]:
    return list(await world.ports.queues.receive(job_type, max_messages=most, wait_s=wait_s))


def test_every_message_of_a_long_list_arrives_once_in_batches_of_ten(world: World) -> None:
    async def story() -> None:
        one, two = await world.queue(), await world.queue()
        sent = [Outgoing(two if number % 3 else one, f"body {number} é", group="tenant") for number in range(35)]
        assert await world.ports.queues.send(sent) == []
        for job_type in (one, two):
            bodies: list[str] = []
            while batch := await receive(world, job_type):
                assert len(batch) <= 10
                bodies += [message.body for message in batch]
                await world.ports.queues.delete(job_type, [message.receipt for message in batch])
            assert sorted(bodies) == sorted(message.body for message in sent if message.job_type == job_type)

    world.run(story())


def test_messages_that_make_more_than_a_mebibyte_together_go_in_several_batches(world: World) -> None:
    async def story() -> None:
        job_type = await world.queue()
        sent = [Outgoing(job_type, str(number) * 400_000) for number in range(5)]
        assert await world.ports.queues.send(sent) == []
        found: set[str] = set()
        while batch := await receive(world, job_type):
            found |= {message.body for message in batch}
        assert found == {message.body for message in sent}

    world.run(story())


def test_a_long_poll_waits_for_what_is_sent_meanwhile(world: World) -> None:
    async def story() -> None:
        job_type = await world.queue()
        await world.ports.queues.send([Outgoing(job_type, "later", delay_s=1)])
        assert await receive(world, job_type) == []
        (message,) = await receive(world, job_type, wait_s=5)
        assert message.body == "later"
        assert message.receives == 1

    world.run(story())


def test_an_empty_poll_ends_with_its_time(world: World) -> None:
    async def story() -> None:
        assert await receive(world, await world.queue(), wait_s=1) == []

    world.run(story())


def test_a_message_that_nobody_deletes_comes_back_counted_and_is_given_up_at_last(world: World) -> None:
    async def story() -> None:
        job_type = await world.queue()
        await world.ports.queues.send([Outgoing(job_type, "poison")])
        received = [await receive(world, job_type, wait_s=3) for _ in range(RECEIVES_MAX)]
        assert [[message.receives for message in batch] for batch in received] == [[1], [2]]
        assert len({message.message_id for (message,) in received}) == 1
        assert len({message.sent_at for (message,) in received}) == 1
        assert len({message.receipt for (message,) in received}) == RECEIVES_MAX
        assert await receive(world, job_type, wait_s=2) == []
        assert await world.dead_letters(job_type) == ["poison"]

    world.run(story())


def test_a_message_carries_how_often_it_has_been_returned(world: World) -> None:
    async def story() -> None:
        job_type = await world.queue()
        await world.ports.queues.send([Outgoing(job_type, "new"), Outgoing(job_type, "old", returned=12)])
        found = await receive(world, job_type)
        assert {message.body: message.returned for message in found} == {"new": 0, "old": 12}

    world.run(story())


def test_a_hidden_message_comes_back_when_it_is_told_to(world: World) -> None:
    async def story() -> None:
        job_type, queues = await world.queue(), world.ports.queues
        await queues.send([Outgoing(job_type, "hidden")])
        (message,) = await receive(world, job_type)
        await queues.hide(job_type, message.receipt, seconds=40_000)
        assert await receive(world, job_type, wait_s=2) == []
        await queues.hide(job_type, message.receipt, seconds=0)
        (message,) = await receive(world, job_type)
        assert message.receives == 2

    world.run(story())


def test_an_old_receipt_does_nothing_and_does_no_harm(world: World) -> None:
    """Somebody else has received the message since: hiding it with the older receipt is not this worker's to do."""

    async def story() -> None:
        job_type, queues = await world.queue(), world.ports.queues
        await queues.send([Outgoing(job_type, "mine no more")])
        (first,) = await receive(world, job_type)
        (second,) = await receive(world, job_type, wait_s=3)
        await queues.delete(job_type, [second.receipt])
        await queues.hide(job_type, first.receipt, seconds=0)
        await queues.hide(job_type, second.receipt, seconds=0)
        await queues.delete(job_type, [first.receipt, second.receipt])
        assert await receive(world, job_type) == []

    world.run(story())


def test_deleting_nothing_asks_nobody(world: World) -> None:
    world.run(world.ports.queues.delete("no_such_type", []))


def test_a_type_without_a_queue_is_named_and_nothing_is_sent(world: World) -> None:
    async def story() -> None:
        job_type, missing = await world.queue(), world.fresh("missing")
        with pytest.raises(NotFound) as refusal:
            await world.ports.queues.send([Outgoing(job_type, "a"), Outgoing(missing, "b")])
        assert (refusal.value.code, refusal.value.field) == ("no_such_queue", missing)
        assert await receive(world, job_type) == []

    world.run(story())


@pytest.mark.parametrize(
    ("outgoing", "field"),
    [
        (Outgoing("generic", "x" * (MESSAGE_BYTES_MAX + 1)), "body"),
        (Outgoing("generic", "x", delay_s=901), "delay_s"),
        (Outgoing("generic", "x", delay_s=-1), "delay_s"),
    ],
    ids=["too large", "too late", "too early"],
)
def test_what_no_queue_would_take_is_refused_before_anything_is_sent(
    world: World, outgoing: Outgoing, field: str
) -> None:
    with pytest.raises(InvalidInput) as refusal:
        world.run(world.ports.queues.send([outgoing]))
    assert refusal.value.field == field


def test_a_message_cannot_be_hidden_for_longer_than_twelve_hours(world: World) -> None:
    with pytest.raises(InvalidInput) as refusal:
        world.run(world.ports.queues.hide("generic", "receipt", seconds=43_201))
    assert refusal.value.field == "seconds"


def test_a_queue_tells_how_much_it_holds(world: World) -> None:
    async def story() -> None:
        job_type, queues = await world.queue(), world.ports.queues
        assert await queues.depth(job_type) == Depth(0, 0, 0)
        await queues.send([Outgoing(job_type, "now", delay_s=delay_s) for delay_s in (0, 0, 0, 900, 900)])
        (held,) = await receive(world, job_type, most=1)
        await queues.hide(job_type, held.receipt, seconds=600)
        assert await queues.depth(job_type) == Depth(waiting=2, in_flight=1, delayed=2)
        missing = world.fresh("missing")
        with pytest.raises(NotFound) as refusal:
            await queues.depth(missing)
        assert (refusal.value.code, refusal.value.field) == ("no_such_queue", missing)

    world.run(story())


# --- lanes ---


@pytest.mark.parametrize("lane", [None, *LANES])
def test_a_message_goes_to_its_lane(world: World, lane: str | None) -> None:
    async def story() -> None:
        job_type, queues = await world.laned(), world.ports.queues
        assert [*await queues.queues_of(job_type)] == [*queues_of(job_type)]
        assert await queues.send([Outgoing(job_type, "here", lane=lane)]) == []
        found = {queue: await receive(world, queue) for queue in await queues.queues_of(job_type)}
        assert [queue for queue, messages in found.items() if messages] == [queue_of(job_type, lane)]

    world.run(story())


def test_a_type_without_lanes_takes_every_priority_in_its_own_queue(world: World) -> None:
    async def story() -> None:
        job_type, queues = await world.queue(), world.ports.queues
        assert [*await queues.queues_of(job_type)] == [job_type]
        assert await queues.send([Outgoing(job_type, "here", lane=lane) for lane in LANES]) == []
        assert len(await receive(world, job_type)) == len(LANES)

    world.run(story())


# --- fairness (SQS promises it of noisy groups; the twins keep it always) ---


def embedded(world: World) -> World:
    if world.clients is not None and world.endpoint is None:
        pytest.skip("SQS itself is fair only once it has found a group noisy")
    return world


def test_a_quiet_tenants_job_overtakes_a_noisy_tenants_ten_thousand(world: World) -> None:
    async def story() -> None:
        job_type, queues = await embedded(world).queue(), world.ports.queues
        await queues.send([Outgoing(job_type, "noisy", group="noisy")] * 10_000)
        await queues.send([Outgoing(job_type, "quiet", group="quiet")])
        bodies = [message.body for message in await receive(world, job_type, most=2)]
        assert sorted(bodies) == ["noisy", "quiet"]

    world.run(story())


def test_who_has_least_in_flight_is_served_first_and_of_equals_who_was_served_longest_ago(world: World) -> None:
    async def story() -> None:
        job_type, queues = await embedded(world).queue(), world.ports.queues
        for tenant in ("a", "a", "a", "b", "b", "b", "b"):
            await queues.send([Outgoing(job_type, tenant, group=tenant)])
        received = [await receive(world, job_type, most=1) for _ in range(4)]
        assert [message.body for (message,) in received] == ["a", "b", "a", "b"]
        await queues.delete(job_type, [message.receipt for (message,) in received if message.body == "b"])
        received = [await receive(world, job_type, most=1) for _ in range(3)]
        assert [message.body for (message,) in received] == ["b", "b", "a"]

    world.run(story())


def test_a_tenants_own_messages_keep_their_order(world: World) -> None:
    async def story() -> None:
        job_type = await embedded(world).queue()
        await world.ports.queues.send([Outgoing(job_type, str(number), group="one") for number in range(10)])
        assert [message.body for message in await receive(world, job_type)] == [str(number) for number in range(10)]

    world.run(story())


# --- schedules --------------------------------------------------------------------------------------------------------


def test_a_schedule_of_the_same_name_changes_nothing(world: World) -> None:
    async def story() -> None:
        job_type, name = await world.queue(), world.fresh("schedule")
        at = world.ports.now() + 3_600_000
        await world.ports.schedules.wake_at(name, at, Outgoing(job_type, "first"))
        await world.ports.schedules.wake_at(name, at + 1, Outgoing(job_type, "second"))
        assert await receive(world, job_type) == []

    world.run(story())


def test_a_schedules_message_goes_to_its_lane_where_the_type_has_any() -> None:
    names = Names(stack="s", bucket="b", schedule_role_arn="arn:aws:iam::1:role/r", lanes=frozenset({"generic"}))
    assert names.queue_arn("generic", "eu-west-1", "low") == "arn:aws:sqs:eu-west-1:1:s-generic-low"
    assert names.queue_arn("extract", "eu-west-1", "low") == "arn:aws:sqs:eu-west-1:1:s-extract"


def test_a_schedule_sends_its_message_to_the_types_queue_never_too_early_and_is_gone_then(aws_world: World) -> None:
    assert aws_world.clients is not None
    call = aws_world.clients.call

    async def story() -> None:
        job_type, name = await aws_world.queue(), aws_world.fresh("schedule")
        at = aws_world.ports.now() // 60_000 * 60_000 + 3_600_001
        await aws_world.ports.schedules.wake_at(name, at, Outgoing(job_type, '{"wake": "up"}', group="tenant"))
        made = await call("scheduler", "get_schedule", Name=name, GroupName=STACK)
        url = (await call("sqs", "get_queue_url", QueueName=f"{STACK}-{job_type}"))["QueueUrl"]
        queue = await call("sqs", "get_queue_attributes", QueueUrl=url, AttributeNames=["QueueArn"])
        assert made["Target"]["Arn"] == queue["Attributes"]["QueueArn"]
        assert made["Target"]["Input"] == '{"wake": "up"}'
        assert "SqsParameters" not in made["Target"]
        assert made["ActionAfterCompletion"] == "DELETE"
        assert made["FlexibleTimeWindow"] == {"Mode": "OFF"}
        assert made["ScheduleExpression"] == f"at({rfc3339(at + 999)[:19]})"

    aws_world.run(story())
