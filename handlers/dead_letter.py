"""The Lambda entry of the stack's one dead-letter queue: a batch of dead letters in, what must come again out."""

from collections.abc import Mapping
from typing import cast

from shared.dead_letters import RETURNED, DeadLetter, read_returned
from shared.lanes import split
from shared.ports import Ports
from shared.runtime.container import LambdaContext, container
from shared.runtime.dead_letters import heal


def handler(event: Mapping[str, object], _context: LambdaContext) -> dict[str, object]:
    """An SQS event → `{"batchItemFailures": [{"itemIdentifier": message id}, …]}`."""
    here = container()
    letters = [_letter(record, here.settings.stack) for record in cast("list[Mapping[str, object]]", event["Records"])]

    async def invocation(ports: Ports) -> list[str]:
        return await heal(letters, ports, stack=here.settings.stack)

    return {"batchItemFailures": [{"itemIdentifier": message_id} for message_id in here.run(invocation)]}


def _letter(record: Mapping[str, object], stack: str) -> DeadLetter:
    """https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_ReceiveMessage.html says whose it was:
    `DeadLetterQueueSourceArn`."""
    attributes = cast("Mapping[str, str]", record["attributes"])
    said = cast("Mapping[str, Mapping[str, str]]", record["messageAttributes"])
    queue = attributes.get("DeadLetterQueueSourceArn", "").rpartition(":")[2]
    source, lane = split(queue.removeprefix(f"{stack}-")) if queue.startswith(f"{stack}-") else (None, None)
    return DeadLetter(
        message_id=str(record["messageId"]),
        body=str(record["body"]),
        source=source,
        returned=read_returned(said.get(RETURNED, {}).get("stringValue")),
        lane=lane,
    )
