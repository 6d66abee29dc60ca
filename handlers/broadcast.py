"""The second consumer of the jobs table's stream: tells those who watch, and keeps the tally. It stops no job."""

from collections.abc import Mapping
from typing import cast

from shared.aws.streams import read_record
from shared.ports import Ports
from shared.runtime.container import LambdaContext, container
from shared.runtime.tally import tally
from shared.runtime.watchers import broadcast


def handler(event: Mapping[str, object], _context: LambdaContext) -> dict[str, object]:
    """A DynamoDB stream event with a tumbling window → `{"state": …, "batchItemFailures": []}`.

    The window is there for its `shardId`, which Lambda tells no function without one, and for its state, which
    carries the shard's document from batch to batch:
    https://docs.aws.amazon.com/lambda/latest/dg/services-ddb-windows.html
    """
    records = [read_record(record) for record in cast("list[Mapping[str, object]]", event["Records"])]
    state = cast("Mapping[str, str]", event.get("state") or {})

    created = [record for record in records if record.old is None and record.new is not None]

    async def invocation(ports: Ports) -> str | None:
        await broadcast(ports, records)
        return await tally(ports, str(event["shardId"]), created, known) if created else known

    known = state.get("tally")
    known = container().run(invocation) if records else known
    return {"state": {} if known is None else {"tally": known}, "batchItemFailures": []}
