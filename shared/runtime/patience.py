"""Trying again, as long as there are tries and time left: one loop, for AWS's faults and for whatever authors call.

After a fault of AWS it is the same write with the same token: one that was made, its answer lost, is recognised. This
is what makes a lost answer cost nothing. The SDK's own retries come first; these outlast a longer storm.
"""

import asyncio
from collections.abc import Awaitable, Callable
from itertools import count
from typing import Final, TypeVar

from structlog.stdlib import BoundLogger

from shared.errors import WorldFault
from shared.ports import Ports
from shared.retry import Policy, next_try_s
from shared.runtime.logs import get_logger

T = TypeVar("T")

PATIENCE: Final = Policy(
    attempts_max=1_000_000, base_delay_s=0.2, max_delay_s=5.0, retry_on=(WorldFault,), give_up_on=(Exception,)
)


async def patiently(act: Callable[[], Awaitable[T]], ports: Ports, *, until: float) -> T:
    """`await act()`, again and again until it answers or `until` (milliseconds) is near; then raises its WorldFault."""
    return await persistently(act, ports, PATIENCE, until=until, log=get_logger())


async def persistently(
    act: Callable[[], Awaitable[T]], ports: Ports, policy: Policy, *, until: float, log: BoundLogger
) -> T:
    """`await act()`, by `policy`; raises the last error where it is permanent, or tries or time would not suffice."""
    for failures in count(1):
        try:
            return await act()
        except Exception as error:
            wait_s = next_try_s(error, failures, policy, ports.dice())
            if wait_s is None or ports.now() + wait_s * 1000 >= until:
                raise
            log.warning("trying_again", failures=failures, reason=str(error), wait_s=round(wait_s, 3))
            await asyncio.sleep(wait_s)
    raise AssertionError("count() never ends")
