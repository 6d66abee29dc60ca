"""What the ports in memory do beside the contract: streams are kept, schedules fire, chance repeats itself."""

import asyncio

from shared.memory.clock import run_virtual
from shared.memory.jobs import MemoryJobs
from shared.memory.ports import memory_ports
from shared.memory.queues import MemoryQueues
from shared.moves import beat, submit
from shared.ports import Applied, Clock, Outgoing
from tests.unit.test_moves import NOW, claimed, new_job


def test_the_stream_has_one_record_for_every_change_and_none_for_what_changed_nothing() -> None:
    async def main(_: Clock) -> None:
        jobs = MemoryJobs()
        created = await jobs.apply(submit(new_job()))
        await jobs.apply(submit(new_job()))
        await jobs.apply(submit(new_job(token="another")))
        assert isinstance(created, Applied)
        assert [(record.old, record.new) for record in jobs.stream] == [(None, created.job)]
        running = claimed()
        jobs.rows[running.key] = running
        same = beat(running, running.updated_at, progress=None, lease_until=None)
        assert await jobs.apply(same) == Applied(running)
        assert len(jobs.stream) == 1
        await jobs.apply(beat(running, NOW + 1, progress="[1]", lease_until=None))
        assert [record.sequence for record in jobs.stream] == ["1", "2"]
        assert jobs.stream[1].old == running

    run_virtual(main)


def test_a_schedule_fires_once_at_its_time() -> None:
    async def main(now: Clock) -> None:
        ports = memory_ports(now)
        at = now() + 40 * 24 * 3600 * 1000
        await ports.schedules.wake_at("name", at, Outgoing("generic", "wake up"))
        await ports.schedules.wake_at("name", at - 1, Outgoing("generic", "another"))
        await asyncio.sleep((at - now()) / 1000 - 1)
        assert await ports.queues.receive("generic", max_messages=10, wait_s=0) == []
        (message,) = await ports.queues.receive("generic", max_messages=10, wait_s=20)
        assert (message.body, message.sent_at, now()) == ("wake up", at, at)

    run_virtual(main)


def test_a_poll_wakes_at_the_moment_a_message_becomes_visible() -> None:
    async def main(now: Clock) -> None:
        queues, begun = MemoryQueues(now, visibility_s=7), now()
        await queues.send([Outgoing("generic", "body", delay_s=3)])
        await queues.receive("generic", max_messages=1, wait_s=20)
        assert now() - begun == 3_000
        (message,) = await queues.receive("generic", max_messages=1, wait_s=20)
        assert now() - begun == 10_000
        hidden = asyncio.create_task(queues.receive("generic", max_messages=1, wait_s=20))
        await asyncio.sleep(1)
        await queues.hide("generic", message.receipt, seconds=0)
        assert len(await hidden) == 1
        assert now() - begun == 11_000

    run_virtual(main)


def test_a_receipt_counts_for_nothing_once_the_message_was_handed_out_again() -> None:
    async def main(now: Clock) -> None:
        queues = MemoryQueues(now, visibility_s=10)
        await queues.send([Outgoing("generic", "body")])
        (first,) = await queues.receive("generic", max_messages=1, wait_s=0)
        (second,) = await queues.receive("generic", max_messages=1, wait_s=20)
        await queues.hide("generic", first.receipt, seconds=0)
        await queues.delete("generic", [first.receipt])
        assert await queues.receive("generic", max_messages=1, wait_s=5) == []
        await queues.delete("generic", [second.receipt])
        assert queues.held == {"generic": []}

    run_virtual(main)


def test_the_same_seed_gives_the_same_chances_and_another_one_others() -> None:
    def chances(seed: int) -> list[object]:
        ports = memory_ports(lambda: 0, seed)
        return [ports.dice(), ports.token(), ports.dice(), ports.token()]

    assert chances(1) == chances(1) != chances(2)
    assert all(len(str(token)) == 16 for token in chances(1)[1::2])
