"""What is beside the rows, in memory. Nothing expires."""

from collections.abc import Collection, Mapping, Sequence

from shared.limits import LIST_MAX, SIDE_BODY_BYTES_MAX, check_number, check_size
from shared.memory.clock import turn


class MemorySide:
    def __init__(self) -> None:
        self.items: dict[tuple[str, str], str] = {}
        self.sets: dict[tuple[str, str], dict[str, frozenset[int]]] = {}

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

    async def unite(
        self,
        pk: str,
        sk: str,
        sets: Mapping[str, Collection[int]],
        *,
        expires_at: int,  # noqa: ARG002  nothing expires here
    ) -> Mapping[str, frozenset[int]]:
        await turn()
        mine = self.sets.setdefault((pk, sk), {})
        mine.update({name: mine.get(name, frozenset()) | {*numbers} for name, numbers in sets.items() if numbers})
        return dict(mine)

    async def united(self, keys: Sequence[tuple[str, str]]) -> Sequence[Mapping[str, frozenset[int]]]:
        check_number("keys", len(keys), 0, LIST_MAX)
        await turn()
        return [dict(self.sets.get(key, {})) for key in keys]

    async def query(
        self, pk: str, *, limit: int, prefix: str = "", up_to: str | None = None
    ) -> Sequence[tuple[str, str]]:
        await turn()
        mine = ((sk, body) for (owner, sk), body in self.items.items() if owner == pk)
        if up_to is not None:
            return sorted((sk, body) for sk, body in mine if sk <= up_to)[:limit]
        return sorted(((sk, body) for sk, body in mine if sk.startswith(prefix)), reverse=True)[:limit]
