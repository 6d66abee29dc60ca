"""What is beside the rows, in memory. Nothing expires."""

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

    async def swap(
        self,
        pk: str,
        sk: str,
        *,
        old: str | None,
        new: str | None,
        expires_at: int | None = None,  # noqa: ARG002  nothing expires here
    ) -> bool:
        check_size("body", new or "", SIDE_BODY_BYTES_MAX)
        await turn()
        found = self.items.get((pk, sk))
        if found != old:
            return found == new
        if new is None:
            self.items.pop((pk, sk), None)
        else:
            self.items[pk, sk] = new
        return True

    async def query(
        self, pk: str, *, limit: int, prefix: str = "", up_to: str | None = None
    ) -> Sequence[tuple[str, str]]:
        await turn()
        mine = ((sk, body) for (owner, sk), body in self.items.items() if owner == pk)
        if up_to is not None:
            return sorted((sk, body) for sk, body in mine if sk <= up_to)[:limit]
        return sorted(((sk, body) for sk, body in mine if sk.startswith(prefix)), reverse=True)[:limit]
