"""Write-once items in memory. Nothing expires."""

from collections.abc import Sequence

from shared.limits import SIDE_BODY_BYTES_MAX, check_size
from shared.memory.clock import turn


class MemorySide:
    def __init__(self) -> None:
        self.items: dict[tuple[str, str], str] = {}

    async def put_once(self, pk: str, sk: str, body: str, *, expires_at: int | None = None) -> bool:  # noqa: ARG002  nothing expires here
        check_size("body", body, SIDE_BODY_BYTES_MAX)
        await turn()
        is_first = (pk, sk) not in self.items
        self.items.setdefault((pk, sk), body)
        return is_first

    async def get(self, pk: str, sk: str) -> str | None:
        await turn()
        return self.items.get((pk, sk))

    async def query(self, pk: str, *, limit: int, prefix: str = "") -> Sequence[tuple[str, str]]:
        await turn()
        mine = ((sk, body) for (owner, sk), body in self.items.items() if owner == pk and sk.startswith(prefix))
        return sorted(mine, reverse=True)[:limit]
