"""What a job is said to have cost is what the wire counted, but for what `shared/cost.py` says that it cannot see."""

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass, fields
from typing import Final

import pytest

from infra.local.events import stream_record
from shared.aws.expressions import item_of
from shared.aws.streams import read_record
from shared.consequences import Record
from shared.cost import MEMORY_MB, SQS_REQUEST, WRITE_UNIT, Spent, of_job, of_move, row_bytes
from tests.bench.capacity import item_bytes
from tests.bench.meter import Tally
from tests.bench.prices import dollars
from tests.bench.scenarios import JOB_TYPES, JOBS, SCENARIOS, Scenario
from tests.bench.stack import STREAM_ARN, Stack, first_iterator, metered_stack

PLAYED: Final = [scenario for scenario in SCENARIOS if "hand" not in scenario.name and "duplicate" not in scenario.name]

UNSEEN_UNITS: Final = {"payload of 8 KB": 5, "+ a retry, its stack kept": 1}
"""scenario → write units per job beside the row that neither its moves nor its row tell of"""

UNSEEN_REQUESTS: Final = {"payload of 100 KB, bare": 2.6}
"""scenario → requests per job that SQS bills for each 64 KB of a message"""


@dataclass(frozen=True, slots=True)
class Told:
    """Of ten jobs: what the meter counted, what their moves and what their rows say."""

    tally: Tally
    moves: Spent
    rows: Spent


@pytest.fixture(scope="module")
def told() -> dict[str, Told]:
    async def play() -> dict[str, Told]:
        async with metered_stack(JOB_TYPES) as stack:
            iterator, found = await first_iterator(stack.clients), {}
            for scenario in PLAYED:
                stack.endpoint.tally = Tally()
                await scenario.play(stack)
                tally = stack.endpoint.tally.copy()
                iterator, records = await _records(stack, iterator)
                found[scenario.name] = _told(tally, records)
            return found

    return asyncio.run(play())


@pytest.mark.parametrize("scenario", PLAYED, ids=lambda scenario: scenario.name)
def test_what_a_job_is_said_to_have_cost_is_what_the_wire_counted(scenario: Scenario, told: dict[str, Told]) -> None:
    tally, unseen = told[scenario.name].tally, UNSEEN_UNITS.get(scenario.name, 0)
    for said in (told[scenario.name].moves, told[scenario.name].rows):
        assert (tally.write_units + tally.index_units) / JOBS == said.write_units / JOBS + unseen
        assert (tally.requests["s3 PUT"], tally.requests["s3 GET"]) == (said.s3_puts, said.s3_gets)
        assert tally.requests["lambda worker"] == pytest.approx(said.invocations)
        counted = sum(dollars(tally).values()) / JOBS
        known = counted - unseen * WRITE_UNIT - UNSEEN_REQUESTS.get(scenario.name, 0) * SQS_REQUEST
        assert said.usd * 1_000_000 / JOBS == pytest.approx(known, rel=0.06)


async def _records(stack: Stack, iterator: str) -> tuple[str, list[Record]]:
    """What the stream has had since `iterator`, and where it goes on."""
    answer = await stack.clients.call("dynamodbstreams", "get_records", ShardIterator=iterator)
    return answer["NextShardIterator"], [read_record(stream_record(each, STREAM_ARN)) for each in answer["Records"]]


def _told(tally: Tally, records: list[Record]) -> Told:
    rows = {each.new.key: each.new for each in records if each.new}
    assert len(rows) == JOBS
    assert all(row_bytes(row) == item_bytes(item_of(row)) for row in rows.values())
    return Told(
        tally,
        _added(of_move(each.old, each.new, MEMORY_MB) for each in records if each.new),
        _added(of_job(row, MEMORY_MB) for row in rows.values()),
    )


def _added(parts: Iterable[Spent]) -> Spent:
    known = list(parts)
    return Spent(**{field.name: sum(getattr(part, field.name) for part in known) for field in fields(Spent)})
