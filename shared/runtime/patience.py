"""Again after a fault of the world, with the same token: a write that was made, its answer lost, is recognised.

This is what makes a lost answer cost nothing. The SDK's own retries come first; these outlast a longer storm.
"""

import asyncio
from collections.abc import Awaitable, Callable
from itertools import count
from typing import Final, TypeVar

from shared.errors import WorldFault
from shared.ports import Ports
from shared.retry import Policy, backoff_s
from shared.runtime.logs import get_logger

T = TypeVar("T")

PATIENCE: Final = Policy(base_delay_s=0.2, max_delay_s=5.0)


async def patiently(act: Callable[[], Awaitable[T]], ports: Ports, *, until: float) -> T:
    """`await act()`, again and again until it answers or `until` (milliseconds) is near; then raises its WorldFault."""
    for failures in count(1):
        try:
            return await act()
        except WorldFault as fault:
            wait_s = backoff_s(failures, PATIENCE, ports.dice())
            if ports.now() + wait_s * 1000 >= until:
                raise
            get_logger().warning("waiting_for_the_world", reason=str(fault), wait_s=round(wait_s, 3))
            await asyncio.sleep(wait_s)
    raise AssertionError("count() never ends")
