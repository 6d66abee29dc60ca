"""What a sync would write, counted, and the first of it told."""

import json
from collections.abc import Iterator, Sequence
from typing import Final

from shared.databases.engine import Row, Value
from shared.databases.sync.place import SyncPlace
from shared.databases.sync.plan import Plan
from shared.databases.sync.walk import Act, Changes

DIFFERENCES_BYTES_MAX: Final = 8 << 20


def telling_changes(plan: Plan, place: SyncPlace, lines: bytearray, lines_max: int) -> Act:
    """What counts them, and adds the first of them to `lines`."""
    names = plan.target.table.column_names

    def tell(changes: Changes) -> None:
        place.inserted += len(changes.inserts)
        place.updated += len(changes.updates)
        place.deleted += len(changes.deletes)
        for document in _documents(plan, names, changes):
            if place.told == lines_max or len(lines) > DIFFERENCES_BYTES_MAX:
                return
            lines.extend(json.dumps(document, ensure_ascii=False, default=_hex).encode("utf-8", "replace") + b"\n")
            place.told += 1

    return tell


def _documents(plan: Plan, names: Sequence[str], changes: Changes) -> Iterator[dict[str, object]]:
    def key(row: Row) -> dict[str, Value]:
        return {names[place]: row[place] for place in plan.target.key}

    for row in changes.deletes:
        yield {"change": "delete", "key": key(row), "before": dict(zip(names, row, strict=True))}
    for before, after in changes.updates:
        compared = zip(names, before, after, plan.compares, strict=True)
        differing = [(name, x, y) for name, x, y, compare in compared if x != y and compare(x) != compare(y)]
        yield {
            "change": "update",
            "key": key(after),
            "before": {name: x for name, x, _ in differing},
            "after": {name: y for name, _, y in differing},
        }
    for row in changes.inserts:
        yield {"change": "insert", "key": key(row), "after": dict(zip(names, row, strict=True))}


def _hex(value: object) -> object:
    return {"$hex": value.hex()} if isinstance(value, bytes) else str(value)
