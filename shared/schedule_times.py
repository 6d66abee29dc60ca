"""When a schedule is due: the one definition, for the clock, the API and whoever asks what comes next. Pure, but that
the rules of time zones are the machine's, or those of the package tzdata where it has none.

1. A cron line speaks of the wall clock of its zone. Five fields as Debian's cron reads them (crontab(5)): lists,
   ranges, steps, names; where neither day field begins with `*`, either will do; and `L` and `MON#1` as in Quartz.
2. The clock goes forward: times that are left out are made up for at the first moment after the gap, once in all;
   unless the hours begin with `*`: such lines keep their rhythm, and the next time is near.
3. The clock goes back: a time that comes twice counts once, the first time; unless the minutes or the hours begin
   with `*`: such lines keep their rhythm.
4. The answers are the same from whatever moment one asks.
"""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from itertools import takewhile
from typing import Annotated, Final
from zoneinfo import ZoneInfo

from cronsim import CronSim, CronSimError
from pydantic import BaseModel, ConfigDict, StringConstraints, model_validator

from shared.job import rfc3339

WORDS: Final = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
}

DAY_S: Final = 86_400
FIRST_LOOK_MS: Final = 3_600_000

EPOCH: Final = datetime(1970, 1, 1)  # noqa: DTZ001  of a wall clock
YEAR_MAX: Final = 2_200
"""Until 2286 milliseconds have 13 digits, by which they are sorted."""


class When(BaseModel):
    """A cron line in a time zone of the IANA, or one moment (RFC 3339)."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    cron: Annotated[str, StringConstraints(min_length=1, max_length=100)] | None = None
    timezone: Annotated[str, StringConstraints(pattern=r"^[A-Za-z][A-Za-z0-9_+/-]*$", max_length=64)] = "UTC"
    at: (
        Annotated[str, StringConstraints(pattern=r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,6})?(Z|[+-]\d\d:\d\d)$")]
        | None
    ) = None

    @model_validator(mode="after")
    def _can_be_read(self) -> "When":
        if (self.cron is None) == (self.at is None):
            raise ValueError("either cron or at is required, not both")
        _zone(self.timezone)
        if self.cron is not None:
            _walk(self.cron, EPOCH)
        elif _moment(self.at or "").year > YEAR_MAX:
            raise ValueError(f"at: a year up to {YEAR_MAX}")
        return self


class DueTime(BaseModel):
    """A moment, in UTC and as the clock in the schedule's zone shows it."""

    at: str
    local: str


def next_time(when: When, after: int) -> int | None:
    """The first due time later than `after`, both in milliseconds; None: there is none."""
    if when.cron is None:
        at = round(_moment(when.at or "").timestamp() * 1000)
        return at if at > after else None
    found = _next(when.cron, _zone(when.timezone), after // 1000)
    return None if found is None else found * 1000


def times(when: When, after: int) -> Iterator[int]:
    """All due times later than `after`, in order."""
    while (found := next_time(when, after)) is not None:
        yield found
        after = found


def latest(when: When, after: int, until: int, *, count: int) -> Sequence[int]:
    """The last `count` due times of those later than `after` and up to `until`: however long ago `after` is, no more is
    looked at than it takes."""
    look_ms = FIRST_LOOK_MS
    while True:
        begin = max(after, until - look_ms)
        found = list(takewhile(lambda at: at <= until, times(when, begin)))
        if begin == after or len(found) >= count:
            return found[-count:]
        look_ms *= 8


def told(when: When, at: int) -> DueTime:
    local = datetime.fromtimestamp(at / 1000, _zone(when.timezone))
    return DueTime(at=rfc3339(at), local=local.isoformat(timespec="seconds"))


# --- the walk: `at` is a moment, `wall` what the clock shows, both in seconds since 1970 ------------------------------


def _next(cron: str, zone: ZoneInfo, at: int) -> int | None:
    """The first matching moment later than `at`: from one change of the clock to the next."""
    minutes, hours, *_ = WORDS.get(cron, cron).split()
    is_hourly = hours.startswith("*")
    keeps_rhythm = is_hourly or minutes.startswith("*")
    wall = at + _offset(zone, at)
    while (match := _matching(cron, wall)) is not None:
        offset = _offset(zone, at)
        change = _change(zone, at, match - offset)
        if change is None:
            at, wall = match - offset, match
            if keeps_rhythm or not datetime.fromtimestamp(at, zone).fold:
                return at
        else:
            shown = change + _offset(zone, change)
            if match < shown and not is_hourly:
                return change
            at, wall = change, shown - 1
    return None


def _matching(cron: str, wall: int) -> int | None:
    """The first matching time later than `wall`, of a clock that is never changed."""
    found = next(_walk(cron, EPOCH + timedelta(seconds=wall)), None)
    return None if found is None else (found - EPOCH) // timedelta(seconds=1)


def _change(zone: ZoneInfo, at: int, until: int) -> int | None:
    """The first moment later than `at`, up to `until`, from which the clock is another. No zone changes its own twice
    within a day."""
    offset = _offset(zone, at)
    while at < until:
        after = min(at + DAY_S, until)
        if _offset(zone, after) != offset:
            while after - at > 1:
                middle = (at + after) // 2
                at, after = (middle, after) if _offset(zone, middle) == offset else (at, middle)
            return after
        at = after
    return None


def _offset(zone: ZoneInfo, at: int) -> int:
    """What the clock is ahead of UTC, in seconds."""
    return round((datetime.fromtimestamp(at, zone).utcoffset() or timedelta()).total_seconds())


def _walk(cron: str, after: datetime) -> CronSim:
    """Raises ValueError for what is no cron line."""
    line = WORDS.get(cron, cron)
    if len(line.split()) != 5:
        raise ValueError(f"cron: five fields, or one of {', '.join(WORDS)}")
    try:
        return CronSim(line, after)
    except CronSimError as error:
        raise ValueError(f"cron: {str(error).lower()}") from None


def _zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (KeyError, OSError, ValueError):
        raise ValueError("timezone: a name of the IANA's, such as Europe/Berlin") from None


def _moment(text: str) -> datetime:
    try:
        return datetime.fromisoformat(text).astimezone(UTC)
    except (ValueError, OverflowError):
        raise ValueError("at: a moment as 2026-01-31T12:00:00Z") from None
