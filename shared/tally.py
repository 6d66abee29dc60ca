"""The tally: how many jobs were created in each hour, counted from the table's stream, apart from the table. Pure.

1. One document per shard of the stream: the counts together with the number of the last record they hold. A record
   comes in order the first time, so one that is not beyond that number has been counted already.
2. Counters are never added to by themselves: a batch that comes again, wholly or in part, changes nothing.
"""

from collections.abc import Iterable, Sequence
from typing import Final

from pydantic import BaseModel

from shared.consequences import Record

HOUR_MS: Final = 3_600_000

COMPARED_HOURS: Final = 14 * 24
"""How far back the books are compared: as long as SQS would keep a message, and far less than a row is kept."""

KEPT_HOURS: Final = COMPARED_HOURS + 48


class ShardTally(BaseModel):
    """`watermark`: sequence number of the last record counted. `hours`: hour of creation (since the epoch) → jobs."""

    watermark: int
    hours: dict[int, int] = {}


def hour_of(at_ms: int) -> int:
    return at_ms // HOUR_MS


def counted(before: ShardTally | None, records: Sequence[Record], now: int) -> ShardTally | None:
    """The shard's tally with `records` in it, and without hours too old to be compared; None if nothing is new."""
    watermark = before.watermark if before else -1
    fresh = [record for record in records if int(record.sequence) > watermark]
    if not fresh:
        return None
    first = hour_of(now) - KEPT_HOURS
    hours = {hour: count for hour, count in (before.hours if before else {}).items() if hour >= first}
    for record in fresh:
        if record.old is None and record.new is not None:
            hour = hour_of(record.new.created_at)
            hours[hour] = hours.get(hour, 0) + 1
    return ShardTally(watermark=max(int(record.sequence) for record in fresh), hours=hours)


def summed(tallies: Iterable[ShardTally]) -> dict[int, int]:
    """Hour → jobs created, by all shards' tallies."""
    total: dict[int, int] = {}
    for tally in tallies:
        for hour, count in tally.hours.items():
            total[hour] = total.get(hour, 0) + count
    return total
