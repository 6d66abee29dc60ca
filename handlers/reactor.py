"""The reactor's Lambda entry: a batch of the jobs table's stream in, what must come again out."""

from collections.abc import Mapping
from typing import cast

from shared.aws.streams import read_record
from shared.ports import Ports
from shared.runtime.container import LambdaContext, container
from shared.runtime.reactor import react


def handler(event: Mapping[str, object], _context: LambdaContext) -> dict[str, object]:
    """A DynamoDB stream event → `{"batchItemFailures": [{"itemIdentifier": sequence number}]}`, at most one.

    The stream goes on from there: https://docs.aws.amazon.com/lambda/latest/dg/services-ddb-batchfailurereporting.html
    """
    records = [read_record(record) for record in cast("list[Mapping[str, object]]", event["Records"])]
    here = container()

    async def invocation(ports: Ports) -> str | None:
        return await react(records, ports, stack=here.settings.stack)

    failed = here.run(invocation)
    return {"batchItemFailures": [] if failed is None else [{"itemIdentifier": failed}]}
