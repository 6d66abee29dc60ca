"""Schedules through their shell: no crash, race or delay loses a run or makes two of one."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from contextlib import closing
from dataclasses import replace
from itertools import islice
from typing import Any, Final

import pytest

from infra.testing.crash import Producer
from infra.testing.faults import Fault, Plan, Process, faulty
from infra.testing.kit import Longshore
from shared.errors import Conflict, InvalidInput, NotFound, WorldFault
from shared.memory.clock import EPOCH_MS
from shared.ports import Ports
from shared.runtime import schedules
from shared.schedule import SHARDS, LastRun, ScheduleTerms, job_id_of, paused, resumed
from shared.schedule_times import times
from shared.status import Status

MINUTE_MS: Final = 60_000
FAR: Final = EPOCH_MS + 10**12


def terms(**said: Any) -> ScheduleTerms:
    asked = {"name": "every minute", "cron": "* * * * *", "payload": {"type": "generic", "operation": "echo"}, **said}
    return ScheduleTerms.model_validate(asked)


async def entries(ports: Ports) -> list[str]:
    pages = [await ports.side.query(f"due#{shard}", limit=1000, up_to="9") for shard in range(SHARDS)]
    return [entry for page in pages for entry, _ in page]


def created(kit: Longshore, **said: Any) -> str:
    found, _ = kit.run(schedules.create(kit.ports, "default", terms(**said), who="ann"))
    return found.schedule_id


def tick(kit: Longshore) -> int:
    return kit.run(schedules.tick(kit.ports, ends_at=FAR))


def rows(kit: Longshore) -> list[str]:
    return [job.job_id for job in kit.world.jobs.rows.values()]


# --- what people see --------------------------------------------------------------------------------------------------


def test_a_schedule_submits_a_job_each_time_it_is_due(longshore: Longshore) -> None:
    schedule_id = created(longshore, payload={"type": "generic", "operation": "echo", "metadata": {"item_id": "n"}})
    assert tick(longshore) == 0
    longshore.clock.advance(61)
    assert tick(longshore) == 1
    assert tick(longshore) == 0
    assert longshore.drain().succeeded == 1
    (job_id,) = rows(longshore)
    assert longshore.job(job_id).metadata == {"item_id": "n", "schedule_id": schedule_id}
    found = longshore.run(schedules.schedule(longshore.ports, "default", schedule_id))
    assert found.last is not None
    assert (found.last.job_id, found.last.due_at) == (job_id, EPOCH_MS + MINUTE_MS)
    assert longshore.run(entries(longshore.ports)) == [found.entry]


def test_a_run_that_still_goes_on_is_left_alone_or_cancelled(longshore: Longshore) -> None:
    for overlap, statuses in (("skip", [Status.QUEUED]), ("cancel_previous", [Status.CANCELLED, Status.QUEUED])):
        schedule_id = created(longshore, overlap=overlap)
        for _ in range(2):
            longshore.clock.advance(60)
            tick(longshore)
        mine = [job for job in longshore.world.jobs.rows.values() if schedule_id in (job.metadata or "")]
        assert [job.status for job in mine] == statuses
        longshore.run(schedules.delete(longshore.ports, "default", schedule_id))
    assert longshore.run(entries(longshore.ports)) == []


def test_a_paused_schedule_sleeps_and_a_deleted_one_is_gone(longshore: Longshore) -> None:
    schedule_id = created(longshore)
    longshore.run(schedules.change(longshore.ports, "default", schedule_id, paused))
    longshore.clock.advance(600)
    assert tick(longshore) == 0
    longshore.run(schedules.change(longshore.ports, "default", schedule_id, resumed))
    longshore.clock.advance(60)
    tick(longshore)
    assert len(rows(longshore)) == 1
    longshore.run(schedules.delete(longshore.ports, "default", schedule_id))
    longshore.clock.advance(600)
    assert tick(longshore) == 0
    with pytest.raises(NotFound):
        longshore.run(schedules.schedule(longshore.ports, "default", schedule_id))


def test_the_same_id_is_the_same_schedule_and_one_that_was_deleted_begins_anew(longshore: Longshore) -> None:
    ports, asked = longshore.ports, terms(schedule_id="nightly")
    first, is_new = longshore.run(schedules.create(ports, "default", asked, who="ann"))
    longshore.run(schedules.change(ports, "default", "nightly", paused))
    again, is_again_new = longshore.run(schedules.create(ports, "default", asked, who="bob"))
    assert (is_new, is_again_new, again.birth, again.state) == (True, False, first.birth, "paused")
    with pytest.raises(Conflict, match="another schedule"):
        longshore.run(schedules.create(ports, "default", terms(schedule_id="nightly", jitter_s=5), who="ann"))
    longshore.run(schedules.delete(ports, "default", "nightly"))
    other, _ = longshore.run(schedules.create(ports, "default", terms(schedule_id="nightly", jitter_s=5), who="ann"))
    assert job_id_of(other, EPOCH_MS) != job_id_of(first, EPOCH_MS)


def test_a_run_by_hand_is_a_job_of_its_own(longshore: Longshore) -> None:
    schedule_id = created(longshore, overlap="skip")
    job = longshore.run(schedules.run_now(longshore.ports, "default", schedule_id))
    longshore.clock.advance(60)
    tick(longshore)
    assert rows(longshore) == [job.job_id]
    found = longshore.run(schedules.schedule(longshore.ports, "default", schedule_id))
    assert found.skipped is not None, "the one by hand was not over"


@pytest.mark.parametrize(
    ("said", "field"),
    [
        ({"cron": "0 0 */10 2 MON#5"}, "cron"),
        ({"cron": None, "at": "2025-12-31T23:59:59Z"}, "at"),
        ({"payload": {"type": "generic"}}, "payload.operation"),
        ({"payload": {"type": "webhook", "webhook_id": "x"}}, "payload.type"),
        ({"payload": {"type": "generic", "operation": "echo", "jobId": "mine"}}, "payload.job_id"),
        ({"payload": {"type": "generic", "operation": "echo", "metadata": 3}}, "payload.metadata"),
        ({"payload": {"type": "generic", "operation": "echo", "parameters": {"x": "x" * 5000}}}, "payload"),
    ],
)
def test_what_could_never_run_is_refused_at_the_door(longshore: Longshore, said: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        created(longshore, **said)
    assert refused.value.field == field
    assert longshore.run(schedules.schedules(longshore.ports, "default")) == []


def test_a_tenant_has_a_thousand_schedules_and_no_more(longshore: Longshore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(schedules, "SCHEDULES_MAX", 2)
    created(longshore)
    created(longshore, schedule_id="mine")
    assert created(longshore, schedule_id="mine") == "mine"
    with pytest.raises(Conflict, match="at most"):
        created(longshore)


def test_a_payload_that_is_no_longer_valid_is_told_and_stops_nobody(longshore: Longshore) -> None:
    broken, sound = created(longshore), created(longshore)
    ports = longshore.ports
    before = longshore.world.ports.side
    body = longshore.run(before.get("schedules#default", broken))
    assert body is not None
    longshore.run(before.swap("schedules#default", broken, old=body, new=body.replace('"echo"', "3")))
    longshore.clock.advance(60)
    tick(longshore)
    found = longshore.run(schedules.schedule(ports, "default", broken))
    assert found.skipped is not None
    assert "operation" in found.skipped.reason
    assert longshore.run(schedules.schedule(ports, "default", sound)).last is not None


def test_a_document_that_cannot_be_read_stops_nobody_and_is_told(longshore: Longshore) -> None:
    broken, sound = created(longshore), created(longshore)
    side = longshore.ports.side
    body = longshore.run(side.get("schedules#default", broken))
    longshore.run(side.swap("schedules#default", broken, old=body, new="t nonsense"))
    longshore.clock.advance(60)
    with pytest.raises(ValueError, match="json"):
        tick(longshore)
    assert longshore.run(schedules.schedule(longshore.ports, "default", sound)).last is not None


# --- what the world does ----------------------------------------------------------------------------------------------


def test_no_crash_point_of_the_whole_loses_a_run_or_makes_two(longshore: Longshore) -> None:
    async def story(producer: Producer) -> None:
        births = iter(["the same in all worlds, so that its jobs are the same"])
        ports = replace(producer.ports, token=lambda: next(births, None) or producer.ports.token())
        await schedules.create(ports, "default", terms(schedule_id="nightly"), who="ann")
        await asyncio.sleep(max(0, EPOCH_MS + MINUTE_MS + 5_000 - ports.now()) / 1000)
        await schedules.tick(producer.ports, ends_at=FAR)

    def check(kit: Longshore) -> None:
        found = kit.run(schedules.schedule(kit.ports, "default", "nightly"))
        assert job_id_of(found, EPOCH_MS + MINUTE_MS) in rows(kit)
        assert found.entry in kit.run(entries(kit.ports))

    assert longshore.crash_points(story, check) > 100


POLICIES: Final[list[tuple[dict[str, str], list[Status]]]] = [
    ({}, [Status.QUEUED] * 3),
    ({"missed": "all"}, [Status.QUEUED] * 3),
    ({"missed": "skip"}, [Status.QUEUED] * 3),
    ({"overlap": "skip"}, [Status.QUEUED]),
    ({"overlap": "cancel_previous"}, [Status.CANCELLED, Status.CANCELLED, Status.QUEUED]),
]


@pytest.mark.parametrize(("policy", "expected"), POLICIES, ids=str)
def test_wherever_a_tick_dies_the_next_ones_come_to_the_same(policy: dict[str, str], expected: list[Status]) -> None:
    """Jobs that nobody runs."""
    calm = Plan()
    _play(calm, policy, expected)
    for at in range(1, len(calm.calls) + 1):
        for fault in Fault:
            _play(Plan(fault, at), policy, expected)


def _play(plan: Plan, policy: dict[str, str], expected: list[Status]) -> None:
    kit = Longshore()

    async def told(ports: Ports) -> None:
        await schedules.create(ports, "default", terms(schedule_id="nightly", **policy), who="ann")
        await schedules.tick(ports, ends_at=FAR)  # at once: what waits too long is skipped, or stands for two
        while ports.now() < EPOCH_MS + 3 * MINUTE_MS:
            await asyncio.sleep(40)
            await schedules.tick(ports, ends_at=FAR)

    async def story() -> None:
        lives = False
        while not lives:
            process = Process(plan)
            lives = await process.lives_through(told(faulty(kit.ports, process)))
        await schedules.tick(kit.ports, ends_at=FAR)
        found = await schedules.schedule(kit.ports, "default", "nightly")
        ids = [job_id_of(found, EPOCH_MS + n * MINUTE_MS) for n in (1, 2, 3)]
        jobs = kit.world.jobs.rows
        assert [(job.job_id, job.status) for job in jobs.values()] == [*zip(ids, expected, strict=False)], plan
        assert found.last == LastRun(due_at=EPOCH_MS + len(expected) * MINUTE_MS, job_id=ids[len(expected) - 1])
        assert found.entry in await entries(kit.ports)
        await asyncio.sleep(30 * 60)
        await schedules.tick(kit.ports, ends_at=FAR)
        found = await schedules.schedule(kit.ports, "default", "nightly")
        assert await entries(kit.ports) == [found.entry], "what was left over is dropped when its time comes"

    with closing(kit):
        kit.run(story())


def test_what_a_tick_began_is_known_to_the_next_though_it_came_late(longshore: Longshore) -> None:
    """Else the second due time would run beside the first, whose job the document had not heard of."""

    async def story() -> None:
        await schedules.create(longshore.ports, "default", terms(schedule_id="s", overlap="skip"), who="ann")
        await asyncio.sleep(60)
        process = Process(Plan(Fault.KILL_AFTER, SHARDS + 3))  # the queries, the document, its decision, the job
        assert not await process.lives_through(_tick(faulty(longshore.ports, process)))
        await asyncio.sleep(60)
        await schedules.tick(longshore.ports, ends_at=FAR)
        assert len(longshore.world.jobs.rows) == 1
        found = await schedules.schedule(longshore.ports, "default", "s")
        assert found.last is not None
        assert found.skipped is not None
        assert (found.last.due_at, found.skipped.due_at) == (EPOCH_MS + MINUTE_MS, EPOCH_MS + 2 * MINUTE_MS)

    longshore.run(story())


async def _tick(ports: Ports) -> None:
    await schedules.tick(ports, ends_at=FAR)


class Weather:
    """Every call takes a while, and some are throttled, or never answered."""

    def __init__(self, dice: random.Random) -> None:
        self._dice = dice

    async def call(self, _name: str, real: Callable[[], Awaitable[Any]]) -> Any:
        await asyncio.sleep(self._dice.choice((0, 0, 0.01, 5, 100)))
        if self._dice.random() < 0.03:
            raise WorldFault("throttled", "by the weather")
        answer = await real()
        if self._dice.random() < 0.03:
            raise WorldFault("timeout", "the answer was lost")
        await asyncio.sleep(self._dice.choice((0, 0, 0.01, 5)))
        return answer


@pytest.mark.parametrize("seed", range(25))
def test_many_who_tick_pause_and_resume_at_once_leave_a_schedule_that_lives(longshore: Longshore, seed: int) -> None:
    dice = random.Random(seed)
    ports = faulty(longshore.ports, Weather(dice))
    acts: list[Callable[[], Awaitable[object]]] = [
        lambda: schedules.tick(ports, ends_at=FAR),
        lambda: schedules.tick(ports, ends_at=FAR),
        lambda: schedules.create(ports, "default", terms(schedule_id="s"), who="ann"),
        lambda: schedules.change(ports, "default", "s", resumed),
        lambda: schedules.change(ports, "default", "s", paused),
        lambda: schedules.run_now(ports, "default", "s"),
    ]

    async def somebody() -> None:
        for _ in range(15):
            try:
                async with asyncio.timeout(dice.choice((20, 200, 2000))):  # a process that dies
                    await dice.choice(acts)()
            except (WorldFault, TimeoutError, NotFound):
                await asyncio.sleep(1)

    async def story() -> None:
        await asyncio.gather(*(somebody() for _ in range(4)))
        await schedules.create(longshore.ports, "default", terms(schedule_id="s"), who="ann")
        found = await schedules.change(longshore.ports, "default", "s", resumed)
        begun = longshore.ports.now()
        for _ in range(10):
            await asyncio.sleep(60)
            await schedules.tick(longshore.ports, ends_at=FAR)
        jobs = longshore.world.jobs.rows
        due = [*islice(times(found.terms, begun), 10)]
        assert due[-1] <= longshore.ports.now()
        for due_at in due:
            assert f"default#{job_id_of(found, due_at)}" in jobs, "lost"
        found = await schedules.schedule(longshore.ports, "default", "s")
        assert found.entry in await entries(longshore.ports)

    longshore.run(story())


def test_a_writer_that_stalls_between_the_entry_and_its_document_leaves_no_schedule_without_one(
    longshore: Longshore,
) -> None:
    """A tick finds the entry of a state that is not yet written, and drops it; the writer must not go on."""
    schedule_id = created(longshore)
    stalled, go_on = asyncio.Event(), asyncio.Event()

    class Stalling:
        async def call(self, name: str, real: Callable[[], Awaitable[Any]]) -> Any:
            if name == "side.swap" and not stalled.is_set():
                stalled.set()
                await go_on.wait()
            return await real()

    async def story() -> None:
        await schedules.change(longshore.ports, "default", schedule_id, paused)
        writing = asyncio.ensure_future(
            schedules.change(faulty(longshore.ports, Stalling()), "default", schedule_id, resumed)
        )
        await stalled.wait()
        await asyncio.sleep(3600)
        assert await schedules.tick(longshore.ports, ends_at=FAR) == 1
        assert await entries(longshore.ports) == []
        go_on.set()
        found = await writing
        assert await entries(longshore.ports) == [found.entry]
        assert found.entry == (await schedules.schedule(longshore.ports, "default", schedule_id)).entry

    longshore.run(story())
