"""The design's budget, held at the wire: what a job costs in requests and write units, exactly."""

import asyncio
from typing import Final

import pytest

from tests.bench.capacity import Item, index_units, item_bytes, read_units, write_units
from tests.bench.meter import Tally
from tests.bench.scenarios import JOBS, SCENARIOS, Scenario, largest_rows, play_busy

DELIVERED: Final = {"sqs ReceiveMessage": 0.1, "lambda worker": 0.1, "sqs DeleteMessageBatch": 0.1}
DISPATCHED: Final = {"sqs SendMessageBatch": 0.1} | DELIVERED
SENT: Final = {"sqs SendMessageBatch": 1.0} | DELIVERED
SENT_BY_HAND: Final = {"sqs SendMessage": 1.0} | DELIVERED

EXPECTED: Final[dict[str, tuple[float, dict[str, float]]]] = {
    "job through the API": (4, DISPATCHED | {"dynamodb UpdateItem": 3}),
    "… its result in S3": (4, DISPATCHED | {"dynamodb UpdateItem": 3, "s3 PUT": 1}),
    "bare message": (3, SENT | {"dynamodb UpdateItem": 2}),
    "payload of 2 KB": (7, DISPATCHED | {"dynamodb UpdateItem": 3, "dynamodb PutItem": 1, "dynamodb GetItem": 1}),
    "payload of 8 KB": (12, DISPATCHED | {"dynamodb UpdateItem": 3, "dynamodb PutItem": 1, "dynamodb GetItem": 1}),
    "payload of 100 KB": (4, DISPATCHED | {"dynamodb UpdateItem": 3, "s3 PUT": 1, "s3 GET": 1}),
    "payload of 100 KB, bare": (3, SENT | {"dynamodb UpdateItem": 2, "s3 PUT": 1}),
    "+ a retry": (2, DISPATCHED | {"dynamodb UpdateItem": 2}),
    "+ a retry, its stack kept": (3, DISPATCHED | {"dynamodb UpdateItem": 2, "dynamodb PutItem": 1}),
    "+ a snooze": (2, DISPATCHED | {"dynamodb UpdateItem": 2}),
    "+ a proceed": (2, DISPATCHED | {"dynamodb UpdateItem": 2}),
    "+ a duplicate delivery": (1, DELIVERED | {"dynamodb UpdateItem": 1}),
    "by hand: row, claim, finish": (3, SENT_BY_HAND | {"dynamodb PutItem": 1, "dynamodb UpdateItem": 2}),
    "by hand: no state at all": (0, SENT_BY_HAND),
}
"""scenario → write units (indexes included) and requests, per job"""


@pytest.fixture(scope="module")
def tallies() -> dict[str, Tally]:
    return asyncio.run(play_busy())


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.name)
def test_a_job_costs_what_it_always_has(scenario: Scenario, tallies: dict[str, Tally]) -> None:
    tally = tallies[scenario.name]
    assert (_units(tally), _requests(tally)) == EXPECTED[scenario.name]
    assert scenario.units_max is None or _units(tally) <= scenario.units_max


def test_a_typical_row_fits_into_one_write_unit() -> None:
    assert {job_type: size for job_type, size in asyncio.run(largest_rows()).items() if size > 1024} == {}


def _units(tally: Tally) -> float:
    return (tally.write_units + tally.index_units) / JOBS


def _requests(tally: Tally) -> dict[str, float]:
    """Without what is free, the reactor, whose batches the stream makes, and the worker's look at what is paused, once
    in five seconds."""
    counted = {name: count / JOBS for name, count in tally.requests.items() if "GetRecords" not in name}
    counted.pop("lambda reactor", None)
    assert counted.pop("dynamodb Query", 0) <= 1 / JOBS
    return counted


# --- the meter's own arithmetic ---------------------------------------------------------------------------------------

ROW: Final[Item] = {
    "pk": {"S": "ä"},
    "n": {"N": "1769817600000"},
    "f": {"BOOL": True},
    "l": {"L": [{"S": "ab"}, {"S": ""}]},
}


def test_an_item_is_as_large_as_its_names_and_values() -> None:
    assert item_bytes(ROW) == (2 + 2) + (1 + 5) + (1 + 1) + (1 + 3 + 1 + 2 + 1)
    assert item_bytes({"n": {"N": "-100"}}) == 1 + 3


@pytest.mark.parametrize(("size_bytes", "units"), [(1, 1), (1024, 1), (1025, 2), (8192, 8)])
def test_a_write_costs_a_unit_per_started_kilobyte_of_the_larger_image(size_bytes: int, units: int) -> None:
    large, small = {"a": {"S": "x" * (size_bytes - 1)}}, {"a": {"S": ""}}
    assert write_units(large, small) == write_units(small, large) == write_units(None, large) == units


def test_a_refused_write_to_nothing_costs_one_unit() -> None:
    assert write_units(None, None) == 1


def test_an_index_costs_only_when_what_it_holds_changes() -> None:
    keys, held = ("k",), ("pk", "k")
    row = {"pk": {"S": "1"}, "k": {"N": "1"}, "other": {"S": "a"}}
    assert index_units(None, row, keys, held) == 1
    assert index_units(row, row | {"other": {"S": "b"}}, keys, held) == 0
    assert index_units(row, row | {"k": {"N": "2"}}, keys, held) == 2
    assert index_units(row, None, keys, held) == 1
    assert index_units(None, {"pk": {"S": "1"}}, keys, held) == 0


def test_an_eventual_read_costs_half() -> None:
    items = [{"a": {"S": "x" * 4999}}]
    assert read_units(items, consistent=True) == 2
    assert read_units(items, consistent=False) == 1
