"""A flow where writes are slow."""

import asyncio

import pytest

from infra.testing import Longshore
from shared.memory.jobs import MemoryJobs
from shared.moves import Move
from shared.ports import Applied, Refused
from shared.status import Event, Status
from tests.bench.flows import flow_of

WRITE_S = 4.0


def test_a_flow_makes_its_children_however_long_that_takes(
    longshore: Longshore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It goes on in another run before its time is over: no attempt is lost."""
    apply = MemoryJobs.apply

    async def slowly(self: MemoryJobs, move: Move) -> Applied | Refused:
        await asyncio.sleep(WRITE_S if move.event is Event.SUBMIT else 0)
        return await apply(self, move)

    monkeypatch.setattr(MemoryJobs, "apply", slowly)
    submitted = longshore.submit(flow_of(700))
    longshore.drain()
    ended = longshore.job(submitted)
    moves = [move.event for move in ended.history]
    assert (ended.status, "retry" in moves, "proceed" in moves) == (Status.SUCCESS, False, True)
