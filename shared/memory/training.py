"""Training elsewhere, in memory: nothing happens there unless somebody says so."""

from dataclasses import dataclass, field, replace

from shared.errors import WorldFault
from shared.memory.clock import turn
from shared.ports import Clock
from shared.remote_training import Engine, Seen, Wanted


@dataclass(slots=True)
class MemoryTrainers:
    """`seen` by (engine, key), to look at and to change; `wanted` in the order of the starts; `is_full`: no room;
    `fault`: what comes of every call."""

    now: Clock
    seen: dict[tuple[Engine, str], Seen] = field(default_factory=dict)
    wanted: list[Wanted] = field(default_factory=list)
    is_full: bool = False
    fault: WorldFault | None = None

    async def start(self, key: str, wanted: Wanted) -> bool:
        await self._turn()
        if not self.is_full and (wanted.engine, key) not in self.seen:
            self.wanted.append(wanted)
            self.seen[wanted.engine, key] = Seen("running", self.now())
        return not self.is_full

    async def look(self, engine: Engine, key: str) -> Seen | None:
        await self._turn()
        return self.seen.get((engine, key))

    async def stop(self, engine: Engine, key: str) -> None:
        await self._turn()
        if (found := self.seen.get((engine, key))) and found.status == "running":
            self.seen[engine, key] = replace(found, status="stopped")

    async def _turn(self) -> None:
        await turn()
        if self.fault is not None:
            raise self.fault
