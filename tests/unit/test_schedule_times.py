"""When a schedule is due, against a definition that looks at every minute there is."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import islice, takewhile
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from shared.schedule_times import When, latest, next_time, times, told

MINUTE_MS = 60_000
SPAN_MINUTES = 3 * 24 * 60
RANGES = {"minute": (0, 59), "hour": (0, 23), "day": (1, 31), "month": (1, 12), "weekday": (0, 6)}

CHANGES = [
    ("Europe/Berlin", "2026-03-28T12:00+00:00"),
    ("Europe/Berlin", "2026-10-24T12:00+00:00"),
    ("America/New_York", "2026-03-07T12:00+00:00"),
    ("America/New_York", "2026-10-31T12:00+00:00"),
    ("Australia/Lord_Howe", "2026-04-04T00:00+00:00"),  # by half an hour
    ("Australia/Lord_Howe", "2026-10-03T00:00+00:00"),
    ("America/Havana", "2026-03-07T12:00+00:00"),  # at midnight
    ("America/Havana", "2026-10-31T12:00+00:00"),
    ("America/St_Johns", "2010-11-06T12:00+00:00"),  # a minute past midnight, back to the day before
    ("Africa/Casablanca", "2026-02-14T00:00+00:00"),
    ("Pacific/Apia", "2011-12-29T00:00+00:00"),  # a day that never was
    ("Asia/Kathmandu", "2028-02-28T00:00+00:00"),
    ("UTC", "2028-02-28T00:00+00:00"),
]


@dataclass(frozen=True)
class Field:
    text: str
    values: frozenset[int]


@dataclass(frozen=True)
class Line:
    minute: Field
    hour: Field
    day: Field
    month: Field
    weekday: Field

    @property
    def text(self) -> str:
        return " ".join(field.text for field in (self.minute, self.hour, self.day, self.month, self.weekday))

    def matches(self, wall: datetime) -> bool:
        of_month, of_week = wall.day in self.day.values, (wall.weekday() + 1) % 7 in self.weekday.values
        is_either = not (self.day.text.startswith("*") or self.weekday.text.startswith("*"))
        is_day = of_month or of_week if is_either else of_month and of_week
        return (
            is_day
            and wall.month in self.month.values
            and wall.hour in self.hour.values
            and wall.minute in self.minute.values
        )


def fields(name: str) -> st.SearchStrategy[Field]:
    low, high = RANGES[name]
    every = st.just(Field("*", frozenset(range(low, high + 1))))
    number = st.integers(low, high)
    listed = st.frozensets(number, min_size=1, max_size=3).map(lambda some: Field(",".join(map(str, some)), some))
    stepped = st.integers(2, 20).map(lambda step: Field(f"*/{step}", frozenset(range(low, high + 1, step))))
    ranged = st.tuples(number, number).map(
        lambda ends: Field(f"{min(ends)}-{max(ends)}", frozenset(range(min(ends), max(ends) + 1)))
    )
    return st.one_of(every, listed, stepped, ranged)


LINES = st.builds(Line, **{name: fields(name) for name in RANGES})


def every_minute(line: Line, zone: ZoneInfo, start: datetime) -> Iterator[int]:
    """The definition: each moment, and what the clock shows then."""
    is_hourly = line.hour.text.startswith("*")
    keeps_rhythm = is_hourly or line.minute.text.startswith("*")
    before = start.astimezone(zone)
    for minutes in range(1, SPAN_MINUTES):
        now = (start + timedelta(minutes=minutes)).astimezone(zone)
        left_out = now.replace(tzinfo=None) - before.replace(tzinfo=None) - timedelta(minutes=1)
        skipped = (
            before.replace(tzinfo=None) + timedelta(minutes=n) for n in range(1, left_out // timedelta(minutes=1) + 1)
        )
        is_first = keeps_rhythm or not now.fold
        is_made_up_for = not is_hourly and any(line.matches(wall) for wall in skipped)
        if (line.matches(now.replace(tzinfo=None)) and is_first) or is_made_up_for:
            yield round(now.timestamp() * 1000)
        before = now


@settings(max_examples=150, deadline=None, derandomize=True, database=None)
@given(LINES, st.sampled_from(CHANGES))
def test_a_line_is_due_at_the_minutes_at_which_the_clock_matches_it(line: Line, change: tuple[str, str]) -> None:
    name, begun = change
    start = datetime.fromisoformat(begun)
    begin, end = round(start.timestamp() * 1000), round(start.timestamp() * 1000) + SPAN_MINUTES * MINUTE_MS
    found = list(takewhile(lambda at: at < end, times(When(cron=line.text, timezone=name), begin)))
    assert found == list(every_minute(line, ZoneInfo(name), start))


@settings(max_examples=100, deadline=None, derandomize=True, database=None)
@given(LINES, st.sampled_from(CHANGES), st.integers(0, SPAN_MINUTES * MINUTE_MS), st.integers(1, 30))
def test_the_answer_is_the_same_from_whichever_moment_one_asks(
    line: Line, change: tuple[str, str], later: int, count: int
) -> None:
    name, begun = change
    when, start = When(cron=line.text, timezone=name), round(datetime.fromisoformat(begun).timestamp() * 1000)
    whole = list(takewhile(lambda at: at <= start + SPAN_MINUTES * MINUTE_MS, times(when, start)))
    following = [at for at in whole if at > start + later]
    if following:
        assert next_time(when, start + later) == following[0]
    so_far = [at for at in whole if at <= start + later]
    assert latest(when, start, start + later, count=count) == so_far[-count:]


def local(cron: str, timezone: str, after: str, count: int) -> list[str]:
    when = When(cron=cron, timezone=timezone)
    found = islice(times(when, round(datetime.fromisoformat(after).timestamp() * 1000)), count)
    return [told(when, at).local for at in found]


def test_a_time_that_the_spring_leaves_out_runs_once_when_the_gap_is_over() -> None:
    assert local("30 2 * * *", "Europe/Berlin", "2026-03-28T12:00+01:00", 2) == [
        "2026-03-29T03:00:00+02:00",
        "2026-03-30T02:30:00+02:00",
    ]
    assert local("15,45 2,3 * * *", "Europe/Berlin", "2026-03-28T12:00+01:00", 3) == [
        "2026-03-29T03:00:00+02:00",
        "2026-03-29T03:15:00+02:00",
        "2026-03-29T03:45:00+02:00",
    ]


def test_a_time_that_comes_twice_in_autumn_runs_once_and_an_hourly_one_keeps_its_rhythm() -> None:
    assert local("30 2 * * *", "Europe/Berlin", "2026-10-24T12:00+02:00", 2) == [
        "2026-10-25T02:30:00+02:00",
        "2026-10-26T02:30:00+01:00",
    ]
    assert local("@hourly", "Europe/Berlin", "2026-10-25T01:30+02:00", 3) == [
        "2026-10-25T02:00:00+02:00",
        "2026-10-25T02:00:00+01:00",
        "2026-10-25T03:00:00+01:00",
    ]


def test_a_leap_day_comes_every_four_years_and_not_in_2100() -> None:
    found = local("0 0 29 2 *", "UTC", "2092-03-01T00:00+00:00", 2)
    assert [day[:10] for day in found] == ["2096-02-29", "2104-02-29"]


@pytest.mark.parametrize(
    ("line", "first"),
    [
        ("0 12 13 * FRI", "2026-01-02"),  # the 13th, or a Friday
        ("0 12 L * *", "2026-01-31"),
        ("0 12 * JAN,jul MON#2", "2026-01-12"),
        ("0 0 * * 7", "2026-01-04"),
        ("@monthly", "2026-02-01"),
    ],
)
def test_cron_lines_are_read_as_crons_users_know_them(line: str, first: str) -> None:
    assert local(line, "UTC", "2026-01-01T12:00+00:00", 1)[0][:10] == first


def test_one_moment_is_due_once() -> None:
    when = When(at="2026-01-31T12:00:00.5+01:00")
    at = round(datetime(2026, 1, 31, 11, tzinfo=UTC).timestamp() * 1000) + 500
    assert list(times(when, 0)) == [at]
    assert next_time(when, at) is None


@pytest.mark.parametrize("line", ["0 0 */10 2 MON#5", "0 0 */30 2 MON#2"])
def test_a_line_that_never_matches_says_so_quickly(line: str) -> None:
    assert next_time(When(cron=line), 1_767_225_600_000) is None


@pytest.mark.parametrize(
    "asked",
    [
        {},
        {"cron": "* * * * *", "at": "2026-01-01T00:00:00Z"},
        {"cron": "* * * *"},
        {"cron": "0 * * * * *"},
        {"cron": "@reboot"},
        {"cron": "60 * * * *"},
        {"cron": "0 0 31 2,4 *"},
        {"cron": "5-1 * * * *"},
        {"cron": "* * * * *", "timezone": "Mars/Olympus"},
        {"cron": "* * * * *", "timezone": "America"},
        {"cron": "* * * * *", "timezone": "../etc/passwd"},
        {"at": "2026-01-01"},
        {"at": "2026-01-01T00:00:00"},
        {"at": "2026-02-30T00:00:00Z"},
        {"at": "2300-01-01T00:00:00Z"},
        {"at": "9999-12-31T23:59:59-14:00"},
    ],
    ids=str,
)
def test_what_is_no_time_is_refused_with_a_reason(asked: dict[str, str]) -> None:
    with pytest.raises(ValidationError) as refused:
        When.model_validate(asked)
    assert refused.value.errors()[0]["msg"]


@settings(max_examples=400, deadline=None, derandomize=True, database=None)
@given(st.lists(st.text("0123456789*/,-LW#?MONFEBsun²", min_size=1, max_size=7), min_size=5, max_size=5).map(" ".join))
@example("* * L/3 * *")
@example("*/99999999999999999999 * * * 5L")
def test_any_text_is_a_line_or_is_refused(line: str) -> None:
    try:
        when = When(cron=line)
    except ValidationError:
        return
    found = next_time(when, 1_767_225_600_000)
    assert found is None or found > 1_767_225_600_000
