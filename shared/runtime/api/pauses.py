"""The routes of pauses. An operator pauses and resumes what its tenant does; an admin what everybody does."""

from typing import Annotated, Final, Literal

from pydantic import BaseModel, ConfigDict, StringConstraints

from shared.errors import InvalidInput
from shared.job import rfc3339
from shared.pause import STACK, Pause, told
from shared.payloads import TYPES
from shared.runtime.api.app import Call, Route
from shared.runtime.api.messages import Answer, Role, answer_json
from shared.runtime.api.problems import Refusal
from shared.runtime.pause import all_pauses, pause, resume

RESUME_MS: Final = 8_000
"""What is left after this takes another call."""


class PauseAsk(BaseModel):
    """No `type`: all of them. `scope` "stack", everybody's, takes an admin."""

    model_config = ConfigDict(extra="forbid")

    type: str | None = None
    scope: Literal["tenant", "stack"] = "tenant"
    reason: Annotated[str, StringConstraints(max_length=200)] | None = None


class PauseView(BaseModel):
    """No `type`: all of them. `is_resuming`: it holds nobody any more, but not all that it kept has been woken yet."""

    pause_id: str
    type: str | None = None
    since: str
    who: str
    reason: str | None = None
    is_resuming: bool = False


class PauseList(BaseModel):
    pauses: list[PauseView]


class ResumeView(BaseModel):
    """Jobs `woken` by this call, and how many are `left` (up to 1,000 are counted): while there are any, call again."""

    pause_id: str
    woken: int
    left: int


async def create_pause(call: Call) -> Answer:
    ask, caller, ports = call.body(PauseAsk), call.caller, call.ports
    if ask.type is not None and ask.type not in TYPES:
        raise InvalidInput("no_such_type", f"one of {', '.join(sorted(TYPES))}", field="type")
    is_stack = ask.scope == STACK
    _check_scope(call, is_stack=is_stack)
    asked = Pause(
        tenant_id=None if is_stack else caller.tenant_id,
        type=ask.type,
        since=ports.now(),
        who=caller.who,
        reason=ask.reason,
        token=ports.token(),
    )
    found = await pause(ports, asked)
    return answer_json(201 if found is asked else 200, _view(found, call), {"Location": f"/pauses/{found.pause_id}"})


async def list_pauses(call: Call) -> Answer:
    found = told(await all_pauses(call.ports), call.caller.tenant_id)
    return answer_json(200, PauseList(pauses=[_view(one, call) for one in found]))


async def delete_pause(call: Call) -> Answer:
    pause_id = call.path["pause_id"]
    _check_scope(call, is_stack=pause_id.startswith(f"{STACK}."))
    done = await resume(call.ports, pause_id, call.caller.tenant_id, until=call.ports.now() + RESUME_MS)
    return answer_json(200, ResumeView(pause_id=pause_id, woken=done.woken, left=done.left))


def _check_scope(call: Call, *, is_stack: bool) -> None:
    if is_stack and call.caller.role is not Role.ADMIN:
        raise Refusal(403, "forbidden", "what concerns all tenants takes the role admin")


def _view(found: Pause, call: Call) -> PauseView:
    """Who paused everybody is somebody of another tenant."""
    who = found.who if found.tenant_id is not None or call.caller.role is Role.ADMIN else "an admin"
    return PauseView(
        **found.model_dump(include={"type", "reason", "is_resuming"}),
        pause_id=found.pause_id,
        since=rfc3339(found.since),
        who=who,
    )


ROUTES: Final = (
    Route(
        method="POST",
        path="/pauses",
        summary="Let no job of a type, or of the tenant, begin until it is resumed",
        role=Role.OPERATOR,
        act=create_pause,
        body=PauseAsk,
        answers={201: PauseView, 200: PauseView},
        may=(409,),
    ),
    Route(
        method="GET",
        path="/pauses",
        summary="What is paused: the tenant's own, and what concerns everybody",
        role=Role.VIEWER,
        act=list_pauses,
        answers={200: PauseList},
    ),
    Route(
        method="DELETE",
        path="/pauses/{pause_id}",
        summary="Resume: wake what has waited; call again while some are left",
        role=Role.OPERATOR,
        act=delete_pause,
        answers={200: ResumeView},
        may=(404,),
    ),
)
