"""Company and solitude."""

import asyncio

from shared.memory.clock import run_virtual
from shared.ports import Clock
from shared.runtime.floor import Floor


def test_nobody_joins_who_is_alone_or_overtakes_who_waits_to_be() -> None:
    story: list[str] = []

    async def guest(floor: Floor, name: str, after_s: float) -> None:
        await asyncio.sleep(after_s)
        async with floor.company():
            story.append(f"{name} in")
            await asyncio.sleep(10)
            story.append(f"{name} out")

    async def loner(floor: Floor) -> None:
        await asyncio.sleep(1)
        async with floor.alone():
            story.append("alone in")
            await asyncio.sleep(10)
            story.append("alone out")

    async def main(_now: Clock) -> None:
        floor = Floor()
        guests = (("first", 0.0), ("late", 2.0), ("later", 12.0))
        await asyncio.gather(loner(floor), *(guest(floor, name, after_s) for name, after_s in guests))

    run_virtual(main)
    assert story[:5] == ["first in", "first out", "alone in", "alone out", "late in"]
    assert story.index("later in") > story.index("alone out")
