"""WebSocket connections of API Gateway.

https://docs.aws.amazon.com/apigateway/latest/developerguide/apigateway-how-to-call-websocket-api-connections.html
"""

from typing import Final

from shared.aws.clients import Clients
from shared.aws.faults import AwsRefusal

SERVICE: Final = "apigatewaymanagementapi"

GONE: Final = frozenset({"GoneException", "410", "BadRequestException"})
"""It is closed, or never was one: API Gateway takes an id that it did not make for a bad request."""


class AwsConnections:
    def __init__(self, clients: Clients) -> None:
        self._clients = clients

    async def post(self, connection_id: str, data: bytes) -> bool:
        return await self._reached("post_to_connection", ConnectionId=connection_id, Data=data)

    async def close(self, connection_id: str) -> None:
        await self._reached("delete_connection", ConnectionId=connection_id)

    async def _reached(self, operation: str, **arguments: object) -> bool:
        try:
            await self._clients.call(SERVICE, operation, **arguments)
        except AwsRefusal as refusal:
            if refusal.code not in GONE:
                raise
            return False
        return True
