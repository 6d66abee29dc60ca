"""Jobs that wait: for their turn, for a place, for the end of a pause. None is lost, none spends an attempt."""

import asyncio
from collections import Counter
from collections.abc import Callable
from typing import ClassVar, Literal

import pytest

from infra.testing import Longshore, Producer, die
from shared.errors import NotFound, WorldFault
from shared.job import Job
from shared.memory.side import MemorySide
from shared.outcomes import Snooze
from shared.pause import Pause
from shared.payloads.base import Payload
from shared.retry import Policy
from shared.runtime.context import Context
from shared.runtime.definition import JobType
from shared.runtime.parking import change_held, hand_over, held_of, parked_at, room_pk
from shared.runtime.pause import pause, pause_pk, resume
from shared.status import Status
from shared.throttle import Concurrency, Hold, Rate, Room, Throttle, read_throttles

LASTS_S = 5


class CallPayload(Payload):
    type: Literal["call"] = "call"
    policy: ClassVar[Policy] = Policy(timeout_s=60, inline_result=True)
    host: str = "a"


def throttled(*throttles: Throttle) -> type[CallPayload]:
    class Throttled(CallPayload):
        policy: ClassVar[Policy] = Policy(timeout_s=60, inline_result=True, throttles=throttles)

    Throttled.model_rebuild()
    return Throttled


class Ran:
    """What ran when, and how many at once. `ends`: how a run ends, by its number; it lasts five seconds."""

    def __init__(self, longshore: Longshore) -> None:
        self.longshore = longshore
        self.began: dict[str, list[int]] = {}
        self.alive: Counter[str] = Counter()
        self.most = 0
        self.ends: dict[int, Callable[[], object]] = {}

    def use(self, *throttles: Throttle) -> type[CallPayload]:
        model = throttled(*throttles)

        async def call(payload: CallPayload, context: Context) -> object:
            self.began.setdefault(context.job_id, []).append(self.longshore.clock.now())
            self.alive[payload.host] += 1
            self.most = max(self.most, self.alive[payload.host])
            try:
                await asyncio.sleep(LASTS_S)
                return await asyncio.sleep(0, self.ends.get(context.epoch, lambda: None)())
            finally:
                self.alive[payload.host] -= 1

        self.longshore.use(JobType(model, call))  # type: ignore[arg-type]  # may end as it likes
        return model

    @property
    def times(self) -> list[int]:
        return sorted(at for times in self.began.values() for at in times)


@pytest.fixture
def ran(longshore: Longshore) -> Ran:
    return Ran(longshore)


@pytest.fixture
def received(longshore: Longshore, monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """How often each wake-up was received, by its body."""
    counts: Counter[str] = Counter()
    take = longshore.world.queues._take

    def counted(queue: str, most: int) -> object:
        messages = take(queue, most)
        counts.update(message.body for message in messages)
        return messages

    monkeypatch.setattr(longshore.world.queues, "_take", counted)
    return counts


def rows(longshore: Longshore) -> list[Job]:
    return list(longshore.world.jobs.rows.values())


def side(longshore: Longshore) -> MemorySide:
    store = longshore.ports.side
    assert isinstance(store, MemorySide)
    return store


def all_succeeded(longshore: Longshore, count: int) -> None:
    ended = Counter((job.status, job.attempts) for job in rows(longshore))
    assert ended == {(Status.SUCCESS, 0): count}
    assert not any(longshore.world.queues.held.values())


# --- rates ------------------------------------------------------------------------------------------------------------


def test_two_hundred_jobs_keep_the_rate_and_each_bounces_once(
    longshore: Longshore, ran: Ran, received: Counter[str]
) -> None:
    model = ran.use(Rate(10, 60, by="host", burst=4))
    for _ in range(200):
        longshore.submit(model())
    longshore.drain(with_scheduled=True)
    all_succeeded(longshore, 200)
    assert max(received.values()) == 2
    for first, over in zip(ran.times, ran.times[10:], strict=False):
        assert over - first >= 60_000 - 2_000, "what comes back may be early by two clocks' difference"


def test_another_host_has_a_rate_of_its_own(longshore: Longshore, ran: Ran, received: Counter[str]) -> None:
    model = ran.use(Rate(1, 3600, by="host"))
    for host in "abc":
        longshore.submit(model(host=host))
    longshore.drain()
    all_succeeded(longshore, 3)
    assert set(received.values()) == {1}


def test_a_duplicate_that_comes_later_uses_up_no_slot(longshore: Longshore, ran: Ran) -> None:
    model = ran.use(Rate(1, 60))
    first, second = longshore.submit(model()), longshore.submit(model())
    longshore.run(longshore.world.react())
    (held, *_) = longshore.world.queues.held["call"]
    for _ in range(5):
        longshore.send("call", held.body)
    longshore.run(longshore.world.drain(batch=1))
    all_succeeded(longshore, 2)
    assert ran.began[second.job_id][0] - ran.began[first.job_id][0] <= 62_000


def test_each_run_of_a_job_takes_a_slot_of_its_own(longshore: Longshore, ran: Ran) -> None:
    ran.ends = {1: lambda: Snooze(1), 2: lambda: Snooze(1)}
    model = ran.use(Rate(1, 60))
    longshore.submit(model())
    longshore.drain(with_scheduled=True)
    all_succeeded(longshore, 1)
    assert [later - before >= 58_000 for before, later in zip(ran.times, ran.times[1:], strict=False)] == [True, True]


# --- places -----------------------------------------------------------------------------------------------------------


def test_no_more_than_the_places_run_at_once_and_each_is_woken_once(
    longshore: Longshore, ran: Ran, received: Counter[str]
) -> None:
    model = ran.use(Concurrency(3, by="host"))
    for _ in range(200):
        longshore.submit(model())
    longshore.drain(with_scheduled=True)
    all_succeeded(longshore, 200)
    assert ran.most == 3
    assert max(received.values()) == 2
    room = read_throttles(rows(longshore)[0].throttles).room
    assert room
    assert longshore.run(held_of(longshore.ports, room)) == {}
    assert longshore.run(parked_at(longshore.ports, room_pk(room), limit=1)) == []


def test_the_longest_due_is_first(longshore: Longshore, ran: Ran) -> None:
    model = ran.use(Concurrency(1))
    ids = []
    for _ in range(8):
        ids.append(longshore.submit(model()).job_id)
        longshore.clock.advance(0.01)
    longshore.drain(with_scheduled=True)
    assert sorted(ids, key=lambda job_id: ran.began[job_id]) == ids


def test_a_retry_and_a_snooze_give_their_place_to_others(longshore: Longshore, ran: Ran) -> None:
    ran.ends = {1: lambda: Snooze(600)}
    model = ran.use(Concurrency(1))
    first, second = longshore.submit(model()), longshore.submit(model())
    longshore.drain(with_scheduled=True)
    all_succeeded(longshore, 2)
    assert ran.began[second.job_id][0] < ran.began[first.job_id][1]


def test_a_worker_that_dies_keeps_the_place_of_its_job_until_that_has_ended(longshore: Longshore, ran: Ran) -> None:
    model = ran.use(Concurrency(2))
    deaths = 0

    async def deadly(_payload: CallPayload, context: Context) -> None:
        nonlocal deaths
        ran.alive["a"] += 1
        ran.most = max(ran.most, ran.alive["a"])
        await asyncio.sleep(LASTS_S)
        ran.alive["a"] -= 1
        if context.epoch == 1 and deaths < 10:
            deaths += 1
            ran.alive.clear()
            await die()

    longshore.use(JobType(model, deadly))
    for _ in range(40):
        longshore.submit(model())
    longshore.drain(with_scheduled=True)
    assert {job.status for job in rows(longshore)} == {Status.SUCCESS}
    assert (ran.most, deaths) == (2, 10)


def test_a_job_that_is_cancelled_with_a_place_in_its_hand_gives_it_on(longshore: Longshore, ran: Ran) -> None:
    model = ran.use(Concurrency(1))
    first, second, third = (longshore.submit(model()).job_id for _ in range(3))
    longshore.run(longshore.world.react())
    for _ in range(3):
        longshore.run(longshore.world.invoke("call", batch=1))
    longshore.run(longshore.world.react())
    held = [
        job_id for job_id in (second, third) if any(job_id in one.body for one in longshore.world.queues.held["call"])
    ]
    longshore.cancel(held[0])
    longshore.drain(with_scheduled=True)
    assert longshore.job(first).status is Status.SUCCESS
    assert sorted([longshore.job(second).status, longshore.job(third).status]) == [Status.CANCELLED, Status.SUCCESS]


def hold_by_hand(longshore: Longshore, job: Job, until: int) -> Room:
    """As a worker does that dies before its claim."""
    room = read_throttles(job.throttles).room
    assert room
    held = {job.key: Hold(job.epoch + 1, until, "x")}
    longshore.run(change_held(longshore.ports, room, lambda _: held))
    return room


def test_a_place_whose_holder_never_began_is_free_when_its_lease_is_over(longshore: Longshore, ran: Ran) -> None:
    model = ran.use(Concurrency(1))
    lost = longshore.submit(model(), delay_s=3_600)
    hold_by_hand(longshore, longshore.run(longshore.service.get("default", lost.job_id)), longshore.clock.now() + 5_000)
    early = longshore.submit(model())
    longshore.drain()
    assert longshore.job(early).status is Status.QUEUED
    longshore.clock.advance(6)
    later = longshore.submit(model())
    longshore.drain()
    assert [longshore.job(job).status for job in (early, later)] == [Status.SUCCESS, Status.SUCCESS]


def test_a_place_that_becomes_free_while_a_job_is_parked_is_taken_by_it(longshore: Longshore, ran: Ran) -> None:
    model = ran.use(Concurrency(1))
    other = longshore.submit(model(), delay_s=3_600)
    row = longshore.run(longshore.service.get("default", other.job_id))
    room = hold_by_hand(longshore, row, longshore.clock.now() + 10**9)
    store = side(longshore)
    put = store.put_once

    async def freed_meanwhile(pk: str, sk: str, body: str, *, expires_at: int | None = None) -> bool:
        if pk == room_pk(room):
            await hand_over(longshore.ports, room, {row.key: 1})
        return await put(pk, sk, body, expires_at=expires_at)

    store.put_once = freed_meanwhile  # type: ignore[method-assign]  # the race, played
    mine = longshore.submit(model())
    longshore.drain()
    assert longshore.job(mine).status is Status.SUCCESS


def test_a_rate_and_a_place_are_both_kept(longshore: Longshore, ran: Ran, received: Counter[str]) -> None:
    model = ran.use(Rate(6, 60, burst=3), Concurrency(2))
    for _ in range(60):
        longshore.submit(model())
    longshore.drain(with_scheduled=True)
    all_succeeded(longshore, 60)
    assert ran.most <= 2
    assert max(received.values()) <= 3, "once for each"
    for first, over in zip(ran.times, ran.times[6:], strict=False):
        assert over - first >= 58_000


def test_what_was_sent_bare_waits_as_all_others(longshore: Longshore, ran: Ran) -> None:
    ran.use(Concurrency(1))
    for number in range(5):
        longshore.send("call", f'{{"job_id": "job-{number}", "tenantId": "acme"}}')
    longshore.send("call", '{"job_id": "job-1", "tenantId": "acme"}')
    longshore.drain(with_scheduled=True)
    all_succeeded(longshore, 5)
    assert ran.most == 1


@pytest.mark.parametrize("throttle", [Rate(1, 60), Concurrency(1)], ids=["rate", "place"])
def test_whatever_breaks_where_it_waits_as_it_should_and_ends(longshore: Longshore, throttle: Throttle) -> None:
    """Every crash point of two jobs of which one must wait for the other."""
    model = throttled(throttle)
    alive, most = 0, 0

    async def call(_payload: CallPayload, _context: Context) -> None:
        nonlocal alive, most
        alive += 1
        most = max(most, alive)
        try:
            await asyncio.sleep(LASTS_S)
        finally:
            alive -= 1

    async def two(producer: Producer) -> None:
        first, second = await producer.submit(model()), await producer.submit(model())
        await producer.until(first)
        await producer.until(second)

    longshore.use(JobType(model, call))
    assert longshore.crash_points(two) > 50
    assert most == 1 or isinstance(throttle, Rate)


# --- what costs nothing -----------------------------------------------------------------------------------------------


def test_a_type_without_throttles_costs_one_read_in_five_seconds(
    longshore: Longshore, ran: Ran, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = longshore.world.plan.calls
    model = ran.use()
    for _ in range(10):
        longshore.submit(model())
    calls.clear()
    longshore.drain()
    assert Counter(calls) == {"queues.send": 1, "side.query": 1, "jobs.apply": 20}


def test_what_a_wait_costs(longshore: Longshore, ran: Ran) -> None:
    """Beside its claim and settlement: to pass, a read and a read and write of the limiter; to wait, a write more."""
    calls = longshore.world.plan.calls
    model = ran.use(Rate(1, 60))
    longshore.submit(model())
    calls.clear()
    longshore.drain()
    passing = {"jobs.get": 1, "side.query": 1, "side.get": 2, "side.swap": 1, "jobs.apply": 2, "queues.send": 1}
    assert Counter(calls) == passing
    longshore.submit(model())
    calls.clear()
    longshore.drain(with_scheduled=True)
    waiting = Counter({"jobs.get": 1, "side.query": 1, "side.get": 1, "side.put_once": 1, "queues.hide": 1})
    assert Counter(calls) == waiting + Counter(passing)


# --- pauses -----------------------------------------------------------------------------------------------------------


def paused(longshore: Longshore, *, tenant_id: str | None = "default", job_type: str | None = "call") -> Pause:
    made = Pause(tenant_id=tenant_id, type=job_type, since=longshore.clock.now(), who="ops", token="1" * 16)
    return longshore.run(pause(longshore.ports, made))


def resumed(longshore: Longshore, pause_id: str, *, tenant_id: str = "default", seconds: float = 60) -> tuple[int, int]:
    until = longshore.clock.now() + round(seconds * 1000)
    done = longshore.run(resume(longshore.ports, pause_id, tenant_id, until=until))
    return done.woken, done.left


def test_what_is_paused_waits_in_no_queue_and_comes_back_whole(
    longshore: Longshore, ran: Ran, received: Counter[str]
) -> None:
    model = ran.use()
    paused(longshore)
    for _ in range(150):
        longshore.submit(model())
    longshore.send("call", '{"job_id": "bare"}')
    longshore.drain(with_scheduled=True)
    longshore.clock.advance(3 * 24 * 3600)
    longshore.drain(with_scheduled=True)
    assert ran.began == {}
    assert not any(longshore.world.queues.held.values())
    assert {job.status for job in rows(longshore)} == {Status.QUEUED}
    assert resumed(longshore, "tenant.call") == (151, 0)
    longshore.drain(with_scheduled=True)
    all_succeeded(longshore, 151)
    assert max(received.values()) == 2
    with pytest.raises(NotFound):
        resumed(longshore, "tenant.call")


def test_a_pause_of_one_tenant_stops_nobody_else(longshore: Longshore, ran: Ran) -> None:
    model = ran.use()
    paused(longshore, job_type=None)
    mine, other = longshore.submit(model()), longshore.submit(model(tenant_id="other"))
    longshore.drain()
    assert longshore.job(mine).status is Status.QUEUED
    assert longshore.run(longshore.service.get("other", other.job_id)).status is Status.SUCCESS
    with pytest.raises(NotFound):
        resumed(longshore, "tenant.all", tenant_id="other")


def test_a_resume_that_runs_out_of_time_is_gone_on_with(longshore: Longshore, ran: Ran) -> None:
    model = ran.use()
    paused(longshore, tenant_id=None)
    for _ in range(30):
        longshore.submit(model())
    longshore.drain()
    assert resumed(longshore, "stack.call", seconds=0) == (0, 30)
    longshore.submit(model())
    longshore.drain()
    assert len(ran.began) == 1, "it holds nobody any more"
    assert resumed(longshore, "stack.call") == (30, 0)
    longshore.drain()
    all_succeeded(longshore, 31)


def test_a_job_that_is_parked_while_it_is_resumed_runs_all_the_same(longshore: Longshore, ran: Ran) -> None:
    """The worker still believes in a pause that is over."""
    model = ran.use()
    paused(longshore)
    store = side(longshore)
    put = store.put_once

    async def resumed_meanwhile(pk: str, sk: str, body: str, *, expires_at: int | None = None) -> bool:
        if pk.startswith("paused-by#"):
            store.put_once = put  # type: ignore[method-assign]  # once
            await resume(longshore.ports, "tenant.call", "default", until=longshore.clock.now() + 60_000)
        return await put(pk, sk, body, expires_at=expires_at)

    store.put_once = resumed_meanwhile  # type: ignore[method-assign]  # the race, played
    longshore.submit(model())
    longshore.drain()
    all_succeeded(longshore, 1)


def test_whatever_breaks_while_it_is_paused_and_resumed_it_ends(longshore: Longshore, ran: Ran) -> None:
    model = ran.use()

    async def story(producer: Producer) -> None:
        now = longshore.clock.now
        made = Pause(tenant_id="default", type="call", since=1, who="ops", token="1" * 16)
        job = await producer.submit(model())
        if job.status is Status.QUEUED and job.seq == 1:
            await pause(producer.ports, made)
        try:
            await asyncio.sleep(30)
            await resume(producer.ports, "tenant.call", "default", until=now() + 10**12)
        except NotFound:
            pass
        await producer.until(job)

    longshore.crash_points(story)


def test_pauses_that_cannot_be_read_stop_nobody_and_end_nothing(longshore: Longshore, ran: Ran) -> None:
    model = ran.use()
    store = side(longshore)
    query = store.query

    async def down(*_: object, **__: object) -> object:
        raise WorldFault("throttled", "query")

    store.query = down  # type: ignore[method-assign,assignment]  # a table that is throttled
    longshore.submit(model())
    longshore.drain()
    store.query = query  # type: ignore[method-assign]  # mended
    all_succeeded(longshore, 1)
    assert pause_pk("a#b") != room_pk(read_throttles('[["room","a#b",1]]').room)  # type: ignore[arg-type]  # there


def test_a_pause_that_is_there_already_stays_as_it_is(longshore: Longshore) -> None:
    first = paused(longshore)
    longshore.clock.advance(5)
    assert paused(longshore) == first
