"""What those who watch are told, and by which rules they may drop it."""

import json
from dataclasses import replace

from shared.job import Job
from shared.status import Status
from shared.view import version_of
from shared.watching import FRAME_BYTES_MAX, event_of, frames, latest, topics_of

NOW = 1_767_225_600_000


def job(**changes: object) -> Job:
    made = Job(
        tenant_id="acme",
        job_id="job_1",
        type="generic",
        status=Status.QUEUED,
        seq=1,
        token="t",
        attempts_left=3,
        attempts_max=3,
        created_at=NOW,
        updated_at=NOW,
        due_at=NOW,
        payload_hash="0" * 32,
    )
    return replace(made, **changes)  # type: ignore[arg-type]  # named by the tests below


LIFE = (
    job(),
    job(status=Status.RUNNING, epoch=1, updated_at=NOW + 1),
    job(status=Status.RUNNING, epoch=1, updated_at=NOW + 9, progress='{"current":1,"total":4}'),
    job(status=Status.QUEUED, epoch=1, seq=2, updated_at=NOW + 5),
    job(status=Status.RUNNING, epoch=2, seq=2, updated_at=NOW + 3),
    job(status=Status.SUCCESS, epoch=2, seq=2, updated_at=NOW + 3),
    job(status=Status.QUEUED, epoch=2, seq=3, updated_at=NOW + 4),
)
"""The second run's clock is behind the first one's."""


def test_the_version_grows_with_every_move_whatever_the_clocks_say() -> None:
    versions = [version_of(row) for row in LIFE]
    assert versions == sorted(versions)
    assert len(set(versions)) == len(versions)


def test_an_event_is_called_what_happened() -> None:
    assert [event_of(row).event for row in LIFE] == [
        "queued",
        "active",
        "progress",
        "queued",
        "active",
        "completed",
        "queued",
    ]


def test_an_event_tells_how_far_the_job_is_and_what_it_is_about() -> None:
    progress = '{"current":3,"total":12,"message":"3/12 ingredients","indent_level":1,"context":"soup"}'
    event = event_of(job(status=Status.RUNNING, progress=progress, metadata='{"item_id":7}'))
    assert (event.current_count, event.total_count, event.percent) == (3, 12, 25.0)
    assert (event.message, event.context, event.indent_level, event.item_id) == ("3/12 ingredients", "soup", 1, "7")


def test_of_a_batch_each_job_is_told_once_as_it_is_now() -> None:
    other = job(job_id="job_2")
    assert latest([*LIFE, other]) == [LIFE[-1], other]
    assert latest([LIFE[2], LIFE[1]]) == [LIFE[2]]


def test_a_job_is_watched_by_its_tenant_its_type_and_its_id() -> None:
    assert topics_of(job()) == ("tenant", "type:generic", "job:job_1")
    child = job(parent="job_9 0 3 100000 - each")
    assert topics_of(child) == ("type:generic", "job:job_1"), "a flow's watchers are not told of each child"
    assert event_of(child).parent_id == "job_9"


def test_frames_hold_every_event_and_none_is_too_large() -> None:
    events = [event_of(job(job_id=f"job_{number}")) for number in range(500)]
    found = frames(events)
    assert all(len(frame) <= FRAME_BYTES_MAX + 20 for frame in found)
    assert len(found) < 5
    told = [event["job_id"] for frame in found for event in json.loads(frame)["events"]]
    assert told == [event.job_id for event in events]
    assert frames([]) == []
