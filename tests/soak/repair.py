"""What brings lost wake-ups back: the audit."""

from shared.audit import Books
from shared.ports import Ports
from shared.runtime.audit import audited


async def repair(ports: Ports, *, after_s: float) -> int:
    """Wake what is overdue by `after_s`; → how many were."""
    books = Books(started_at=ports.now())
    async for _ in audited(ports, books, repair=True, late_ms=round(1000 * after_s)):
        pass
    return books.repaired
