"""The WebSocket API's Lambda entry: connections come, ask and go.

https://docs.aws.amazon.com/apigateway/latest/developerguide/apigateway-websocket-api-mapping-template-reference.html
"""

from collections.abc import Mapping
from typing import Any

from shared.ports import Ports
from shared.runtime.container import LambdaContext, container
from shared.runtime.watchers import connect, disconnect, hear


def handler(event: Mapping[str, Any], _context: LambdaContext) -> dict[str, object]:
    """`$connect` is refused (401) without a good `ticket` in its query string; everything else is answered 200."""
    connection_id = event["requestContext"]["connectionId"]

    async def invocation(ports: Ports) -> bool:
        match event["requestContext"]["eventType"]:
            case "CONNECT":
                query = event.get("queryStringParameters") or {}
                return await connect(ports, connection_id, query.get("ticket", ""))
            case "DISCONNECT":
                await disconnect(ports, connection_id)
            case _:
                await hear(ports, connection_id, event.get("body") or "")
        return True

    return {"statusCode": 200 if container().run(invocation) else 401}
