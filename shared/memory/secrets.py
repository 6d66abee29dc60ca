"""Secrets in memory."""

from shared.memory.clock import turn


class MemorySecrets:
    def __init__(self) -> None:
        self.values: dict[str, str] = {}

    async def get(self, name: str) -> str | None:
        await turn()
        return self.values.get(name)

    async def put(self, name: str, value: str) -> None:
        await turn()
        self.values[name] = value

    async def delete(self, name: str) -> None:
        await turn()
        self.values.pop(name, None)
