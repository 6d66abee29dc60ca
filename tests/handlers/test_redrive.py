"""A canary redrive: 1, 10, then all, and no further once the failure is back."""

import asyncio
import itertools
from collections.abc import Callable
from typing import Any

import pytest

from infra.testing import Longshore, Producer
from shared.errors import InvalidInput, Permanent
from shared.job import read_history_entry
from shared.payloads import read_payload
from shared.payloads.generic import GenericPayload
from shared.payloads.redrive import RedrivePayload
from shared.payloads.results import ProcessResult
from shared.runtime.context import Context
from shared.runtime.definition import JobType
from shared.status import Event, Status
from shared.view import JobView

MENDED_AT = 1_767_225_600_000 + 600_000
"""Ten minutes after the kit's clock begins: enough for a death and a wait."""

Broken = Callable[[int], str | None]
"""The row's number → how it fails."""


@pytest.fixture
def broken(longshore: Longshore) -> dict[str, Broken]:
    """Every row is bad until somebody says otherwise."""
    state: dict[str, Broken] = {"how": lambda _: "bad_row"}

    async def rows(payload: GenericPayload, _context: Context) -> ProcessResult:
        row = payload.parameters["row"]
        assert isinstance(row, int)
        if code := state["how"](row):
            raise Permanent(code, f"row {row} is bad")
        return ProcessResult()

    longshore.use(JobType(GenericPayload, rows))
    return state


def failed(longshore: Longshore, count: int, **fields: Any) -> list[JobView]:
    """Oldest first, a second apart."""
    jobs = []
    for row in range(count):
        jobs.append(longshore.submit(GenericPayload(operation="x", parameters={"row": row}, **fields)))
        longshore.clock.advance(1)
    longshore.drain()
    return jobs


def canary(longshore: Longshore, **fields: Any) -> JobView:
    job = longshore.submit(RedrivePayload(**{"fingerprint": "bad_row", "who": "ann"} | fields))
    longshore.drain(with_scheduled=True)
    return longshore.job(job)


def redriven(longshore: Longshore) -> list[int]:
    """For each redrive, in order: how many jobs had succeeded by then."""
    ends, found = 0, []
    for record in longshore.world.jobs.stream:
        if record.new is None or record.new.type != "generic":
            continue
        event = read_history_entry(record.new.history[-1]).event
        moved = record.old is None or record.old.status is not record.new.status
        ends += event is Event.SUCCEED and moved
        if event is Event.REDRIVE:
            found.append(ends)
    return found


def report(longshore: Longshore, job: JobView) -> dict[str, Any]:
    result = longshore.result(job).data.result
    assert isinstance(result, dict)
    data = result["data"]
    assert isinstance(data, dict)
    return data


def test_each_wave_is_begun_when_the_one_before_went_well(longshore: Longshore, broken: dict[str, Broken]) -> None:
    jobs = failed(longshore, 30)
    broken["how"] = lambda _: None
    job = canary(longshore)
    assert job.status is Status.SUCCESS
    assert redriven(longshore) == [0] + [1] * 10 + [11] * 19
    told = report(longshore, job)
    assert (told["run_again"], told["succeeded"], told["stage"], told["left_alone"]) == (30, 30, 3, 0)
    assert {longshore.job(one).status for one in jobs} == {Status.SUCCESS}
    events = longshore.run(longshore.service.history(longshore.world.jobs.rows[f"default#{jobs[0].job_id}"]))
    assert [event.who for event in events if event.event == "redrive"] == ["ann"]


def test_nothing_more_is_run_again_once_the_first_fails_the_same_way(
    longshore: Longshore, broken: dict[str, Broken]
) -> None:
    jobs = failed(longshore, 130)
    job = canary(longshore)
    assert job.status is Status.FAILED
    assert job.error is not None
    assert (job.error.code, job.error.field) == ("redrive_stopped", "fingerprint")
    assert jobs[-1].job_id in job.error.message, "the newest goes first"
    assert job.error.message.endswith("stage 1; 1 run again, none succeeded, 129 left alone")
    assert len(redriven(longshore)) == 1


def test_a_failure_that_comes_back_later_ends_it_with_a_report(longshore: Longshore, broken: dict[str, Broken]) -> None:
    failed(longshore, 30)
    broken["how"] = lambda row: "bad_row" if row == 22 else "other" if row == 23 else None
    job = canary(longshore)
    assert job.status is Status.PARTIAL_SUCCESS
    told = report(longshore, job)
    assert (told["stage"], told["run_again"], told["succeeded"]) == (2, 11, 9)
    assert (told["failed_same"], told["failed_otherwise"], told["left_alone"]) == (1, 1, 19)
    errors = longshore.result(job).data.details["errors"]
    assert isinstance(errors, list)
    assert [isinstance(error, dict) and error["message"] for error in errors] == ["row 22 is bad"]
    assert len(redriven(longshore)) == 11


def test_it_stops_as_well_when_they_all_fail_in_another_way(longshore: Longshore, broken: dict[str, Broken]) -> None:
    failed(longshore, 3)
    broken["how"] = lambda _: "worse"
    job = canary(longshore)
    assert job.error is not None
    assert job.error.message.startswith("they fail otherwise now")
    assert len(redriven(longshore)) == 1


def test_only_what_is_meant_is_touched(longshore: Longshore, broken: dict[str, Broken]) -> None:
    (theirs,) = failed(longshore, 1, tenant_id="another")
    (old,) = failed(longshore, 1)
    longshore.clock.advance(10)
    since = longshore.clock.now()
    broken["how"] = lambda _: "other"
    (other,) = failed(longshore, 1)
    broken["how"] = lambda _: "bad_row"
    (meant,) = failed(longshore, 1)
    broken["how"] = lambda _: None
    job = canary(longshore, created_since=since, job_type="generic")
    assert report(longshore, job)["run_again"] == 1
    assert longshore.job(meant).status is Status.SUCCESS
    assert {longshore.job(one).status for one in (theirs, old, other)} == {Status.FAILED}
    assert report(longshore, canary(longshore, job_type="backup"))["run_again"] == 0


def test_a_canary_runs_no_canary_again(longshore: Longshore, broken: dict[str, Broken]) -> None:
    failed(longshore, 1)
    assert canary(longshore).status is Status.FAILED
    broken["how"] = lambda _: None
    assert report(longshore, canary(longshore, fingerprint="redrive_stopped"))["run_again"] == 0


def test_it_looks_through_a_long_list_of_others(
    longshore: Longshore, broken: dict[str, Broken], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shared.runtime.canary.LIST_MAX", 5)
    monkeypatch.setattr("shared.runtime.canary.PAGES_MAX", 2)
    broken["how"] = lambda row: "bad_row" if row % 25 == 0 else None
    failed(longshore, 80)
    broken["how"] = lambda _: None
    job = canary(longshore)
    assert report(longshore, job)["run_again"] == 4
    assert not [row for row in longshore.world.jobs.rows.values() if row.status is Status.FAILED]


def test_a_job_that_somebody_else_has_moved_counts_for_no_stage(
    longshore: Longshore, broken: dict[str, Broken]
) -> None:
    jobs = failed(longshore, 30)
    broken["how"] = lambda _: None
    running = longshore.submit(RedrivePayload(fingerprint="bad_row", who="ann", rate_per_s=0.01))
    longshore.run(longshore.world.react())
    longshore.run(longshore.world.invoke("redrive"))
    assert redriven(longshore) == [0]
    longshore.cancel(jobs[-1])
    longshore.drain(with_scheduled=True)
    told = report(longshore, longshore.job(running))
    assert (told["moved_on"], told["succeeded"]) == (1, 29)
    assert redriven(longshore) == [0, 0] + [1] * 10 + [11] * 18


def out_of_time(longshore: Longshore, monkeypatch: pytest.MonkeyPatch, **fields: Any) -> JobView:
    """A canary that has written its wave down, and had no time to run any of it again."""
    job = longshore.submit(RedrivePayload(**{"fingerprint": "bad_row", "who": "ann"} | fields))
    with monkeypatch.context() as patched:
        patched.setattr("shared.runtime.canary.TIME_LEFT_S_MIN", 1e9)
        longshore.run(longshore.world.react())
        longshore.run(longshore.world.invoke("redrive"))
    return job


def test_who_has_no_time_left_begins_nothing_that_it_cannot_end(
    longshore: Longshore, broken: dict[str, Broken], monkeypatch: pytest.MonkeyPatch
) -> None:
    failed(longshore, 3)
    broken["how"] = lambda _: None
    job = out_of_time(longshore, monkeypatch, stages=(3,))
    assert redriven(longshore) == []
    longshore.drain(with_scheduled=True)
    assert report(longshore, longshore.job(job))["succeeded"] == 3


def test_once_the_failure_is_back_nothing_of_the_wave_is_begun_either(
    longshore: Longshore, broken: dict[str, Broken], monkeypatch: pytest.MonkeyPatch
) -> None:
    jobs = failed(longshore, 3)
    job = out_of_time(longshore, monkeypatch, stages=(3,))
    longshore.redrive(jobs[0])
    longshore.drain(with_scheduled=True)
    assert longshore.job(job).status is Status.FAILED
    assert len(redriven(longshore)) == 1


def test_what_was_made_too_early_is_not_looked_through(
    longshore: Longshore, broken: dict[str, Broken], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shared.runtime.canary.LIST_MAX", 2)
    monkeypatch.setattr("shared.runtime.canary.PAGES_MAX", 2)
    failed(longshore, 20)
    since = longshore.clock.now()
    failed(longshore, 1)
    broken["how"] = lambda _: None
    job = canary(longshore, created_since=since)
    assert report(longshore, job)["run_again"] == 1
    assert longshore.run(longshore.ports.side.get(f"default#{job.job_id}", "wave#000002")) is None


def test_a_wave_keeps_the_pace(longshore: Longshore, broken: dict[str, Broken]) -> None:
    jobs = failed(longshore, 11)
    broken["how"] = lambda _: None
    canary(longshore, rate_per_s=0.1)
    began = sorted(longshore.world.jobs.rows[f"default#{job.job_id}"].started_at or 0 for job in jobs)
    gaps_s = [round((later - earlier) / 1000) for earlier, later in itertools.pairwise(began[1:])]
    assert all(gap_s >= 9 for gap_s in gaps_s), gaps_s


def test_no_door_takes_it() -> None:
    with pytest.raises(InvalidInput):
        read_payload('{"type": "redrive", "fingerprint": "x", "who": "me"}')


async def mended_later(payload: GenericPayload, context: Context) -> ProcessResult:
    if context.ports.now() < MENDED_AT or payload.parameters.get("never"):
        raise Permanent("bad_row", "the row is bad")
    return ProcessResult()


def test_whatever_happens_to_it_each_is_run_again_once(longshore: Longshore) -> None:
    longshore.use(JobType(GenericPayload, mended_later))
    points = longshore.crash_points(_story(), _once_each)
    assert points > 100


def test_whatever_happens_to_it_one_failure_ends_it(longshore: Longshore) -> None:
    longshore.use(JobType(GenericPayload, mended_later))

    def check(kit: Longshore) -> None:
        rows = kit.world.jobs.rows.values()
        assert sum(row.redrives or 0 for row in rows) == 1

    longshore.crash_points(_story(never=True), check)


def _story(*, never: bool = False) -> Callable[[Producer], Any]:
    async def story(producer: Producer) -> None:
        for number in range(2):
            payload = GenericPayload(job_id=f"row-{number}", operation="x", parameters={"never": never})
            await producer.until(await producer.submit(payload), Status.FAILED)
        if not never:
            await asyncio.sleep(max(0, MENDED_AT - producer.ports.now()) / 1000)
        canary = RedrivePayload(job_id="canary", fingerprint="bad_row", who="ann", stages=(1,))
        await producer.until(await producer.submit(canary), Status.SUCCESS)

    return story


def _once_each(kit: Longshore) -> None:
    rows = kit.world.jobs.rows
    assert [rows[f"default#row-{number}"].redrives for number in range(2)] == [1, 1]
    assert report(kit, kit.job("canary"))["run_again"] == 2
