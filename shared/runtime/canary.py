"""A canary's waves: found in the list, written down before the first of them is run again, and looked at.

Whoever comes after a crash knows from what was written which are redriven already: none is run again twice.
"""

import asyncio
from collections.abc import AsyncIterator
from typing import Final

from shared.canary import Fate, Look, Noted, State, Wave, due_in_s, fate_of, is_meant, looked_for, size_of
from shared.errors import Conflict, NotFound, Permanent
from shared.job import Job
from shared.limits import LIST_MAX
from shared.payloads.redrive import RedrivePayload
from shared.runtime.context import Context
from shared.runtime.documents import SIDE_RETENTION_MS
from shared.runtime.service import Service

PAGES_MAX: Final = 100
"""Of the tenant's list, looked through for one wave. Where they hold nothing, the next wave goes on."""

AT_ONCE: Final = 25
TIME_LEFT_S_MIN: Final = 10.0


async def look_at_wave(payload: RedrivePayload, state: State, context: Context) -> Look:
    """The wave of this state as it is now. Raises Permanent("wave_gone") about `job_id`."""
    wave = await _written_down(payload, state, context)
    rows: list[Job | None] = []
    for start in range(0, len(wave.jobs), AT_ONCE):
        some = wave.jobs[start : start + AT_ONCE]
        rows += await asyncio.gather(*(context.ports.jobs.get(context.tenant_id, job_id) for job_id, _ in some))
    fates = [fate_of(row, noted, payload) for row, noted in zip(rows, wave.jobs, strict=True)]
    return Look(payload, state, wave, rows, fates)


async def run_again(look: Look, context: Context) -> bool:
    """Redrive those that are not yet, each due when the pace allows. → has any been, or may it be by the next run?"""
    service, wave, any_redriven = Service(context.ports), look.wave, False
    for place, ((job_id, _), fate) in enumerate(zip(wave.jobs, look.fates, strict=True)):
        if fate is not Fate.LEFT_ALONE:
            continue
        if context.time_left_s < TIME_LEFT_S_MIN:
            return True
        delay_s = due_in_s(wave, place, look.payload.rate_per_s, context.ports.now())
        try:
            await service.redrive(context.tenant_id, job_id, who=look.payload.who, delay_s=delay_s)
            any_redriven = True
        except (Conflict, NotFound) as problem:
            context.log.info("not_run_again", redriven=job_id, reason=problem.code)
    return any_redriven


async def left_alone(look: Look, context: Context) -> tuple[int, bool]:
    """→ how many of the kind are not run again, as far as the list is looked through; are there more?"""
    left, is_more = look.counts[Fate.LEFT_ALONE] + len(look.wave.rest), False
    if look.wave.cursor is not None:
        async for some, goes_on_at in _pages(look.payload, look.wave.cursor, context):
            left, is_more = left + len(some), goes_on_at is not None
    return left, is_more


async def _written_down(payload: RedrivePayload, state: State, context: Context) -> Wave:
    """By whoever came first."""
    side, pk = context.ports.side, f"{context.tenant_id}#{context.job_id}"
    body = await side.get(pk, _sk(state.wave))
    if body is None:
        before = await side.get(pk, _sk(state.wave - 1)) if state.wave else None
        made = await _found(payload, state, None if before is None else Wave.model_validate_json(before), context)
        expires_at = (made.began_at + SIDE_RETENTION_MS) // 1000
        await side.put_once(pk, _sk(state.wave), made.model_dump_json(), expires_at=expires_at)
        body = await side.get(pk, _sk(state.wave))
    if body is None:
        raise Permanent("wave_gone", "what was to be run again is no longer kept: begin anew", field="job_id")
    return Wave.model_validate_json(body)


async def _found(payload: RedrivePayload, state: State, before: Wave | None, context: Context) -> Wave:
    """The next ones of the list, as many as the stage asks for."""
    wanted = size_of(payload, state)
    jobs = [*before.rest] if before else []
    cursor = before.cursor if before else None
    if len(jobs) < wanted and (before is None or cursor is not None):
        async for some, goes_on_at in _pages(payload, cursor, context):
            jobs, cursor = jobs + some, goes_on_at
            if len(jobs) >= wanted:
                break
    return Wave(began_at=context.ports.now(), jobs=jobs[:wanted], rest=jobs[wanted:], cursor=cursor)


async def _pages(
    payload: RedrivePayload, cursor: str | None, context: Context
) -> AsyncIterator[tuple[list[Noted], str | None]]:
    """Those on each page that failed so, and where the list goes on."""
    wanted = looked_for(payload)
    for _ in range(PAGES_MAX):
        page = await context.ports.jobs.list(context.tenant_id, limit=LIST_MAX, cursor=cursor)
        cursor = None if page.jobs and wanted.is_behind(page.jobs[-1]) else page.cursor
        yield [(row.job_id, row.redrives or 0) for row in page.jobs if is_meant(row, payload)], cursor
        if cursor is None:
            return


def _sk(wave: int) -> str:
    return f"wave#{wave:06d}"
