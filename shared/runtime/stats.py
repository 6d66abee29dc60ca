"""The counts of `shared/stats.py`, kept beside the rows and read again.

beside the rows      pk                  sk
a page               #stats#{tenant}     {hour}#{shard}      changed by compare-and-swap
the audit's count    #stats#{tenant}     alive#{hour}        written once, only where something is alive
its last cut         #stats              cut

(No tenant's name begins with `#`.)

- Pages wait in the tumbling window's state, and are written when it ends, or when 20 moves of a tenant have come for
  each KB of its page: at most a write unit per 20 moves, and a page per window. It is read once per window.
- A page holds all of its records up to its watermark. So of two that differ, the one that is further has everything of
  the other, and a state that was lost, or came again, is put right by the page that is there.
"""

import asyncio
import math
import os
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from typing import Final

from pydantic import BaseModel

from shared.consequences import Record
from shared.cost import MEMORY_MB, of_move
from shared.errors import WorldFault
from shared.job import Job
from shared.payloads import TYPES
from shared.ports import Ports
from shared.stats import Counts, Page, Stats, entered, stats_of
from shared.tally import HOUR_MS, hour_of

MOVES_PER_KB: Final = 20

STATE_BYTES_MAX: Final = 256 * 1024
"""Lambda carries up to 1 MB, and sends it with every batch."""

KEPT_HOURS: Final = 50
"""A page is needed until the next audit has a cut behind it: a day, and a day to spare."""

TRIES: Final = 3
PAGES_MAX: Final = 10_000

CUT: Final = ("#stats", "cut")


class Kept(BaseModel):
    """A page in the window's state. `stored`: as it is beside the rows; `moves`: that are not in there yet."""

    tenant_id: str
    hour: int
    stored: str | None
    page: Page
    moves: int = 0


class State(BaseModel):
    """By tenant and hour."""

    pages: dict[str, Kept] = {}


class Alive(BaseModel):
    types: dict[str, Counts]


@cache
def memory_mb(job_type: str) -> int:
    """As the template gave it: `LONGSHORE_MEMORY_MB`, e.g. `generic=512,extract=1769`."""
    pairs = (pair.split("=", 1) for pair in os.environ.get("LONGSHORE_MEMORY_MB", "").split(",") if "=" in pair)
    return next((int(size) for name, size in pairs if name == job_type), MEMORY_MB)


async def count(
    ports: Ports, shard_id: str, records: Sequence[Record], state: str | None, *, is_last: bool
) -> str | None:
    """Count `records` of one shard. `state` is what the window's last call returned, and None at its beginning;
    `is_last`: the window ends, and everything is written. Raises WorldFault: let the batch come again."""
    known = State() if state is None else State.model_validate_json(state)
    moved = [(_name(record.new), record, record.new) for record in records if record.new is not None]
    missing = {name: job for name, _, job in moved if name not in known.pages}
    read = await asyncio.gather(*(_read(ports, shard_id, job) for job in missing.values()))
    known.pages |= dict(zip(missing, read, strict=True))
    for name, record, job in moved:
        cost_usd = of_move(record.old, job, memory_mb(job.type)).usd
        known.pages[name].moves += entered(known.pages[name].page, record, cost_usd)
    changed = [kept for kept in known.pages.values() if kept.moves]
    is_too_large = len(known.model_dump_json(exclude_defaults=True)) > STATE_BYTES_MAX
    due = [kept for kept in changed if is_last or is_too_large or kept.moves >= _moves_at_once(kept)]
    await asyncio.gather(*(_write(ports, shard_id, kept) for kept in due))
    return None if is_last or is_too_large else known.model_dump_json(exclude_defaults=True)


async def keep_alive_counts(ports: Ports, cut: int, tenants: Mapping[str, Mapping[str, Counts]]) -> None:
    """What an audit found alive at the beginning of hour `cut`; a tenant that it does not name had nothing alive."""
    expires_at = _expiry(cut)
    for tenant_id, types in tenants.items():
        body = Alive(types=dict(types)).model_dump_json(exclude_defaults=True)
        await ports.side.put_once(_partition(tenant_id), f"alive#{cut}", body, expires_at=expires_at)
    await ports.side.swap(*CUT, old=await ports.side.get(*CUT), new=str(cut))


async def read_stats(ports: Ports, tenant_id: str) -> Stats:
    """A tenant's counts: one query of its pages, some KB for each of the last 50 hours that had any, and one look."""
    items, cut_body = await asyncio.gather(
        ports.side.query(_partition(tenant_id), limit=PAGES_MAX), ports.side.get(*CUT)
    )
    now, cut = ports.now(), None if cut_body is None else int(cut_body)
    if cut is not None and cut < hour_of(now) - KEPT_HOURS + 1:
        cut = None
    alive = next((body for sk, body in items if sk == f"alive#{cut}"), None)
    stats = stats_of(
        ((hour, page) for hour, page in _pages(items) if hour > hour_of(now) - KEPT_HOURS),
        {} if alive is None else Alive.model_validate_json(alive).types,
        cut,
        now,
    )
    listed = [of_type for of_type in stats.types if of_type.type not in TYPES or not TYPES[of_type.type].internal]
    return stats.model_copy(update={"types": listed})


async def _read(ports: Ports, shard_id: str, job: Job) -> Kept:
    tenant_id, hour = job.tenant_id, hour_of(job.updated_at)
    stored = await ports.side.get(_partition(tenant_id), _sort_key(hour, shard_id))
    page = Page() if stored is None else Page.model_validate_json(stored)
    return Kept(tenant_id=tenant_id, hour=hour, stored=stored, page=page)


async def _write(ports: Ports, shard_id: str, kept: Kept) -> None:
    place = _partition(kept.tenant_id), _sort_key(kept.hour, shard_id)
    for _ in range(TRIES):
        body = kept.page.model_dump_json(exclude_defaults=True)
        if await ports.side.swap(*place, old=kept.stored, new=body, expires_at=_expiry(kept.hour)):
            kept.stored, kept.moves = body, 0
            return
        kept.stored = await ports.side.get(*place)
        theirs = Page() if kept.stored is None else Page.model_validate_json(kept.stored)
        if theirs.watermark >= kept.page.watermark:
            kept.page, kept.moves = theirs, 0
            return
    raise WorldFault("contended", f"the counts of {shard_id} changed {TRIES} times: let the batch come again")


def _pages(items: Iterable[tuple[str, str]]) -> Iterable[tuple[int, Page]]:
    for sk, body in items:
        hour, _, _ = sk.partition("#")
        if hour.isdigit():
            yield int(hour), Page.model_validate_json(body)


def _moves_at_once(kept: Kept) -> int:
    return MOVES_PER_KB * math.ceil(len(kept.page.model_dump_json(exclude_defaults=True)) / 1024)


def _name(job: Job) -> str:
    return f"{job.tenant_id}#{hour_of(job.updated_at)}"


def _partition(tenant_id: str) -> str:
    return f"#stats#{tenant_id}"


def _sort_key(hour: int, shard_id: str) -> str:
    return f"{hour}#{shard_id}"


def _expiry(hour: int) -> int:
    return (hour + KEPT_HOURS) * HOUR_MS // 1000
