"""The second consumer of the jobs table's stream: tells watchers and webhooks, counts. It stops no job."""

from collections.abc import Mapping
from typing import cast

from shared.aws.streams import read_record
from shared.job import Job
from shared.ports import Ports
from shared.runtime import stats
from shared.runtime.container import LambdaContext, container
from shared.runtime.tally import tally
from shared.runtime.watchers import broadcast
from shared.runtime.webhooks import announce
from shared.webhooks import is_internal


def handler(event: Mapping[str, object], _context: LambdaContext) -> dict[str, object]:
    """A DynamoDB stream event with a tumbling window → `{"state": …, "batchItemFailures": []}`.

    The window is there for its `shardId`, which Lambda tells no function without one, and for its state, which carries
    the shard's tally and counts from batch to batch: https://docs.aws.amazon.com/lambda/latest/dg/services-ddb-windows.html
    """
    records = [read_record(record) for record in cast("list[Mapping[str, object]]", event["Records"])]
    state = cast("Mapping[str, str]", event.get("state") or {})
    shard_id, is_last = str(event["shardId"]), bool(event.get("isFinalInvokeForWindow"))
    created = [record for record in records if record.old is None and record.new is not None]

    async def invocation(ports: Ports) -> dict[str, str | None]:
        known = state.get("tally")
        after = {
            "tally": await tally(ports, shard_id, created, known) if created else known,
            "stats": await stats.count(ports, shard_id, records, state.get("stats"), is_last=is_last),
        }
        await broadcast(ports, [record for record in records if record.new is None or _is_seen(record.new)])
        await announce(ports, records)
        return after

    after = container().run(invocation) if records or state else {}
    return {"state": {name: kept for name, kept in after.items() if kept is not None}, "batchItemFailures": []}


def _is_seen(job: Job) -> bool:
    """What the system does for itself and keeps out of the list is nobody's to watch."""
    return job.list_shard is not None or not is_internal(job)
