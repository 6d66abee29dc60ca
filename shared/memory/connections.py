"""WebSocket connections in memory."""

from shared.memory.clock import turn


class MemoryConnections:
    """`received` by connection; open one by giving it an empty list."""

    def __init__(self) -> None:
        self.received: dict[str, list[bytes]] = {}

    async def post(self, connection_id: str, data: bytes) -> bool:
        await turn()
        if connection_id not in self.received:
            return False
        self.received[connection_id].append(data)
        return True

    async def close(self, connection_id: str) -> None:
        await turn()
        self.received.pop(connection_id, None)
