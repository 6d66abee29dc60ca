"""What a child costs, at the wire: constant, however many there are."""

import asyncio
from collections.abc import Callable

import pytest

from shared.fan_in import RADIX
from tests.bench.fan_in_limits import fanned
from tests.bench.flows import compared

SMALL, LARGE = 12, 32


@pytest.mark.parametrize(("batch", "units_max"), [(1, 4.0), (10, 3.5)])
def test_one_more_child_costs_four_write_units_and_less_where_ends_come_together(
    batch: int, units_max: float, record_property: Callable[[str, object], None]
) -> None:
    """Its row, its claim, its settlement, and a union: one for all ends of a batch."""
    small, large = [asyncio.run(compared(children, batch=batch)).with_flow for children in (SMALL, LARGE)]
    more = large.without(small)
    each = (more.write_units + more.index_units) / (LARGE - SMALL)
    record_property("write units", each)
    assert 3 < each <= units_max
    reads = sum(more.requests[f"dynamodb {name}"] for name in ("GetItem", "BatchGetItem"))
    assert reads == 0, "nobody reads more because there are more"
    assert large.row_bytes["longshore-side"] < 1_024


def test_up_to_a_million_children_cost_the_same_each_and_no_node_gets_hot() -> None:
    for row in map(fanned, (1_000, 10_000, 100_000, 1_000_000)):
        assert row.unions_max <= RADIX
        assert 4 <= row.units_per_child <= 4 + 1.1 / RADIX + 2 / row.children
        assert row.nodes <= 1.01 * row.children / RADIX + 3
        assert row.seconds["the busiest node's partition"] < 1
