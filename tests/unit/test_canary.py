"""What a canary redrive decides, from what became of a wave's jobs."""

from collections import Counter
from dataclasses import replace

import pytest

from shared.canary import Fate, Look, Over, State, Stop, Wait, Wave, due_in_s, fate_of, next_of, pause_s, size_of
from shared.job import Job
from shared.payloads.redrive import WAVE_MAX, RedrivePayload
from shared.status import Status
from tests.databases import job_row

ALIVE, SAME, OTHER, WELL, ALONE, GONE = (
    Fate.ALIVE,
    Fate.FAILED_SAME,
    Fate.FAILED_OTHERWISE,
    Fate.SUCCEEDED,
    Fate.LEFT_ALONE,
    Fate.MOVED_ON,
)
PAYLOAD = RedrivePayload(fingerprint="x", who="ann")
LAST = Wave(began_at=0, jobs=[], rest=[], cursor=None)


def look(*fates: Fate, wave: Wave = LAST, stage: int = 0) -> Look:
    rows = [None if fate is GONE else job_row(f"job_{n}", 1, None) for n, fate in enumerate(fates)]
    return Look(PAYLOAD, State(wave=4, stage=stage), wave, rows, fates)


MORE = LAST.model_copy(update={"cursor": "more"})
REST = LAST.model_copy(update={"rest": [("job_9", 0)]})


@pytest.mark.parametrize(
    ("fates", "wave", "expected"),
    [
        ([SAME, ALIVE, WELL], MORE, Stop),
        ([ALIVE, WELL], LAST, Wait),
        ([ALIVE, OTHER], LAST, Wait),
        ([OTHER, OTHER], MORE, Stop),
        ([OTHER, GONE], LAST, Stop),
        ([OTHER, WELL], LAST, Over),
        ([WELL], LAST, Over),
        ([], LAST, Over),
        ([ALONE], LAST, Over),
        ([WELL], MORE, State),
        ([WELL], REST, State),
        ([GONE], MORE, State),
    ],
)
def test_what_comes_next_follows_from_how_they_fared(
    fates: list[Fate], wave: Wave, expected: type[Stop | Wait | Over | State]
) -> None:
    assert isinstance(next_of(look(*fates, wave=wave), just_begun=False), expected)


def test_what_was_just_run_again_is_waited_for_unless_the_failure_is_back() -> None:
    assert next_of(look(ALONE), just_begun=True) == Wait()
    assert isinstance(next_of(look(ALONE, SAME), just_begun=True), Stop)


def test_only_a_success_leads_to_the_next_stage_and_every_fate_is_carried_on() -> None:
    well = next_of(look(WELL, OTHER, wave=MORE), just_begun=False)
    assert well == State(wave=5, stage=1, fates=Counter({WELL: 1, OTHER: 1}))
    assert next_of(look(GONE, wave=MORE), just_begun=False) == State(wave=5, stage=0, fates=Counter({GONE: 1}))


FAILED = replace(job_row("job_1", 1, None), status=Status.FAILED, error='{"code":"x","message":"m"}')


@pytest.mark.parametrize(
    ("row", "fate"),
    [
        (None, GONE),
        (FAILED, ALONE),
        (replace(FAILED, status=Status.CANCELLED), GONE),
        (replace(FAILED, status=Status.QUEUED), GONE),
        (replace(FAILED, error='{"code":"y","message":"m"}'), GONE),
        (replace(FAILED, redrives=1), SAME),
        (replace(FAILED, redrives=1, error='{"code":"y","message":"m"}'), OTHER),
        (replace(FAILED, redrives=1, status=Status.SUCCESS), WELL),
        (replace(FAILED, redrives=1, status=Status.PARTIAL_SUCCESS), WELL),
        (replace(FAILED, redrives=1, status=Status.CANCELLED), GONE),
        (replace(FAILED, redrives=2, status=Status.RUNNING), ALIVE),
    ],
)
def test_a_fate_is_told_by_the_row_and_by_how_often_it_had_been_redriven(row: Job | None, fate: Fate) -> None:
    assert fate_of(row, ("job_1", 0), PAYLOAD) is fate


def test_a_stop_names_those_that_made_it() -> None:
    found = next_of(look(WELL, SAME, OTHER), just_begun=False)
    assert isinstance(found, Stop)
    assert [row.job_id for row in found.failed] == ["job_1"]


def test_only_what_was_run_again_counts_as_such() -> None:
    seen = look(WELL, SAME, ALIVE, ALONE, GONE)
    before = replace(seen, state=State(wave=4, fates=Counter({WELL: 2, GONE: 3})))
    assert (seen.run_again, before.run_again) == (3, 5)


def test_stages_are_sizes_and_what_is_left_comes_in_the_largest() -> None:
    assert [size_of(PAYLOAD, State(stage=stage)) for stage in range(4)] == [1, 10, WAVE_MAX, WAVE_MAX]
    assert [look(stage=stage).stage for stage in range(4)] == [1, 2, 3, 3]


def test_the_pace_is_kept_from_the_waves_beginning() -> None:
    wave = LAST.model_copy(update={"began_at": 1_000})
    assert [due_in_s(wave, place, 10.0, 1_000) for place in (0, 1, 30)] == [0.0, 0.1, 3.0]
    assert due_in_s(wave, 30, 10.0, 3_000) == 1.0
    assert due_in_s(wave, 30, 10.0, 9_000) == 0.0


def test_it_looks_ever_more_rarely() -> None:
    assert [pause_s(LAST, now) for now in (0, 60_000, 9_000_000)] == [2.0, 20.0, 300.0]
