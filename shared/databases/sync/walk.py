"""Two streams in the order of their keys, compared page by page.

    source   a snapshot, read once along its key                    ──┐   within the same bounds of the key:
    target   along its key too, in the transaction that writes it   ──┘   deletes, then updates, then inserts

What is committed is done as far as `SyncPlace.after`, and another invocation goes on behind it.
"""

from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from sys import getsizeof
from typing import Final, Protocol

from shared.databases.compare import Key, key_json, key_of
from shared.databases.engine import Reader, Row, Writer
from shared.databases.place import RowErrors
from shared.databases.progress import Tell, Watch
from shared.databases.schema import Kind, Table
from shared.databases.session import Session
from shared.databases.sync.place import SyncPlace
from shared.databases.sync.plan import Keyed, Plan, Side
from shared.payloads.results import RowError

PAGE_ROWS: Final = 2_000
PAGE_BYTES: Final = 8 << 20
TRANSACTION_S: Final = 60.0


class Rows(Protocol):
    """A Reader or a Writer."""

    kind: Kind

    def rows(self, table: Table) -> Iterator[Row]: ...


@dataclass(slots=True)
class Stream:
    """A side's rows behind the key `last`, of which at least one is `held` until it has `ended`.

    `lasting`: they can be read on after something was written. SQLite promises nothing about that:
    https://www.sqlite.org/isolation.html
    """

    side: Side
    last: Key | None
    lasting: bool
    held: deque[Keyed] = field(default_factory=deque)
    ended: bool = False
    _rows: Iterator[Keyed] | None = None

    def fill(self, database: Rows) -> None:
        rows = self._rows or self._begin(database)
        size_bytes = sum(_size_bytes(row) for _, row in self.held)
        while len(self.held) < PAGE_ROWS and size_bytes < PAGE_BYTES and not self.ended:
            found = next(rows, None)
            if found is None:
                self.ended = True
            else:
                self.held.append(found)
                self.last = found[0]
                size_bytes += _size_bytes(found[1])
        self._rows = rows if self.lasting else None

    def take(self, bound: Key | None) -> Iterator[Keyed]:
        """What is held within the bound, and no longer then."""
        while self.held and (bound is None or self.held[0][0] <= bound):
            yield self.held.popleft()

    def _begin(self, database: Rows) -> Iterator[Keyed]:
        table = self.side.behind(self.last, None if self.lasting else PAGE_ROWS)
        return self.side.keyed(database.rows(table), self.last)


@dataclass(frozen=True, slots=True)
class Changes:
    inserts: list[Row]
    updates: list[tuple[Row, Row]]
    """(as it is, as it ought to be)"""
    deletes: list[Row]
    unchanged: int


Act = Callable[[Changes], None]


async def walk(
    source: Session[Reader],
    target: Session[Reader] | Session[Writer],
    plan: Plan,
    place: SyncPlace,
    act: Act,
    *,
    watch: Watch,
    tell: Tell,
) -> None:
    """Page by page, at least one, as far as time allows; `act` is called in the target's thread."""
    whole_s = watch.left_s()
    after = None if place.after is None else key_of(place.after)
    ours = Stream(plan.source, after, lasting=True)
    theirs = Stream(plan.target, after, lasting=plan.dry_run or plan.target.kind == "postgresql")
    while not place.ended:
        done = place.compared
        await source.run(ours.fill)
        await target.run(theirs.fill)
        await target.run(lambda _: _step(plan, place, ours, theirs, act))
        tell(place.compared - done)
        if watch.short() or whole_s - watch.left_s() > TRANSACTION_S:
            return


def leave_keyless_out(database: Reader, plan: Plan, errors: RowErrors) -> None:
    for row in database.rows(plan.source.keyless()):
        names = plan.source.table.column_names
        column = next(names[place] for place in plan.source.key if row[place] is None)
        message = "a row of the source has no key"
        errors.add(RowError(table=plan.source.table.name, field=column, code="bad_key", message=message))


def _step(plan: Plan, place: SyncPlace, ours: Stream, theirs: Stream, act: Act) -> None:
    """Compare one page and have `act` do what follows. `place.ended` when nothing is left."""
    bound = min((side.held[-1][0] for side in (ours, theirs) if not side.ended), default=None)
    changes = _changes(plan, ours.take(bound), dict(theirs.take(bound)))
    act(changes)
    place.unchanged += changes.unchanged
    place.after = place.after if bound is None else key_json(bound)
    place.ended = bound is None or (ours.ended and not ours.held and not plan.delete)


def _changes(plan: Plan, ours: Iterator[Keyed], theirs: dict[Key, Row]) -> Changes:
    inserts, updates, unchanged = list[Row](), list[tuple[Row, Row]](), 0
    for key, row in ours:
        found = theirs.pop(key, None)
        if found is None:
            inserts.append(row)
        elif plan.same(row, found):
            unchanged += 1
        else:
            updates.append((found, row))
    return Changes(inserts, updates, list(theirs.values()) if plan.delete else [], unchanged)


def _size_bytes(row: Row) -> int:
    return 64 + sum(map(getsizeof, row))
