"""Schedules as they are kept, changed and fired.

beside the rows     pk                    sk
a schedule          schedules#{tenant}    {id}
what is due         due#{shard}           {time}#{tenant}#{id}#{rev}     one entry for each schedule that is to run

1. The entry of a document's next state is written before the document, and that of the state before it is deleted
   afterwards: no crash leaves a schedule without its entry.
2. An entry that is not its document's is dropped, but only after the document was written anew, as it was: whoever had
   put the entry there, and was about to change the document, must read it again.
3. A tick writes down what is to run, submits it, and only then moves the document on; each of it again, if need be, by
   whichever tick comes next.
"""

import asyncio
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from typing import Final

from pydantic import JsonValue
from pydantic_core import to_json

from shared.errors import Conflict, InvalidInput, NotFound, Problem, WorldFault
from shared.job import Job
from shared.payloads import read_payload
from shared.payloads.base import Payload
from shared.ports import Ports
from shared.runtime.logs import get_logger
from shared.runtime.service import Service
from shared.schedule import (
    PAYLOAD_BYTES_MAX,
    SHARDS,
    Schedule,
    ScheduleTerms,
    begun,
    decided,
    done,
    job_id_of,
    owner_of,
    run_by_hand,
    shard_of,
)
from shared.schedule_times import next_time

SCHEDULES_MAX: Final = 1_000
"""Of a tenant."""

CHANGES_MAX: Final = 10

KEPT_WHEN_DONE_S: Final = 30 * 24 * 3600

AT_ONCE: Final = 32
PAGE: Final = 200
"""Entries of one shard that are looked at together."""

Change = Callable[[Schedule, int], Schedule]
"""Document and now → the document after it; the same one: nothing is to be written."""


# --- what people do ---------------------------------------------------------------------------------------------------


async def create(ports: Ports, tenant_id: str, terms: ScheduleTerms, *, who: str) -> tuple[Schedule, bool]:
    """→ the schedule, and whether it is new. InvalidInput for what could never run, Conflict for an id of another
    schedule's, or for one schedule too many."""
    now = ports.now()
    if next_time(terms, now) is None:
        field = "at" if terms.cron is None else "cron"
        raise InvalidInput("never_due", "a time that is still to come", field=field)
    schedule_id = terms.schedule_id or f"sch_{ports.token()}"
    terms = terms.model_copy(update={"payload": _checked(terms, tenant_id, schedule_id)})
    known = {one.schedule_id for one in await schedules(ports, tenant_id)}
    if len(known) >= SCHEDULES_MAX and schedule_id not in known:
        raise Conflict("too_many_schedules", f"a tenant has at most {SCHEDULES_MAX:,} schedules: delete one first")
    made = Schedule(
        tenant_id=tenant_id,
        schedule_id=schedule_id,
        terms=terms,
        birth=ports.token(),
        rev=ports.token(),
        created_at=now,
        created_by=who,
        updated_at=now,
    )
    await ports.side.put_once(_place(tenant_id), schedule_id, _written(ports, made))
    found = await schedule(ports, tenant_id, schedule_id)
    if found.terms != terms:
        raise Conflict("conflict", "another schedule has this id: delete it first", field="schedule_id")
    if found.state == "new":
        found = await change(ports, tenant_id, schedule_id, begun)
    return found, found.birth == made.birth


async def schedules(ports: Ports, tenant_id: str) -> Sequence[Schedule]:
    """All of a tenant's, by name."""
    items = await ports.side.query(_place(tenant_id), limit=SCHEDULES_MAX)
    return sorted((_read(body) for _, body in items), key=lambda one: (one.terms.name, one.schedule_id))


async def schedule(ports: Ports, tenant_id: str, schedule_id: str) -> Schedule:
    """Raises NotFound: for another tenant's, too."""
    return _read(await _body(ports, tenant_id, schedule_id))


async def change(ports: Ports, tenant_id: str, schedule_id: str, to: Change) -> Schedule:
    """Raises NotFound, and what `to` raises."""
    for _ in range(CHANGES_MAX):
        body = await _body(ports, tenant_id, schedule_id)
        found = _read(body)
        after = to(found, ports.now())
        moved = found if after is found else await _move(ports, body, after)
        if moved is not None:
            return moved
    raise WorldFault("contended", f"the schedule changed {CHANGES_MAX} times meanwhile: try again")


async def delete(ports: Ports, tenant_id: str, schedule_id: str) -> Schedule:
    """→ it, as it was. Its jobs stay as they are. Raises NotFound."""
    for _ in range(CHANGES_MAX):
        body = await _body(ports, tenant_id, schedule_id)
        if await ports.side.swap(_place(tenant_id), schedule_id, old=body, new=None):
            await _drop(ports, _read(body))
            return _read(body)
    raise WorldFault("contended", f"the schedule changed {CHANGES_MAX} times meanwhile: try again")


async def run_now(ports: Ports, tenant_id: str, schedule_id: str) -> Job:
    """→ a job of its payload, beside those that are due. Raises NotFound, InvalidInput if the payload is no longer
    valid."""
    found = await schedule(ports, tenant_id, schedule_id)
    job = await Service(ports).submit(_payload(found, None))
    await change(ports, tenant_id, schedule_id, lambda one, now: run_by_hand(one, now, job.job_id))
    return job


# --- the tick ---------------------------------------------------------------------------------------------------------


async def tick(ports: Ports, *, ends_at: int) -> int:
    """Fire what is due, until nothing is or it is `ends_at` (milliseconds); → how many entries were seen to.

    Raises at the end what went wrong first, a WorldFault as a rule: the next tick tries again.
    """
    fired, failed, room = 0, dict[str, Exception](), asyncio.Semaphore(AT_ONCE)

    async def see_to(entry: str) -> None:
        async with room:
            try:
                await _fire(ports, entry)
            except Exception as error:  # noqa: BLE001  one schedule's trouble is not the others'
                failed[entry] = error

    while ports.now() < ends_at and (due := await _due(ports, failed)):
        await asyncio.gather(*(see_to(entry) for entry in due))
        fired += len(due)
    for error in failed.values():
        raise error
    return fired


async def _due(ports: Ports, failed: Iterable[str]) -> Sequence[str]:
    """Entries of all shards whose time has come, but for those that were tried."""
    tried = {*failed}
    pages = await asyncio.gather(
        *(
            ports.side.query(f"due#{shard}", limit=PAGE + len(tried), up_to=f"{ports.now() + 1:013d}")
            for shard in range(SHARDS)
        )
    )
    return sorted(entry for page in pages for entry, _ in page if entry not in tried)


async def _fire(ports: Ports, entry: str) -> None:
    tenant_id, schedule_id = owner_of(entry)
    body = await ports.side.get(_place(tenant_id), schedule_id)
    found = None if body is None else _read(body)
    if body is None or found is None or found.entry != entry:
        if found is None or await _swap(ports, body, found) is not None:
            await ports.side.swap(_due_place(tenant_id, schedule_id), entry, old="", new=None)
        return
    decision = found
    if not found.pending:
        decision = decided(found, ports.now(), is_previous_alive=await _is_previous_alive(ports, found))
        if not decision.pending:
            await _move(ports, body, decision)
            return
        body = await _swap(ports, body, decision)
    if body is not None:
        await _move(ports, body, done(decision, await _submit_pending(ports, decision)))


async def _is_previous_alive(ports: Ports, found: Schedule) -> bool:
    if found.terms.overlap == "allow" or found.last is None:
        return False
    job = await ports.jobs.get(found.tenant_id, found.last.job_id)
    return job is not None and not job.status.is_terminal


async def _submit_pending(ports: Ports, found: Schedule) -> dict[int, str]:
    """→ what was refused: due time → why. A job that is there already is left as it is."""
    if found.terms.overlap == "cancel_previous" and found.last is not None:
        with suppress(Conflict, NotFound):  # it is over, or forgotten
            await Service(ports).cancel(found.tenant_id, found.last.job_id, who="schedule")
    refusals: dict[int, str] = {}
    for due_at in found.pending:
        try:
            await Service(ports).submit(_payload(found, job_id_of(found, due_at)))
        except (Conflict, InvalidInput) as refusal:
            refusals[due_at] = str(refusal)
            get_logger().warning("schedule_refused", schedule_id=found.schedule_id, reason=str(refusal))
    return refusals


# --- small things -----------------------------------------------------------------------------------------------------


async def _move(ports: Ports, old: str, new: Schedule) -> Schedule | None:
    """Write the document and its entry; → it as it was written, None if it had changed meanwhile."""
    after = new.model_copy(update={"rev": ports.token(), "updated_at": ports.now()})
    if after.entry is not None:
        await ports.side.put_once(_due_place(after.tenant_id, after.schedule_id), after.entry, "")
    is_moved = await _swap(ports, old, after) is not None
    await _drop(ports, _read(old) if is_moved else after)
    return after if is_moved else None


async def _swap(ports: Ports, old: str | None, new: Schedule) -> str | None:
    """→ the body as it was written, None if it had changed meanwhile."""
    body = _written(ports, new)
    expires_at = ports.now() // 1000 + KEPT_WHEN_DONE_S if new.state == "done" else None
    place = _place(new.tenant_id)
    return body if await ports.side.swap(place, new.schedule_id, old=old, new=body, expires_at=expires_at) else None


async def _drop(ports: Ports, found: Schedule) -> None:
    if found.entry is not None:
        await ports.side.swap(_due_place(found.tenant_id, found.schedule_id), found.entry, old="", new=None)


async def _body(ports: Ports, tenant_id: str, schedule_id: str) -> str:
    body = await ports.side.get(_place(tenant_id), schedule_id)
    if body is None:
        raise NotFound("no_such_schedule", f"no schedule {schedule_id[:64]!r}", field="schedule_id")
    return body


def _payload(found: Schedule, job_id: str | None) -> Payload:
    return read_payload(to_json(found.terms.payload)).model_copy(update={"job_id": job_id})


def _checked(terms: ScheduleTerms, tenant_id: str, schedule_id: str) -> dict[str, JsonValue]:
    """The payload as its jobs get it, with what says where they come from. Raises InvalidInput."""
    metadata = terms.payload.get("metadata", {})
    mine = {name: value for name, value in terms.payload.items() if name != "tenantId"} | {"tenant_id": tenant_id}
    mine["metadata"] = {**metadata, "schedule_id": schedule_id} if isinstance(metadata, dict) else metadata
    if {"job_id", "jobId"} & mine.keys():
        raise InvalidInput("invalid_payload", "no job_id: each run is a job of its own", field="payload.job_id")
    if len(to_json(mine)) > PAYLOAD_BYTES_MAX:
        raise InvalidInput("too_large", f"at most {PAYLOAD_BYTES_MAX:,} bytes as JSON", field="payload")
    try:
        read_payload(to_json(mine))
    except InvalidInput as error:
        problems = tuple(Problem(f"payload.{field}", expected) for field, expected in error.problems)
        raise InvalidInput(error.code, error.message, field=f"payload.{error.field}", problems=problems) from None
    return mine


def _written(ports: Ports, found: Schedule) -> str:
    """Never the same twice: whoever changes a document must not take another's write for their own."""
    return f"{ports.token()} {found.model_dump_json(exclude_none=True)}"


def _read(body: str) -> Schedule:
    return Schedule.model_validate_json(body.partition(" ")[2])


def _place(tenant_id: str) -> str:
    return f"schedules#{tenant_id}"


def _due_place(tenant_id: str, schedule_id: str) -> str:
    return f"due#{shard_of(tenant_id, schedule_id)}"
