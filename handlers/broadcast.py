"""The second consumer of the jobs table's stream: what is good to know, and stops nothing. It keeps the tally."""

from collections.abc import Mapping
from typing import cast

from shared.aws.streams import read_record
from shared.ports import Ports
from shared.runtime.container import LambdaContext, container
from shared.runtime.tally import tally


def handler(event: Mapping[str, object], _context: LambdaContext) -> dict[str, object]:
    """A DynamoDB stream event with a tumbling window → `{"state": …, "batchItemFailures": []}`.

    The window is there for its `shardId`, which Lambda tells no function without one, and for its state, which
    carries the shard's document from batch to batch:
    https://docs.aws.amazon.com/lambda/latest/dg/services-ddb-windows.html
    """
    records = [read_record(record) for record in cast("list[Mapping[str, object]]", event["Records"])]
    state = cast("Mapping[str, str]", event.get("state") or {})

    async def invocation(ports: Ports) -> str | None:
        return await tally(ports, str(event["shardId"]), records, state.get("tally"))

    known = container().run(invocation) if records else state.get("tally")
    return {"state": {} if known is None else {"tally": known}, "batchItemFailures": []}
