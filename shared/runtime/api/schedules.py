"""The routes of schedules. A producer makes them and runs them by hand: it submits jobs, now or later. To pause, resume
or delete one takes an operator, as it does to cancel a job: others may count on it."""

from collections.abc import Awaitable, Callable, Mapping
from itertools import islice
from typing import Final

from pydantic import BaseModel, JsonValue

from shared.errors import InvalidInput, NotFound
from shared.job import rfc3339
from shared.ports import Ports
from shared.runtime import schedules
from shared.runtime.api.app import Call, Route
from shared.runtime.api.jobs import NAME, Accepted
from shared.runtime.api.messages import Answer, Role, answer_json
from shared.runtime.api.problems import Refusal
from shared.schedule import Policies, Schedule, ScheduleTerms, paused, resumed
from shared.schedule_times import DueTime, When, times, told

SHOWN: Final = 10
"""Due times that are told beforehand."""

EXAMPLES: Final[Mapping[str, JsonValue]] = {
    "each night": {
        "name": "nightly backup",
        "cron": "0 3 * * *",
        "timezone": "Europe/Berlin",
        "payload": {"type": "backup", "database": "secret://shop"},
    },
    "once": {"name": "new year", "at": "2099-01-01T00:00:00Z", "payload": {"type": "generic", "operation": "echo"}},
}


class RunView(BaseModel):
    due_at: str
    job_id: str


class SkippedView(BaseModel):
    due_at: str
    reason: str


class ScheduleView(Policies):
    """A schedule as it is now. `next_at` is absent if it is paused or done. `skipped`: the newest due time that was not
    run, and why. A list leaves `payload` and `next_times` out."""

    schedule_id: str
    type: str
    state: str
    next_at: str | None = None
    last: RunView | None = None
    skipped: SkippedView | None = None
    created_at: str
    created_by: str
    updated_at: str
    payload: dict[str, JsonValue] | None = None
    next_times: list[DueTime] | None = None


class Schedules(BaseModel):
    schedules: list[ScheduleView]


class Preview(BaseModel):
    """The next due times, before jitter."""

    times: list[DueTime]


async def create_schedule(call: Call) -> Answer:
    """A `schedule_id` of your own makes it safe to ask again: the same again is answered 200, another is refused."""
    terms, tenant_id = call.body(ScheduleTerms), call.caller.tenant_id
    if any(terms.payload.get(name, tenant_id) != tenant_id for name in ("tenant_id", "tenantId")):
        raise Refusal(403, "another_tenant", "the token is for another tenant")
    made, is_new = await schedules.create(call.ports, tenant_id, terms, who=call.caller.who)
    location = {"Location": f"/schedules/{made.schedule_id}"}
    return answer_json(201 if is_new else 200, _whole(call, made), location)


async def list_schedules(call: Call) -> Answer:
    found = await schedules.schedules(call.ports, call.caller.tenant_id)
    return answer_json(200, Schedules(schedules=[_view(one) for one in found]))


async def preview_schedule(call: Call) -> Answer:
    when = call.body(When)
    found = _next_times(when, call.ports.now())
    if not found:
        raise InvalidInput("never_due", "a time that is still to come", field="at" if when.cron is None else "cron")
    return answer_json(200, Preview(times=found))


async def get_schedule(call: Call) -> Answer:
    return answer_json(200, _whole(call, await schedules.schedule(*_whose(call))))


async def delete_schedule(call: Call) -> Answer:
    """What it has submitted goes on. The answer is the schedule as it was."""
    return answer_json(200, _whole(call, await schedules.delete(*_whose(call))))


async def pause_schedule(call: Call) -> Answer:
    return answer_json(200, _whole(call, await schedules.change(*_whose(call), paused)))


async def resume_schedule(call: Call) -> Answer:
    """What was due in the pause is not made up for. 409: its one moment has passed."""
    return answer_json(200, _whole(call, await schedules.change(*_whose(call), resumed)))


async def run_schedule(call: Call) -> Answer:
    """A job beside those that are due."""
    job = await schedules.run_now(*_whose(call))
    accepted = Accepted(job_id=job.job_id, status=job.status, created_at=rfc3339(job.created_at))
    return answer_json(202, accepted, {"Location": f"/jobs/{job.job_id}"})


# --- small things -----------------------------------------------------------------------------------------------------


def _whose(call: Call) -> tuple[Ports, str, str]:
    """What cannot be an id is one that nobody has."""
    schedule_id = call.path["schedule_id"]
    if not NAME.fullmatch(schedule_id):
        raise NotFound("no_such_schedule", f"no schedule {schedule_id[:64]!r}", field="schedule_id")
    return call.ports, call.caller.tenant_id, schedule_id


def _view(found: Schedule) -> ScheduleView:
    terms = found.terms
    return ScheduleView(
        **terms.model_dump(include={*Policies.model_fields}),
        schedule_id=found.schedule_id,
        type=str(terms.payload["type"]),
        state=found.state,
        next_at=None if found.next_at is None else rfc3339(found.next_at),
        last=None if found.last is None else RunView(due_at=rfc3339(found.last.due_at), job_id=found.last.job_id),
        skipped=None
        if found.skipped is None
        else SkippedView(due_at=rfc3339(found.skipped.due_at), reason=found.skipped.reason),
        created_at=rfc3339(found.created_at),
        created_by=found.created_by,
        updated_at=rfc3339(found.updated_at),
    )


def _whole(call: Call, found: Schedule) -> ScheduleView:
    coming = [] if found.next_at is None else _next_times(found.terms, max(found.next_at - 1, call.ports.now()))
    return _view(found).model_copy(update={"payload": found.terms.payload, "next_times": coming})


def _next_times(when: When, after: int) -> list[DueTime]:
    return [told(when, at) for at in islice(times(when, after), SHOWN)]


Act = Callable[[Call], Awaitable[Answer]]


def _route(
    method: str, path: str, act: Act, summary: str, *may: int, role: Role, answer: type[BaseModel] = ScheduleView
) -> Route:
    where = f"/schedules{path}"
    return Route(method=method, path=where, summary=summary, role=role, act=act, answers={200: answer}, may=may)


ONE: Final = "/{schedule_id}"

ROUTES: Final = (
    Route(
        method="POST",
        path="/schedules",
        summary="Submit a job again and again, or once later: by a cron line in a time zone, or at one moment",
        role=Role.PRODUCER,
        act=create_schedule,
        body=ScheduleTerms,
        examples=EXAMPLES,
        answers={201: ScheduleView, 200: ScheduleView},
        may=(409,),
    ),
    _route("GET", "", list_schedules, "The tenant's schedules, by name", role=Role.VIEWER, answer=Schedules),
    Route(
        method="POST",
        path="/schedules/preview",
        summary="The next ten times of a cron line, nothing kept",
        role=Role.VIEWER,
        act=preview_schedule,
        body=When,
        answers={200: Preview},
    ),
    _route("GET", ONE, get_schedule, "A schedule, with its next ten times", 404, role=Role.VIEWER),
    _route("DELETE", ONE, delete_schedule, "Run it no more, and forget it", 404, role=Role.OPERATOR),
    _route("POST", f"{ONE}/pause", pause_schedule, "Run nothing until it is resumed", 404, role=Role.OPERATOR),
    _route("POST", f"{ONE}/resume", resume_schedule, "Run it from now on", 404, 409, role=Role.OPERATOR),
    Route(
        method="POST",
        path=f"/schedules{ONE}/run",
        summary="Run it now",
        role=Role.PRODUCER,
        act=run_schedule,
        answers={202: Accepted},
        may=(404, 422),
    ),
)
