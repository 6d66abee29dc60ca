"""What a JobStore promises beside the table of moves."""

import asyncio
from dataclasses import fields, replace

import pytest

from shared.errors import InvalidInput
from shared.job import Job, history_entry
from shared.moves import Lease, beat, claim, settle, submit, submit_cancelled
from shared.ports import Applied, Refused
from shared.status import Event, Status
from tests.contract.conftest import World

NOW = 1_767_225_600_000


def job(tenant_id: str, job_id: str = "job_1", *, created_at: int = NOW) -> Job:
    return Job(
        tenant_id=tenant_id,
        job_id=job_id,
        type="generic",
        status=Status.QUEUED,
        seq=1,
        token=f"door-{job_id}",
        attempts_left=3,
        attempts_max=3,
        created_at=created_at,
        updated_at=created_at,
        due_at=created_at,
        payload='{"operation":"é – \\u0000 𝄞"}',
        payload_hash="0" * 32,
    )


def lease(token: str) -> Lease:
    return Lease(token, NOW + 60_000, alone=False, who="test")


def test_a_row_comes_back_as_it_was_written_every_attribute_of_it(world: World) -> None:
    written = replace(
        job(world.fresh("tenant")),
        alone=True,
        cancel_requested=True,
        started_at=1,
        completed_at=2,
        lease_until=3,
        deadline_at=4,
        priority="low",
        wait_number=5,
        awaits="0 1",
        groups="0 a 1 0 1, 1 b 2 0 1",
        redrives=1,
        parent="job_p 0 0 1 - a",
        throttles="[]",
        user_id="user",
        worker_id="worker",
        metadata="{}",
        progress="",
        checkpoint="[1]",
        error="{}",
        result="key",
        inline_result="null",
        expires_at=6,
    )
    answer = world.run(world.ports.jobs.apply(submit(written)))
    assert isinstance(answer, Applied)
    assert [field.name for field in fields(Job) if getattr(answer.job, field.name) is None] == []
    unchanged = replace(answer.job, history=written.history, list_shard=written.list_shard)
    assert unchanged == written
    assert world.run(world.ports.jobs.get(written.tenant_id, written.job_id)) == answer.job


def test_what_is_not_there_is_none(world: World) -> None:
    assert world.run(world.ports.jobs.get(world.fresh("tenant"), "job_1")) is None


def test_the_same_write_again_has_happened_already_and_another_one_is_refused_with_the_row(world: World) -> None:
    first = submit(job(world.fresh("tenant")))
    answer = world.run(world.ports.jobs.apply(first))
    assert world.run(world.ports.jobs.apply(first)) == answer
    other = submit(replace(job(first.tenant_id), token="another"))
    assert world.run(world.ports.jobs.apply(other)) == Refused(answer.job)


def test_of_many_claims_at_once_one_wins_and_the_losers_see_whose_it_is(world: World) -> None:
    row = job(world.fresh("tenant"))

    async def race() -> list[Applied | Refused]:
        await world.ports.jobs.apply(submit(row))
        claims = (
            claim(row.tenant_id, row.job_id, job_type=row.type, seq=1, lease=lease(f"worker-{n}"), now=NOW)
            for n in range(20)
        )
        return await asyncio.gather(*(world.ports.jobs.apply(move) for move in claims))

    answers = world.run(race())
    (winner,) = (answer.job for answer in answers if isinstance(answer, Applied))
    assert winner.epoch == 1
    assert [answer for answer in answers if isinstance(answer, Refused)] == [Refused(winner)] * 19


def test_progress_and_settlement_reach_the_row_and_the_history_keeps_every_move(world: World) -> None:
    row = job(world.fresh("tenant"))

    async def story() -> Job:
        jobs = world.ports.jobs
        await jobs.apply(submit(row))
        claimed = await jobs.apply(
            claim(row.tenant_id, row.job_id, job_type=row.type, seq=1, lease=lease("worker"), now=NOW)
        )
        assert isinstance(claimed, Applied)
        beaten = await jobs.apply(beat(claimed.job, NOW + 1, progress="[1,2]", lease_until=NOW + 90_000))
        assert isinstance(beaten, Applied)
        assert (beaten.job.progress, beaten.job.lease_until) == ("[1,2]", NOW + 90_000)
        ended = await jobs.apply(
            settle(claimed.job, Event.SUCCEED, {"result": "key"}, now=NOW + 2, token="end", who="test", note="")
        )
        assert isinstance(ended, Applied)
        return ended.job

    ended = world.run(story())
    assert (ended.status, ended.result, ended.lease_until, ended.completed_at) == ("SUCCESS", "key", None, NOW + 2)
    assert ended.history == (
        history_entry(NOW, Event.SUBMIT, "producer"),
        history_entry(NOW, Event.CLAIM, "test"),
        history_entry(NOW + 2, Event.SUCCEED, "test"),
    )


def test_many_rows_are_read_in_the_order_asked_for_and_what_is_not_there_is_none(world: World) -> None:
    jobs, tenant_id, stranger = world.ports.jobs, world.fresh("tenant"), world.fresh("tenant")

    async def story() -> None:
        for number in range(4):
            await jobs.apply(submit(job(tenant_id, f"job_{number}"), is_listed=False))
        await jobs.apply(submit(job(stranger, "job_9"), is_listed=False))
        found = await jobs.get_many(tenant_id, ["job_3", "job_9", "job_0", "job_3"])
        assert [row and row.job_id for row in found] == ["job_3", None, "job_0", "job_3"]
        assert found[2] == await jobs.get(tenant_id, "job_0")
        assert await jobs.get_many(tenant_id, []) == []
        most = [f"job_{number}" for number in range(100)]
        assert [row is not None for row in await jobs.get_many(tenant_id, most)] == [True] * 4 + [False] * 96
        with pytest.raises(InvalidInput):
            await jobs.get_many(tenant_id, [*most, "one_too_many"])

    world.run(story())


def test_a_tombstone_is_there_first_or_not_at_all(world: World) -> None:
    jobs, tenant_id = world.ports.jobs, world.fresh("tenant")

    async def story() -> None:
        tomb = await jobs.apply(submit_cancelled(job(tenant_id)))
        assert isinstance(tomb, Applied)
        assert (tomb.job.status, tomb.job.completed_at, tomb.job.list_shard) == (Status.CANCELLED, NOW, None)
        assert tomb.job.expires_at is not None
        late = submit(replace(job(tenant_id), token="late"), is_listed=False)
        assert await jobs.apply(late) == Refused(tomb.job)
        alive = await jobs.apply(submit(job(tenant_id, "job_2")))
        tombstone = submit_cancelled(replace(job(tenant_id, "job_2"), token="late"))
        assert await jobs.apply(tombstone) == Refused(alive.job)

    world.run(story())


# --- the list ---------------------------------------------------------------------------------------------------------


async def submitted(world: World, tenant_id: str, count: int) -> list[str]:
    """→ ids, newest first; every other pair of neighbours is of the same millisecond."""
    rows = [job(tenant_id, f"job_{number}", created_at=NOW + number // 2) for number in range(count)]
    await asyncio.gather(*(world.ports.jobs.apply(submit(row)) for row in rows))
    return [row.job_id for row in reversed(rows)]


@pytest.mark.parametrize("limit", [1, 3, 10, 23, 100])
def test_pages_of_any_size_make_up_the_whole_list_newest_first(world: World, limit: int) -> None:
    tenant_id, stranger = world.fresh("tenant"), world.fresh("tenant")

    async def story() -> list[Job]:
        await submitted(world, stranger, 3)
        await submitted(world, tenant_id, 23)
        page = await world.ports.jobs.list(tenant_id, limit=limit)
        found = list(page.jobs)
        while page.cursor:
            assert len(page.jobs) == limit
            page = await world.ports.jobs.list(tenant_id, limit=limit, cursor=page.cursor)
            assert page.jobs
            found += page.jobs
            assert len(found) <= 23
        return found

    found = world.run(story())
    assert sorted(job.job_id for job in found) == sorted(f"job_{number}" for number in range(23))
    assert {job.tenant_id for job in found} == {tenant_id}
    times = [job.created_at for job in found]
    assert times == sorted(times, reverse=True)


def test_an_unlisted_job_is_found_by_its_id_alone(world: World) -> None:
    move = submit(job(world.fresh("tenant")))
    assert move.creates is not None
    unlisted = replace(move, creates=replace(move.creates, list_shard=None))
    world.run(world.ports.jobs.apply(unlisted))
    assert world.run(world.ports.jobs.list(move.tenant_id, limit=10)).jobs == ()
    assert world.run(world.ports.jobs.get(move.tenant_id, move.job_id)) == unlisted.creates


def test_an_empty_list_is_a_page_without_a_cursor(world: World) -> None:
    page = world.run(world.ports.jobs.list(world.fresh("tenant"), limit=10))
    assert (page.jobs, page.cursor) == ((), None)


def test_a_cursor_opens_no_other_tenants_list(world: World) -> None:
    tenant_id = world.fresh("tenant")

    async def story() -> None:
        await submitted(world, tenant_id, 3)
        page = await world.ports.jobs.list(tenant_id, limit=1)
        with pytest.raises(InvalidInput) as refusal:
            await world.ports.jobs.list(world.fresh("tenant"), limit=1, cursor=page.cursor)
        assert refusal.value.field == "cursor"

    world.run(story())


@pytest.mark.parametrize("limit", [0, -1, 101])
def test_a_limit_out_of_range_is_refused_by_name(world: World, limit: int) -> None:
    with pytest.raises(InvalidInput) as refusal:
        world.run(world.ports.jobs.list("tenant", limit=limit))
    assert refusal.value.field == "limit"


def test_a_scan_finds_every_tenants_jobs_page_by_page(world: World) -> None:
    jobs, tenants = world.ports.jobs, {world.fresh("tenant"), world.fresh("tenant")}
    written = {(tenant, f"job_{number:03d}") for tenant in tenants for number in range(120)}

    async def story() -> list[Job]:
        await asyncio.gather(*(jobs.apply(submit(job(tenant, name))) for tenant, name in written))
        found: list[Job] = []
        cursor = None
        while True:
            page = await jobs.scan(cursor=cursor)
            found += page.jobs
            if page.cursor is None:
                return found
            cursor = page.cursor

    mine = [(found.tenant_id, found.job_id) for found in world.run(story()) if found.tenant_id in tenants]
    assert sorted(mine) == sorted(written)


def test_a_scan_names_what_is_no_job_and_reads_on(world: World) -> None:
    if world.clients is None:
        pytest.skip("nobody else writes to a table in memory")
    call, tenant, table = world.clients.call, world.fresh("tenant"), "longshore-contract-jobs"
    damaged = {"pk": {"S": f"{tenant}#damaged"}, "status": {"S": "DANCING"}}

    async def story() -> tuple[set[str], set[str]]:
        await world.ports.jobs.apply(submit(job(tenant, "fine")))
        await call("dynamodb", "put_item", TableName=table, Item=damaged)
        keys: set[str] = set()
        unreadable: set[str] = set()
        cursor = None
        while True:
            page = await world.ports.jobs.scan(cursor=cursor)
            keys, unreadable = keys | {found.key for found in page.jobs}, unreadable | {*page.unreadable}
            if (cursor := page.cursor) is None:
                await call("dynamodb", "delete_item", TableName=table, Key={"pk": damaged["pk"]})
                return keys, unreadable

    keys, unreadable = world.run(story())
    assert f"{tenant}#fine" in keys
    assert unreadable == {f"{tenant}#damaged"}
