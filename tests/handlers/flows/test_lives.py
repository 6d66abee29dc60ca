"""A parent that is redriven while what it began before is still being cancelled."""

from typing import Literal

from pydantic import BaseModel

from infra.testing import Longshore
from shared.outcomes import Snooze
from shared.payloads.base import Payload
from shared.runtime.context import Context, WaitFor
from shared.runtime.definition import job
from shared.status import Status


class BranchPayload(Payload):
    type: Literal["branch"] = "branch"
    is_slow: bool


class TrunkPayload(Payload):
    type: Literal["trunk"] = "trunk"


class Told(BaseModel):
    statuses: list[str]


def test_children_of_a_new_life_are_not_cancelled_with_those_of_the_last(longshore: Longshore) -> None:
    """The job that cancels comes late: it must find no others than those it was made for."""

    @longshore.use
    @job(BranchPayload)
    async def branch(payload: BranchPayload, _context: Context) -> Snooze | None:
        return Snooze(1_800) if payload.is_slow else None

    @longshore.use
    @job(TrunkPayload)
    async def trunk(_payload: TrunkPayload, context: Context) -> Told | WaitFor:
        if context.checkpoint == "second":
            return Told(statuses=[end.status.value async for end in context.children])
        life = "second" if context.checkpoint == "first" else "first"
        return WaitFor([BranchPayload(is_slow=life == "first")] * 3, life)

    submitted = longshore.submit(TrunkPayload())
    longshore.drain()
    longshore.cancel(submitted)
    longshore.redrive(submitted)
    longshore.run(longshore.world.react())
    longshore.run(longshore.world.invoke("trunk"))
    longshore.run(longshore.world.invoke("cancel_children"))
    longshore.drain(with_scheduled=True)
    assert longshore.result(submitted).data.result == {"statuses": ["SUCCESS"] * 3}
    ends = [row.status for row in longshore.world.jobs.rows.values() if row.type == "branch"]
    assert sorted(ends) == [Status.CANCELLED] * 3 + [Status.SUCCESS] * 3
