"""`redrive`: failures of one kind are run again in growing waves, for as long as they do not come back.

    a wave     jobs, and how often each had been redriven: written down before the first of them is, so that whoever
               comes after a crash knows which are redriven already, and none is run again twice
    the next   is begun when all of this one are over, and none of them has failed the same way
    the end    the same failure is back, or all of a wave have failed, however; or nothing is left

The newest failure goes first. What is on its way when the same failure comes back is left to go on.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from pydantic import BaseModel, JsonValue

from shared.errors import Conflict, NotFound, Permanent
from shared.job import Job
from shared.limits import LIST_MAX
from shared.outcomes import Snooze
from shared.payloads.redrive import WAVE_MAX, RedrivePayload
from shared.payloads.results import ErrorBody, ProcessResult, RowError
from shared.runtime.context import Context, Partial, Proceed
from shared.runtime.definition import job
from shared.runtime.documents import SIDE_RETENTION_MS
from shared.runtime.service import Service
from shared.selection import Filter
from shared.status import Status

PAGES_MAX: Final = 100
"""Of the tenant's list, looked through for one wave. Where they hold nothing, the next wave goes on."""

AT_ONCE: Final = 25
TIME_LEFT_S_MIN: Final = 10.0
LOOK_S_MIN: Final = 2.0
LOOK_S_MAX: Final = 300.0
NAMED_MAX: Final = 10

Noted = tuple[str, int]
"""A job's id, and how often it had been redriven."""


class Wave(BaseModel):
    """`rest`: found on the list's last page, and left for the next wave. `cursor`: where the list goes on, if it does.
    `began_at` in milliseconds: from then on the pace is kept."""

    began_at: int
    jobs: list[Noted]
    rest: list[Noted]
    cursor: str | None


class Fate(StrEnum):
    LEFT_ALONE = "left_alone"
    """Still failed, and not run again."""
    MOVED_ON = "moved_on"
    """It is gone, or somebody else has moved it."""
    ALIVE = "alive"
    SUCCEEDED = "succeeded"
    FAILED_SAME = "failed_same"
    FAILED_OTHERWISE = "failed_otherwise"


class State(BaseModel):
    """The checkpoint: the wave's number, the stage, and what became of the waves before."""

    wave: int = 0
    stage: int = 0
    fates: Counter[Fate] = Counter()


@dataclass(frozen=True, slots=True)
class Look:
    """`rows` are the wave's jobs as they are now, `fates` what became of them."""

    payload: RedrivePayload
    state: State
    wave: Wave
    rows: Sequence[Job | None]
    fates: Sequence[Fate]

    def of(self, fate: Fate) -> list[Job]:
        return [row for row, found in zip(self.rows, self.fates, strict=True) if found is fate and row is not None]

    @property
    def counts(self) -> Counter[Fate]:
        """With the waves before."""
        return self.state.fates + Counter(self.fates)

    @property
    def run_again(self) -> int:
        counts = self.counts
        return counts.total() - counts[Fate.MOVED_ON] - counts[Fate.LEFT_ALONE]

    @property
    def stage(self) -> int:
        """From 1."""
        return min(self.state.stage, len(self.payload.stages)) + 1


@job(RedrivePayload)
async def redrive(payload: RedrivePayload, context: Context) -> ProcessResult | Partial | Snooze | Proceed:
    """One look at one wave: what is not yet run again is, unless the failure is back already."""
    state = State.model_validate_json(context.checkpoint or "{}")
    look = await _look(payload, state, await _wave(payload, state, context), context)
    _tell(look, context)
    if same := look.of(Fate.FAILED_SAME):
        return await _stopped("the same failure is back", same, look, context)
    if await _run_again(look, context) or look.of(Fate.ALIVE):
        return Snooze(_pause_s(look.wave, context), "wave_not_over")
    succeeded, otherwise = look.of(Fate.SUCCEEDED), look.of(Fate.FAILED_OTHERWISE)
    if otherwise and not succeeded:
        return await _stopped("they fail otherwise now", otherwise, look, context)
    if not look.wave.rest and look.wave.cursor is None:
        return _result(look, _report(look))
    after = State(wave=state.wave + 1, stage=state.stage + bool(succeeded), fates=look.counts)
    return Proceed(after.model_dump_json())


# --- the wave ---------------------------------------------------------------------------------------------------------


async def _wave(payload: RedrivePayload, state: State, context: Context) -> Wave:
    """As whoever came first has written it down."""
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
    wanted = payload.stages[state.stage] if state.stage < len(payload.stages) else WAVE_MAX
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
    wanted = _filter(payload)
    for _ in range(PAGES_MAX):
        page = await context.ports.jobs.list(context.tenant_id, limit=LIST_MAX, cursor=cursor)
        cursor = None if page.jobs and wanted.is_behind(page.jobs[-1]) else page.cursor
        matching = [(row.job_id, row.redrives or 0) for row in page.jobs if _is_meant(row, payload)]
        yield matching, cursor
        if cursor is None:
            return


async def _run_again(look: Look, context: Context) -> bool:
    """Redrive those that are not yet, each due when the pace allows. False: there was none that could be."""
    service, wave, any_redriven = Service(context.ports), look.wave, False
    for place, ((job_id, _), fate) in enumerate(zip(wave.jobs, look.fates, strict=True)):
        if fate is not Fate.LEFT_ALONE:
            continue
        if context.time_left_s < TIME_LEFT_S_MIN:
            return True
        due_at = wave.began_at + place * 1000 / look.payload.rate_per_s
        delay_s = max(0.0, (due_at - context.ports.now()) / 1000)
        try:
            await service.redrive(context.tenant_id, job_id, who=look.payload.who, delay_s=delay_s)
            any_redriven = True
        except (Conflict, NotFound) as problem:
            context.log.info("not_run_again", redriven=job_id, reason=problem.code)
    return any_redriven


async def _look(payload: RedrivePayload, state: State, wave: Wave, context: Context) -> Look:
    rows: list[Job | None] = []
    for start in range(0, len(wave.jobs), AT_ONCE):
        some = wave.jobs[start : start + AT_ONCE]
        rows += await asyncio.gather(*(context.ports.jobs.get(context.tenant_id, job_id) for job_id, _ in some))
    fates = [_fate(row, noted, payload) for row, noted in zip(rows, wave.jobs, strict=True)]
    return Look(payload, state, wave, rows, fates)


# --- judgement --------------------------------------------------------------------------------------------------------


def _filter(payload: RedrivePayload) -> Filter:
    return Filter(
        statuses=frozenset({Status.FAILED}),
        type=payload.job_type,
        error=payload.fingerprint,
        created_since=payload.created_since,
        ended_since=payload.ended_since,
    )


def _is_meant(row: Job, payload: RedrivePayload) -> bool:
    return row.type != payload.type and _filter(payload).matches(row)


def _fate(row: Job | None, noted: Noted, payload: RedrivePayload) -> Fate:
    if row is None:
        return Fate.MOVED_ON
    if (row.redrives or 0) == noted[1]:
        return Fate.LEFT_ALONE if _is_meant(row, payload) else Fate.MOVED_ON
    match row.status:
        case Status.SUCCESS | Status.PARTIAL_SUCCESS:
            return Fate.SUCCEEDED
        case Status.FAILED:
            return Fate.FAILED_SAME if _is_meant(row, payload) else Fate.FAILED_OTHERWISE
        case Status.CANCELLED:
            return Fate.MOVED_ON
    return Fate.ALIVE


def _pause_s(wave: Wave, context: Context) -> float:
    """Look the less often, the longer it takes."""
    return min(max((context.ports.now() - wave.began_at) / 3_000, LOOK_S_MIN), LOOK_S_MAX)


# --- the report -------------------------------------------------------------------------------------------------------


def _tell(look: Look, context: Context) -> None:
    total = len(look.wave.jobs)
    message = f"stage {look.stage} of {len(look.payload.stages) + 1}; {look.counts[Fate.SUCCEEDED]} succeeded so far"
    context.progress(total - len(look.of(Fate.ALIVE)), total, message=message)


def _report(look: Look) -> dict[str, JsonValue]:
    found: dict[str, JsonValue] = {"fingerprint": look.payload.fingerprint, "stage": look.stage}
    return found | {"run_again": look.run_again} | {str(fate): look.counts[fate] for fate in Fate}


def _result(look: Look, report: dict[str, JsonValue]) -> ProcessResult:
    count = look.run_again
    return ProcessResult(status="success" if count else "no-op", data=report, records_processed=count)


async def _stopped(why: str, failed: Sequence[Job], look: Look, context: Context) -> Partial:
    """Partly done, if anything succeeded at all; else this raises Permanent."""
    left, is_more = look.counts[Fate.LEFT_ALONE] + len(look.wave.rest), False
    if look.wave.cursor is not None:
        async for some, goes_on_at in _pages(look.payload, look.wave.cursor, context):
            left, is_more = left + len(some), goes_on_at is not None
    if look.counts[Fate.SUCCEEDED]:
        told: dict[str, JsonValue] = {"stopped": why, str(Fate.LEFT_ALONE): left, "left_alone_or_more": is_more}
        return Partial(_result(look, _report(look) | told), [_named(row) for row in failed[:NAMED_MAX]])
    more = " or more" if is_more else ""
    message = f"{why}: {failed[0].job_id} in stage {look.stage}; {look.run_again} run again, none succeeded"
    raise Permanent("redrive_stopped", f"{message}, {left}{more} left alone", field="fingerprint")


def _named(row: Job) -> RowError:
    error = ErrorBody.model_validate_json(row.error or "{}")
    return RowError(table=row.type, field=row.job_id, code=error.code, message=error.message)


def _sk(wave: int) -> str:
    return f"wave#{wave:06d}"


handler = redrive.lambda_handler
