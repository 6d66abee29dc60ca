"""What a child costs, at the wire: constant, however many there are."""

import asyncio
from collections.abc import Callable

import pytest

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
