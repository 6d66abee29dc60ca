"""The jobs table in memory: interprets the same table of moves, and keeps the stream that a reactor would read."""

from collections.abc import Sequence
from typing import Final

from shared.consequences import Record
from shared.cursor import read_cursor, write_cursor
from shared.ids import row_key
from shared.job import Job, attributes
from shared.limits import LIST_MAX, check_number
from shared.memory.clock import turn
from shared.moves import Move, applied, happened
from shared.ports import Applied, Page, Refused
from shared.status import permitted

SCAN_PAGE: Final = 100


class MemoryJobs:
    """`rows` by key may be looked at and set. `stream` has one record per change, and none where nothing changed."""

    def __init__(self) -> None:
        self.rows: dict[str, Job] = {}
        self.stream: list[Record] = []

    async def apply(self, move: Move) -> Applied | Refused:
        await turn()
        row = self.rows.get(row_key(move.tenant_id, move.job_id))
        if permitted(move.event, None if row is None else attributes(row), move.facts):
            return Applied(self._write(row, applied(move, row)))
        if row is not None and happened(move, row):
            return Applied(row)
        return Refused(row)

    async def get(self, tenant_id: str, job_id: str) -> Job | None:
        await turn()
        return self.rows.get(row_key(tenant_id, job_id))

    async def get_many(self, tenant_id: str, job_ids: Sequence[str]) -> Sequence[Job | None]:
        check_number("job_ids", len(job_ids), 0, LIST_MAX)
        await turn()
        return [self.rows.get(row_key(tenant_id, job_id)) for job_id in job_ids]

    async def list(self, tenant_id: str, *, limit: int, cursor: str | None = None) -> Page:
        check_number("limit", limit, 1, LIST_MAX)
        await turn()
        listed = (job for job in self.rows.values() if job.tenant_id == tenant_id and job.list_shard)
        places = {(job.created_at, job.key): job for job in listed}
        before = read_cursor(cursor, tenant_id).get("") if cursor else None
        rest = sorted((place for place in places if before is None or place < before), reverse=True)
        page, more = rest[:limit], rest[limit:]
        return Page(tuple(places[place] for place in page), write_cursor({"": page[-1]}) if more else None)

    async def scan(self, *, cursor: str | None = None) -> Page:
        await turn()
        rest = sorted(key for key in self.rows if cursor is None or key > cursor)
        page = tuple(self.rows[key] for key in rest[:SCAN_PAGE])
        return Page(page, page[-1].key if len(rest) > SCAN_PAGE else None)

    def _write(self, old: Job | None, new: Job) -> Job:
        self.rows[new.key] = new
        if new != old:
            self.stream.append(Record(str(len(self.stream) + 1), old, new))
        return new
