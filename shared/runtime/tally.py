"""The tally, kept: one small document per shard of the stream, beside the rows, changed by compare-and-swap.

One write per batch of the stream, whatever its size; a batch that comes again writes nothing.
"""

from collections.abc import Mapping, Sequence
from typing import Final

from shared.consequences import Record
from shared.errors import WorldFault
from shared.ports import Ports
from shared.tally import HOUR_MS, KEPT_HOURS, ShardTally, counted, hour_of, summed

PARTITION: Final = "tally"
OPENED: Final = "opened"
SHARD: Final = "shard#"

SHARDS_MAX: Final = 1_000_000
TRIES: Final = 3


async def tally(ports: Ports, shard_id: str, records: Sequence[Record], known: str | None = None) -> str | None:
    """Count the jobs that `records` of one shard create, once. → the shard's document, to be given back as `known`
    with the shard's next batch: it spares a read. Raises WorldFault: let the batch come again."""
    body = await ports.side.get(PARTITION, SHARD + shard_id) if known is None else known
    for _ in range(TRIES):
        now = ports.now()
        after = counted(None if body is None else ShardTally.model_validate_json(body), records, now)
        if after is None:
            return body
        if body is None:
            first = min((*after.hours, hour_of(now)))
            await ports.side.put_once(PARTITION, OPENED, str(first))
        new, expires_at = after.model_dump_json(), (now + KEPT_HOURS * HOUR_MS) // 1000
        if await ports.side.swap(PARTITION, SHARD + shard_id, old=body, new=new, expires_at=expires_at):
            return new
        body = await ports.side.get(PARTITION, SHARD + shard_id)
    raise WorldFault("contended", f"the tally of {shard_id} changed {TRIES} times: let the batch come again")


async def read_tally(ports: Ports) -> tuple[Mapping[int, int], int | None]:
    """→ jobs created by hour, and the hour in which counting began (None: never)."""
    opened = await ports.side.get(PARTITION, OPENED)
    shards = await ports.side.query(PARTITION, limit=SHARDS_MAX, prefix=SHARD)
    total = summed(ShardTally.model_validate_json(body) for _, body in shards)
    return total, None if opened is None else int(opened)
