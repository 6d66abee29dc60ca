"""One invocation of an import: as much of the file as time allows; the caller commits, and the next one goes on."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack
from typing import IO, TypeVar, cast

from pydantic import Field

from shared.databases.ahead import ahead
from shared.databases.bulk.columns import Fault, column
from shared.databases.bulk.files import Batch, open_file
from shared.databases.bulk.target import Target, prepare
from shared.databases.engine import Writer
from shared.databases.place import Place, RowErrors
from shared.databases.progress import Tell, Watch
from shared.databases.session import Inlet
from shared.errors import LongshoreError, Permanent
from shared.payloads.bulk_import import BulkImportPayload
from shared.payloads.results import RowError

T = TypeVar("T")

Bad = dict[int, list[tuple[str, Fault]]]
"""Place of a row → its columns that are bad, and why."""


class BulkPlace(Place):
    """`lines` of the file are behind us, `rows` of them rows; `read`: it has no more. `version`: what the server called
    the file when the import began."""

    lines: int = 0
    read: bool = False
    version: str = ""
    ignored: list[str] = Field(default_factory=list)

    def same_file(self, headers: Mapping[str, str]) -> None:
        """Raises Permanent("source_changed")."""
        version = headers.get("ETag") or headers.get("Content-Length") or ""
        if self.begun and version != self.version:
            raise Permanent("source_changed", "the file is another one than when the import began", field="source")
        self.version = version


class Import:
    """`errors` collects the rows that are left out."""

    def __init__(self, payload: BulkImportPayload, job_id: str, place: BulkPlace, errors: RowErrors) -> None:
        self.place = place
        self._payload = payload
        self._job_id = job_id
        self._errors = errors
        self._columns = [column(name, rule, key=name in payload.key) for name, rule in payload.columns.items()]

    @property
    def failed(self) -> bool:
        return self._errors.count > self._payload.errors_max

    def run(self, database: Writer, source: Inlet, tell: Tell, watch: Watch) -> BulkPlace:
        """→ how far it is, `ended` or not. Raises what `open_file` and `prepare` raise."""
        place = self.place
        target = prepare(database, self._payload, self._columns, self._job_id, begun=place.begun)
        if not place.read and not self._read(target, source, tell, watch):
            return place
        if self._payload.mode == "replace":
            if watch.half_over() and source.size_bytes:
                return place
            target.replace(self._leave_out)
        place.ended = True
        return place

    def _read(self, target: Target, source: Inlet, tell: Tell, watch: Watch) -> bool:
        """→ is all of it read? At least one batch is."""
        sources = [one.source for one in self._columns]
        file = open_file(cast("IO[bytes]", source), self._payload, sources, self.place.lines)
        self.place.begun, self.place.ignored = True, file.ignored
        with ExitStack() as stack:
            batches = self._judged(file.batches)
            if target.database.kind == "postgresql":  # SQLite works in our own process: nobody waits for it
                batches = stack.enter_context(ahead(batches, source.break_off))
            for batch, bad in batches:
                rows = len(batch.lines) + len(batch.unreadable)
                self._take(target, batch, bad)
                self.place.lines = batch.lines_end
                self.place.rows += rows
                tell(rows)
                if self.failed or watch.short():
                    return False
        self.place.read = True
        return True

    def _judged(self, batches: Iterator[Batch]) -> Iterator[tuple[Batch, Bad]]:
        """Touches nothing of ours: it is ahead of what is loaded."""
        for batch in batches:
            bad: Bad = {}
            for one, cells in zip(self._columns, batch.columns, strict=True):
                for place, fault in one.faults(cells).items():
                    bad.setdefault(place, []).append((one.name, fault))
            yield batch, bad

    def _take(self, target: Target, batch: Batch, bad: Bad) -> None:
        for line, why in batch.unreadable:
            self._add(line, None, "unreadable_row", why)
        for place, faults in sorted(bad.items()):
            (name, fault), *others = faults
            also = f"; bad, too: {', '.join(other for other, _ in others)}" if others else ""
            self._add(batch.lines[place], name, fault.code, fault.message + also)
        loaded = self.place.loaded.get(self._payload.table, 0)
        self.place.loaded[self._payload.table] = loaded
        if len(bad) < len(batch.lines):
            taken = target.put(_without(batch.lines, bad), [_without(c, bad) for c in batch.columns], self._refused)
            self.place.loaded[self._payload.table] = loaded + taken

    def _refused(self, line: int, fault: LongshoreError) -> None:
        self._add(line, fault.field, fault.code, fault.message)

    def _leave_out(self, line: int, fault: LongshoreError) -> None:
        """What was counted when it was staged."""
        self.place.loaded[self._payload.table] -= 1
        self._refused(line, fault)

    def _add(self, line: int, field: str | None, code: str, message: str) -> None:
        error = RowError(table=self._payload.table, line=line, field=field, code=code, message=message)
        self._errors.add(error)


def _without(values: Sequence[T], bad: Collection[int]) -> Sequence[T]:
    return [value for place, value in enumerate(values) if place not in bad] if bad else values
