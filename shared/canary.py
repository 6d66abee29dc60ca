"""A canary redrive's decisions: what became of a wave's jobs, and what to do next. Pure.

one of them failed the same way           Stop    at once, whatever else is on its way
some are on their way                     Wait    until all are over
all that ended failed, in other ways      Stop
nothing is left to be run again           Over
all are over                              the next State; of the next stage, if some succeeded
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from pydantic import BaseModel, JsonValue

from shared.errors import Permanent
from shared.job import Job
from shared.outcomes import Partial
from shared.payloads.redrive import WAVE_MAX, RedrivePayload
from shared.payloads.results import ErrorBody, ProcessResult, RowError
from shared.selection import Filter
from shared.status import Status

LOOK_S: Final = (2.0, 300.0)
"""How long is waited between two looks: at first, at most."""

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

    @property
    def is_last(self) -> bool:
        return not self.rest and self.cursor is None


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
    def is_back(self) -> bool:
        """The same failure."""
        return Fate.FAILED_SAME in self.fates

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

    @property
    def words(self) -> str:
        return f"stage {self.stage} of {len(self.payload.stages) + 1}; {self.counts[Fate.SUCCEEDED]} succeeded so far"


@dataclass(frozen=True, slots=True)
class Stop:
    why: str
    failed: Sequence[Job]


@dataclass(frozen=True, slots=True)
class Wait:
    pass


@dataclass(frozen=True, slots=True)
class Over:
    pass


def next_of(look: Look, *, just_begun: bool) -> Stop | Wait | Over | State:
    """`just_begun`: some are on their way that were not when it was looked."""
    if look.is_back:
        return Stop("the same failure is back", look.of(Fate.FAILED_SAME))
    if just_begun or Fate.ALIVE in look.fates:
        return Wait()
    succeeded, otherwise = look.of(Fate.SUCCEEDED), look.of(Fate.FAILED_OTHERWISE)
    if otherwise and not succeeded:
        return Stop("they fail otherwise now", otherwise)
    if look.wave.is_last:
        return Over()
    state = look.state
    return State(wave=state.wave + 1, stage=state.stage + bool(succeeded), fates=look.counts)


def pause_s(wave: Wave, now: int) -> float:
    """Look the less often, the longer it takes."""
    first_s, most_s = LOOK_S
    return min(max((now - wave.began_at) / 3_000, first_s), most_s)


def due_in_s(wave: Wave, place: int, rate_per_s: float, now: int) -> float:
    """Of the wave's job at `place`, from 0."""
    return max(0.0, (wave.began_at + place * 1000 / rate_per_s - now) / 1000)


# --- which, and how they fared ----------------------------------------------------------------------------------------


def size_of(payload: RedrivePayload, state: State) -> int:
    """Of this wave, at most."""
    return payload.stages[state.stage] if state.stage < len(payload.stages) else WAVE_MAX


def looked_for(payload: RedrivePayload) -> Filter:
    return Filter(
        statuses=frozenset({Status.FAILED}),
        type=payload.job_type,
        error=payload.fingerprint,
        created_since=payload.created_since,
        ended_since=payload.ended_since,
    )


def is_meant(row: Job, payload: RedrivePayload) -> bool:
    """Never another canary."""
    return row.type != payload.type and looked_for(payload).matches(row)


def fate_of(row: Job | None, noted: Noted, payload: RedrivePayload) -> Fate:
    if row is None:
        return Fate.MOVED_ON
    if (row.redrives or 0) == noted[1]:
        return Fate.LEFT_ALONE if is_meant(row, payload) else Fate.MOVED_ON
    match row.status:
        case Status.SUCCESS | Status.PARTIAL_SUCCESS:
            return Fate.SUCCEEDED
        case Status.FAILED:
            return Fate.FAILED_SAME if is_meant(row, payload) else Fate.FAILED_OTHERWISE
        case Status.CANCELLED:
            return Fate.MOVED_ON
    return Fate.ALIVE


# --- the report -------------------------------------------------------------------------------------------------------


def over(look: Look) -> ProcessResult:
    return _result(look, {})


def stopped(look: Look, stop: Stop, *, left: int, is_more: bool) -> Partial:
    """`left` alone, `is_more`: or more. Raises Permanent("redrive_stopped") if nothing succeeded."""
    if look.counts[Fate.SUCCEEDED]:
        told: dict[str, JsonValue] = {
            "stopped": stop.why,
            str(Fate.LEFT_ALONE): left,
            "left_alone_or_more": is_more,
        }
        return Partial(_result(look, told), [_named(row) for row in stop.failed[:NAMED_MAX]])
    first = f"{stop.why}: {stop.failed[0].job_id} in stage {look.stage}"
    more = " or more" if is_more else ""
    message = f"{first}; {look.run_again} run again, none succeeded, {left}{more} left alone"
    raise Permanent("redrive_stopped", message, field="fingerprint")


def _result(look: Look, more: dict[str, JsonValue]) -> ProcessResult:
    count = look.run_again
    found: dict[str, JsonValue] = {"fingerprint": look.payload.fingerprint, "stage": look.stage, "run_again": count}
    found |= {str(fate): look.counts[fate] for fate in Fate}
    return ProcessResult(status="success" if count else "no-op", data=found | more, records_processed=count)


def _named(row: Job) -> RowError:
    error = ErrorBody.model_validate_json(row.error or "{}")
    return RowError(table=row.type, field=row.job_id, code=error.code, message=error.message)
