"""What books that balance cost, counted at the wire: the audit by the row, the tally by the batch of the stream."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

import pytest

from shared.audit import Books
from shared.aws.expressions import item_of
from shared.consequences import Record
from shared.payloads.generic import GenericPayload
from shared.runtime import stats
from shared.runtime.audit import audited
from shared.runtime.tally import tally
from tests.bench.capacity import item_bytes
from tests.bench.meter import Tally
from tests.bench.prices import dollars
from tests.bench.scenarios import JOB_TYPES
from tests.bench.stack import Stack, metered_stack

T = TypeVar("T")
ROWS = 200
SHARD = "shardId-00000001541626099285-f35f62ef"


def on_a_stack(story: Callable[[Stack], Awaitable[T]]) -> T:
    async def main() -> T:
        async with metered_stack(JOB_TYPES) as stack:
            return await story(stack)

    return asyncio.run(main())


def test_a_million_rows_are_audited_for_less_than_two_cents() -> None:
    async def story(stack: Stack) -> None:
        jobs = [await stack.submit(GenericPayload(operation="x")) for _ in range(ROWS)]
        await stack.drain("generic")
        stack.endpoint.tally = Tally()
        books = Books(started_at=stack.ports.now())
        async for _ in audited(stack.ports, books, repair=True):
            pass
        assert books.rows == ROWS
        spent = stack.endpoint.tally.copy()
        assert spent.requests == {"dynamodb Scan": 1}
        rows = [await stack.ports.jobs.get(job.tenant_id, job.job_id) for job in jobs]
        size_kb = sum(item_bytes(item_of(row)) for row in rows if row) / ROWS / 1024
        per_million = sum(dollars(spent).values()) / ROWS
        assert per_million == pytest.approx(0.0156 * size_kb, rel=0.02), "half a read unit per 4 KB"
        assert per_million <= 0.016

    on_a_stack(story)


def test_a_batch_of_the_stream_costs_the_tally_one_write_and_no_read() -> None:
    async def story(stack: Stack) -> None:
        job = await stack.submit(GenericPayload(operation="x"))
        batches = [[Record(str(100 * batch + place), None, job) for place in range(100)] for batch in range(1, 11)]
        known = await tally(stack.ports, SHARD, batches[0])
        stack.endpoint.tally = Tally()
        for batch in batches[1:]:
            known = await tally(stack.ports, SHARD, batch, known)
        spent = stack.endpoint.tally
        assert spent.requests == {"dynamodb PutItem": 9}
        assert (spent.write_units, spent.read_units) == (9, 0)
        stack.endpoint.tally = Tally()
        await tally(stack.ports, SHARD, batches[-1], known)
        assert not stack.endpoint.tally.requests, "a batch that comes again costs nothing"

    on_a_stack(story)


def test_counts_cost_at_most_a_write_unit_per_twenty_moves_and_one_page_per_window() -> None:
    async def story(stack: Stack) -> None:
        job = await stack.submit(GenericPayload(operation="x"))
        many = [[Record(str(100 * batch + place), None, job) for place in range(100)] for batch in range(1, 11)]
        state = await stats.count(stack.ports, SHARD, many[0], None, is_last=False)
        stack.endpoint.tally = Tally()
        for batch in many[1:]:
            state = await stats.count(stack.ports, SHARD, batch, state, is_last=False)
        spent = stack.endpoint.tally
        assert spent.requests == {"dynamodb PutItem": 9}
        assert (spent.write_units, spent.read_units) == (9, 0)
        stack.endpoint.tally = Tally()
        await stats.count(stack.ports, SHARD, [], state, is_last=True)
        assert not stack.endpoint.tally.requests, "everything is written already"
        for place in range(3):
            state = await stats.count(
                stack.ports, "two", [Record(str(place), None, job)], state if place else None, is_last=False
            )
        await stats.count(stack.ports, "two", [], state, is_last=True)
        assert stack.endpoint.tally.requests == {"dynamodb GetItem": 1, "dynamodb PutItem": 1}, "a trickle, in a window"

    on_a_stack(story)
