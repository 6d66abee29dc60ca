"""The worker's side of the protocol, to the cell."""

from dataclasses import replace

import pytest

from shared.delivery import Delivery, Do, decide
from shared.job import Job
from shared.status import Status
from tests.unit.test_verdict import JOB, NOW

ROW = replace(JOB, seq=3, lease_until=NOW + 20_000)
QUEUED = replace(ROW, status=Status.QUEUED)
OVER = replace(ROW, lease_until=NOW - 1)

CELLS = [
    # row                                                   its seq is older   its seq is the row's   hidden for, s
    (None, Do.ACKNOWLEDGE, Do.ACKNOWLEDGE, 0),
    (replace(ROW, type="other"), Do.QUARANTINE, Do.QUARANTINE, 0),
    (replace(QUEUED, due_at=NOW), Do.ACKNOWLEDGE, Do.CLAIM, 0),
    (replace(QUEUED, due_at=NOW + 2_000), Do.ACKNOWLEDGE, Do.CLAIM, 0),
    (replace(QUEUED, due_at=NOW + 2_001), Do.ACKNOWLEDGE, Do.HIDE, 3),
    (replace(QUEUED, due_at=NOW + 10**9), Do.ACKNOWLEDGE, Do.HIDE, 39_600),
    (ROW, Do.ACKNOWLEDGE, Do.HIDE, 60),
    (replace(ROW, lease_until=NOW + 299_001), Do.ACKNOWLEDGE, Do.HIDE, 305),
    (OVER, Do.ACKNOWLEDGE, Do.RECLAIM, 0),
    (replace(OVER, alone=True), Do.ACKNOWLEDGE, Do.RECLAIM, 0),
    (replace(OVER, attempts_left=1), Do.ACKNOWLEDGE, Do.RECLAIM, 0),
    (replace(OVER, alone=True, attempts_left=1), Do.ACKNOWLEDGE, Do.BURY, 0),
    (replace(OVER, cancel_requested=True), Do.ACKNOWLEDGE, Do.END_CANCELLED, 0),
    (replace(OVER, cancel_requested=True, alone=True, attempts_left=1), Do.ACKNOWLEDGE, Do.END_CANCELLED, 0),
    (replace(ROW, status=Status.WAITING), Do.ACKNOWLEDGE, Do.ACKNOWLEDGE, 0),
    (replace(ROW, status=Status.WAITING, deadline_at=NOW + 120_000), Do.ACKNOWLEDGE, Do.ACKNOWLEDGE, 0),
    (replace(ROW, status=Status.WAITING, deadline_at=NOW + 119_000), Do.ACKNOWLEDGE, Do.HIDE, 119),
    (replace(ROW, status=Status.WAITING, deadline_at=NOW + 1), Do.ACKNOWLEDGE, Do.HIDE, 1),
    (replace(ROW, status=Status.WAITING, deadline_at=NOW), Do.ACKNOWLEDGE, Do.EXPIRE, 0),
    (replace(QUEUED, due_at=NOW, deadline_at=NOW + 2_000), Do.ACKNOWLEDGE, Do.EXPIRE, 0),
    (replace(QUEUED, due_at=NOW, deadline_at=NOW + 2_001), Do.ACKNOWLEDGE, Do.CLAIM, 0),
    *((replace(ROW, status=status), Do.ACKNOWLEDGE, Do.ACKNOWLEDGE, 0) for status in Status if status.is_terminal),
]


@pytest.mark.parametrize(("row", "older", "same", "seconds"), CELLS)
def test_every_cell_of_the_table(row: Job | None, older: Do, same: Do, seconds: int) -> None:
    assert decide(row, Delivery("generic", 2, 1), NOW).do is older
    action = decide(row, Delivery("generic", 3, 1), NOW)
    assert (action.do, action.seconds) == (same, seconds)


def test_a_bare_message_with_another_payload_is_quarantined_and_with_the_same_is_a_duplicate() -> None:
    row = replace(QUEUED, seq=1, due_at=NOW)
    assert decide(row, Delivery("generic", 1, 1, "another"), NOW).do is Do.QUARANTINE
    assert decide(row, Delivery("generic", 1, 1, row.payload_hash), NOW).do is Do.CLAIM


def test_a_leased_message_comes_back_more_and_more_seldom() -> None:
    seconds = [decide(ROW, Delivery("generic", 3, receives), NOW).seconds for receives in (1, 2, 3, 4, 5, 19)]
    assert seconds == [60, 120, 240, 480, 900, 900]
