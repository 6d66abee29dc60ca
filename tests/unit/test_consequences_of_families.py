"""What follows from the moves of parents and children, for every pair of statuses."""

from dataclasses import replace
from itertools import product

import pytest

from shared.children import Link
from shared.consequences import Dispatch, Look, Prune, Report, consequences
from shared.fan_in import END_OF
from shared.status import Status
from tests.unit.test_verdict import JOB, NOW

LINK = Link("job_p", 0, 1, 3, fails_fast=True, step="s")
ROW = replace(JOB, parent=str(LINK), groups="0 s 3 0 1", deadline_at=NOW + 1)
SAD = {Status.FAILED, Status.CANCELLED}


@pytest.mark.parametrize(("before", "after"), [*product([None, *Status], Status)])
def test_each_move_has_its_consequences_once(before: Status | None, after: Status) -> None:
    old = None if before is None else replace(ROW, status=before)
    new = replace(ROW, status=after)
    acts = [type(act) for act in consequences(old, new)]
    moved = before is not after
    assert acts.count(Report) == int(moved and after.is_terminal), "a child's end is told, and nothing else of it"
    assert acts.count(Prune) == int(moved and after in SAD), "its children end with it if it ends badly"
    assert acts.count(Look) == int(moved and after is Status.WAITING)
    assert acts.count(Dispatch) == int(moved and after in {Status.WAITING, Status.QUEUED})


def test_what_a_childs_end_tells_and_where() -> None:
    for status, end in END_OF.items():
        told = [act for act in consequences(ROW, replace(ROW, status=status)) if isinstance(act, Report)]
        assert told == [Report(ROW.tenant_id, LINK, end)]


def test_who_is_nobodys_child_or_parent_tells_nobody() -> None:
    row = replace(ROW, parent=None, groups=None)
    assert [consequences(row, replace(row, status=status)) for status in END_OF] == [()] * len(END_OF)


def test_a_deadline_has_a_wake_up_of_its_own() -> None:
    acts = consequences(ROW, replace(ROW, status=Status.WAITING))
    (late,) = (act for act in acts if isinstance(act, Dispatch))
    assert late.due_at == NOW + 1
    assert late.why, "a schedule of its own name"
    assert not any(
        isinstance(act, Dispatch) for act in consequences(ROW, replace(ROW, status=Status.WAITING, deadline_at=None))
    )
