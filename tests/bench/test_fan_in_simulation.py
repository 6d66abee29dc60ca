"""A fan-in at AWS's limits: everything arrives, nothing gets hot."""

import pytest

from shared.fan_in import End
from tests.bench import fan_in_simulation
from tests.bench.fan_in_simulation import simulate


@pytest.mark.parametrize("children", [2, 200, 201, 10_000])
def test_every_group_ends_and_no_partition_is_asked_for_more_than_it_has(children: int) -> None:
    done = simulate(children)
    assert {end for ends in done.ends.values() for end in ends} == {End.OK}
    assert 3 < done.units / children <= 4.05 + 3 / children
    assert done.demand_max <= 1_000
    assert max(len(set().union(*node.values())) for node in done.nodes.values()) <= 200


def test_one_node_for_all_would_be_hot(monkeypatch: pytest.MonkeyPatch) -> None:
    """The check can fail: with a hundred times as many members a node is written with most batches."""
    one, many = simulate(20_000).nodes, 0
    monkeypatch.setattr(fan_in_simulation, "RADIX", 100_000)
    monkeypatch.setattr("shared.fan_in.RADIX", 100_000)
    many = max(len(set().union(*node.values())) for node in simulate(20_000).nodes.values())
    assert len(one) > 100
    assert many > 200
