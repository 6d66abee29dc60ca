"""Throttles: what a job may have to wait for before its claim. Pure. (What is *refused* is a limit; this is *later*.)

    Rate           at most `count` begin in any `per_s` seconds     a slot is reserved in the limiter's one number
    Concurrency    at most `at_once` run at the same time           a place is taken in the list of who holds one

- An author declares them on the payload's policy. `by` names what is counted together: "type", "tenant", or a field of
  the payload (a named resource, shared by all types that have it); below the tenant, unless it says `across_tenants`.
- Admission writes what they come to for this payload into the row, so that neither worker nor reactor reads that.
- A slot, once reserved, is never given back: more than the rate never begins, less may.
- A place belongs to a job's run from before its claim until the row has left RUNNING, also through a takeover.
  `until` bounds only how long it is believed without a look at the holder's row.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Final, Literal

from shared.ids import digest
from shared.job import compact_json

AT_ONCE_MAX: Final = 100
"""All holders are in one document, which every claim and every end writes."""

PER_S_MAX: Final = 366 * 24 * 3600


@dataclass(frozen=True, slots=True)
class Rate:
    """At most `count` begin in any `per_s` seconds; up to `burst` of them at once, the others evenly spread.

    Generic cell rate algorithm, its spacing chosen so that a burst and what follows it stay within `count`:
    https://www.itu.int/rec/T-REC-I.371
    """

    count: int
    per_s: float
    by: str = "type"
    burst: int = 1
    across_tenants: bool = False

    def __post_init__(self) -> None:
        if not 1 <= self.burst <= self.count or not 0 < self.per_s <= PER_S_MAX:
            raise ValueError(f"1 <= burst <= count, per_s over 0 and up to a year: {self}")


@dataclass(frozen=True, slots=True)
class Concurrency:
    """At most `at_once` (1 to 100) run at the same time."""

    at_once: int
    by: str = "type"
    across_tenants: bool = False

    def __post_init__(self) -> None:
        if not 1 <= self.at_once <= AT_ONCE_MAX:
            raise ValueError(f"at_once of 1 to {AT_ONCE_MAX}: {self}")


@dataclass(frozen=True, slots=True)
class Singleton:
    """One job of the type alive for each key. A `second` one is the first ("join"), or refused."""

    by: str = "type"
    second: Literal["join", "refuse"] = "join"


@dataclass(frozen=True, slots=True)
class Debounce:
    """Of the jobs of the type that come for a key, the newest runs, once none has come for `quiet_s`; but not later
    than `max_wait_s` after the first."""

    quiet_s: float
    max_wait_s: float
    by: str = "type"

    def __post_init__(self) -> None:
        if not 0 < self.quiet_s <= self.max_wait_s <= PER_S_MAX:
            raise ValueError(f"0 < quiet_s <= max_wait_s, up to a year: {self}")


Throttle = Rate | Concurrency

Door = Singleton | Debounce


@dataclass(frozen=True, slots=True)
class Limiter:
    """A rate for one payload: `burst` at once, then one every `every_ms`."""

    key: str
    every_ms: int
    burst: int


@dataclass(frozen=True, slots=True)
class Room:
    """A concurrency for one payload."""

    key: str
    at_once: int


@dataclass(frozen=True, slots=True)
class Throttles:
    """What one job must wait for."""

    room: Room | None = None
    limiters: tuple[Limiter, ...] = ()


@dataclass(frozen=True, slots=True)
class Hold:
    """One place. `epoch`: of the run it is for. `until`: believed without a look so long. `token`: who took it."""

    epoch: int
    until: int
    token: str


Held = Mapping[str, Hold]
"""The row's key of the holder → its place."""


# --- in the row -------------------------------------------------------------------------------------------------------


def throttles_text(declared: Iterable[Throttle], tenant_id: str, fields: Mapping[str, object]) -> str | None:
    """What goes into the row of a job with these payload `fields`, its room first: the stream's filter looks for it."""
    rows: list[list[object]] = []
    for throttle in declared:
        key = resource_key(throttle.by, "" if throttle.across_tenants else tenant_id, fields)
        if isinstance(throttle, Concurrency):
            rows.insert(0, ["room", key, throttle.at_once])
        else:
            every_ms = -(-throttle.per_s * 1000 // (throttle.count - throttle.burst + 1))
            name = f"{key}#{throttle.count}/{throttle.per_s:g}s"
            rows.append(["rate", name, int(every_ms), throttle.burst])
    return compact_json(rows) if rows else None


def resource_key(by: str, tenant_id: str, fields: Mapping[str, object]) -> str:
    """No tenant's key can be another's: no tenant is called "", and none has a `#` in its name."""
    value = "" if by == "tenant" else str(fields[by]) if by == "type" else digest(json.dumps(fields[by], default=str))
    return f"{tenant_id}#{by}#{value}"


def counted_by(key: str) -> str:
    """For people: what a key counts together."""
    return key.split("#")[1]


def read_throttles(text: str | None) -> Throttles:
    rows = [] if text is None else json.loads(text)
    rooms = [Room(key, *rest) for kind, key, *rest in rows if kind == "room"]
    limiters = tuple(Limiter(key, *rest) for kind, key, *rest in rows if kind == "rate")
    return Throttles(rooms[0] if rooms else None, limiters)


# --- rates ------------------------------------------------------------------------------------------------------------


def reserved(next_at: int, limiter: Limiter, at: int) -> tuple[int, int]:
    """→ (the first free slot that is not before `at`, the limiter's next `next_at`), milliseconds."""
    following = max(next_at, at)
    return max(at, following - (limiter.burst - 1) * limiter.every_ms), following + limiter.every_ms


# --- places -----------------------------------------------------------------------------------------------------------


def taken(held: Held, room: Room, holder: str, hold: Hold) -> Held | None:
    """None: there is no room. A holder that comes again has its place."""
    return {**held, holder: hold} if holder in held or len(held) < room.at_once else None


def freed(held: Held, gone: Mapping[str, int]) -> Held:
    """Without the places of these runs (holder → epoch), which are over; one that was taken for a later run stays."""
    return {name: hold for name, hold in held.items() if hold.epoch > gone.get(name, -1)}


def read_held(body: str | None) -> Held:
    return {} if body is None else {name: Hold(**hold) for name, hold in json.loads(body)["held"].items()}


def held_json(held: Held, token: str) -> str:
    """`token` is fresh: no two documents are the same."""
    return compact_json({"held": {name: asdict(hold) for name, hold in held.items()}, "token": token})
