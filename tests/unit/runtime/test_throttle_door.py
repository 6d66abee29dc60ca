"""Which jobs come in: one alive for a key, or the newest of many."""

import asyncio
from collections.abc import Callable
from typing import ClassVar, Literal

import pytest

from infra.testing import Longshore, Producer
from shared.errors import Conflict
from shared.outcomes import Snooze
from shared.payloads.base import Payload
from shared.retry import Policy
from shared.runtime.context import Context
from shared.runtime.definition import JobType
from shared.status import Status
from shared.throttle import Debounce, Door, Singleton


class SyncPayload(Payload):
    type: Literal["sync"] = "sync"
    shop: str = "a"
    text: str = ""


def use(longshore: Longshore, door: Door, *, end: Callable[[], object] = lambda: None) -> type[SyncPayload]:
    class Sync(SyncPayload):
        policy: ClassVar[Policy] = Policy(timeout_s=60, inline_result=True, door=door)

    async def sync(_payload: Sync, context: Context) -> object:
        return end() if context.epoch == 1 else None

    longshore.use(JobType(Sync, sync))  # type: ignore[arg-type]  # may end as it likes
    return Sync


def statuses(longshore: Longshore) -> list[Status]:
    return [row.status for row in longshore.world.jobs.rows.values()]


def test_a_second_is_the_first_while_that_is_alive_through_its_retries(longshore: Longshore) -> None:
    model = use(longshore, Singleton(by="shop"), end=lambda: Snooze(60))
    first, other = longshore.submit(model()), longshore.submit(model(shop="b"))
    longshore.drain()
    assert longshore.submit(model(text="another")).job_id == first.job_id != other.job_id
    longshore.drain(with_scheduled=True)
    assert longshore.submit(model()).job_id != first.job_id
    longshore.drain(with_scheduled=True)
    assert statuses(longshore) == [Status.SUCCESS] * 3


def test_a_second_is_refused_where_the_author_says_so_and_the_same_key_is_the_same_job(longshore: Longshore) -> None:
    model = use(longshore, Singleton(second="refuse"))
    first = longshore.submit(model(), idempotency_key="k")
    assert longshore.submit(model(), idempotency_key="k").job_id == first.job_id
    with pytest.raises(Conflict, match=first.job_id):
        longshore.submit(model())
    assert longshore.submit(model(tenant_id="other")).job_id != first.job_id
    longshore.drain()
    longshore.submit(model())
    assert longshore.submit(model(), idempotency_key="k").job_id == first.job_id, "over, and still what the key means"


def test_of_many_that_come_at_once_one_is_alive(longshore: Longshore) -> None:
    model = use(longshore, Singleton())

    async def together() -> set[str]:
        return {job.job_id for job in await asyncio.gather(*(longshore.service.submit(model()) for _ in range(8)))}

    assert len(longshore.run(together())) == 1
    assert statuses(longshore) == [Status.QUEUED]


def test_a_door_that_died_between_its_writes_stops_nobody_and_comes_too_late(longshore: Longshore) -> None:
    model = use(longshore, Singleton())
    apply = longshore.world.jobs.apply
    late = []

    async def slow(move: object) -> object:
        late.append(move)
        raise asyncio.CancelledError

    longshore.world.jobs.apply = slow  # type: ignore[method-assign,assignment]  # a door that dies before its second write
    with pytest.raises(asyncio.CancelledError):
        longshore.submit(model())
    longshore.world.jobs.apply = apply  # type: ignore[method-assign]  # mended
    longshore.clock.advance(11)
    second = longshore.submit(model())
    longshore.run(apply(late[0]))  # type: ignore[arg-type]  # a move
    assert sorted(statuses(longshore)) == [Status.CANCELLED, Status.QUEUED]
    assert longshore.job(second).status is Status.QUEUED


def test_the_newest_runs_when_it_is_quiet(longshore: Longshore) -> None:
    model = use(longshore, Debounce(quiet_s=10, max_wait_s=60))
    for number in range(4):
        newest = longshore.submit(model(text=str(number)))
        longshore.clock.advance(5)
        longshore.drain()
    assert statuses(longshore) == [Status.CANCELLED] * 3 + [Status.QUEUED]
    longshore.drain(with_scheduled=True)
    assert longshore.job(newest).status is Status.SUCCESS


def test_it_waits_no_longer_than_it_may(longshore: Longshore) -> None:
    model = use(longshore, Debounce(quiet_s=10, max_wait_s=30))
    for _ in range(20):
        longshore.submit(model())
        longshore.clock.advance(5)
        longshore.drain()
    ran = statuses(longshore).count(Status.SUCCESS)
    assert 2 <= ran <= 4
    longshore.drain(with_scheduled=True)
    assert statuses(longshore)[-1] is Status.SUCCESS


@pytest.mark.parametrize("door", [Singleton(), Debounce(quiet_s=5, max_wait_s=60)], ids=["singleton", "debounce"])
def test_whatever_breaks_at_the_door_nothing_is_lost(longshore: Longshore, door: Door) -> None:
    model = use(longshore, door)

    async def one(producer: Producer) -> None:
        await producer.until(await producer.submit(model()))

    assert longshore.crash_points(one) > 20


def test_a_crash_between_two_debounced_leaves_the_newest_to_run(longshore: Longshore) -> None:
    model = use(longshore, Debounce(quiet_s=10, max_wait_s=60))
    longshore.submit(model(), idempotency_key="old")

    async def dead(*_: object) -> None:
        raise asyncio.CancelledError

    get, calls = longshore.world.jobs.get, 0

    async def dies_at_the_cancel(tenant_id: str, job_id: str) -> object:
        nonlocal calls
        calls += 1
        return await (get(tenant_id, job_id) if calls < 3 else dead())

    longshore.world.jobs.get = dies_at_the_cancel  # type: ignore[method-assign,assignment]  # a door that dies
    with pytest.raises(asyncio.CancelledError):
        longshore.submit(model(), idempotency_key="new")
    longshore.world.jobs.get = get  # type: ignore[method-assign]  # mended
    assert statuses(longshore) == [Status.QUEUED, Status.QUEUED]
    newest = longshore.submit(model(), idempotency_key="new")
    assert statuses(longshore) == [Status.CANCELLED, Status.QUEUED], "asked again, it ends what it began"
    longshore.drain(with_scheduled=True)
    assert longshore.job(newest).status is Status.SUCCESS
