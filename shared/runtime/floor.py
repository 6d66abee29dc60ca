"""Who may run beside whom: many in company, or one alone.

A job whose last run died is taken over alone, so that another death is surely its own, and a neighbour's death costs
nobody else an attempt. A reader-writer lock; those who want to be alone go first, or company would never end.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager


class Floor:
    """`before_alone` settles what the others left (deletes their messages), so that a death takes nobody along."""

    def __init__(self, before_alone: Callable[[], Awaitable[None]] | None = None) -> None:
        self._changed = asyncio.Condition()
        self._company = 0
        self._loner = False
        self._wanting = 0
        self._before_alone = before_alone

    @asynccontextmanager
    async def company(self) -> AsyncIterator[None]:
        async with self._changed:
            await self._changed.wait_for(lambda: not self._loner and not self._wanting)
            self._company += 1
        try:
            yield
        finally:
            async with self._changed:
                self._company -= 1
                self._changed.notify_all()

    @asynccontextmanager
    async def alone(self) -> AsyncIterator[None]:
        await self._enter_alone()
        try:
            if self._before_alone is not None:
                await self._before_alone()
            yield
        finally:
            async with self._changed:
                self._loner = False
                self._changed.notify_all()

    async def _enter_alone(self) -> None:
        async with self._changed:
            self._wanting += 1
            try:
                await self._changed.wait_for(lambda: not self._loner and not self._company)
                self._loner = True
            finally:
                self._wanting -= 1
                self._changed.notify_all()
