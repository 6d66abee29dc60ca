"""What DynamoDB bills for a write or a read, computed from the items themselves. Pure.

- An item's size is its attributes' names and values:
  https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/CapacityUnitCalculations.html
- A write costs a unit per started KB of the larger of the item before and after; a refused one costs the same:
  https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/read-write-operations.html
- An index costs a write of its own only where what it holds of the item comes, changes (two, if the key does) or goes:
  https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/GSI.html
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

Item = Mapping[str, Mapping[str, Any]]
"""As it is on the wire: attribute → {"S" | "N" | "BOOL" | "L" …: value}, whence the Any."""


def item_bytes(item: Item) -> int:
    return sum(len(name.encode()) + _value_bytes(value) for name, value in item.items())


def write_units(before: Item | None, after: Item | None) -> int:
    """Of the table alone. `after` of a refused write is what there was before, at least as much as is known of it."""
    return max(1, math.ceil(max(item_bytes(before or {}), item_bytes(after or {})) / 1024))


def read_units(items: Sequence[Item], *, consistent: bool) -> float:
    """Of one GetItem or Query."""
    started = max(1, math.ceil(sum(item_bytes(item) for item in items) / 4096))
    return started if consistent else started / 2


def index_units(before: Item | None, after: Item | None, keys: Sequence[str], projected: Sequence[str]) -> int:
    """Of one index, whose own `keys` an item must have to be in it, and which holds `projected` attributes."""
    old, new = (_projection(item, keys, projected) for item in (before, after))
    if old == new:
        return 0
    moved = old is not None and new is not None and any(old[key] != new[key] for key in keys)
    return (2 if moved else 1) * write_units(old, new)


def _projection(item: Item | None, keys: Sequence[str], projected: Sequence[str]) -> Item | None:
    if item is None or any(key not in item for key in keys):
        return None
    return {name: item[name] for name in projected if name in item}


def _value_bytes(attribute: Mapping[str, Any]) -> int:
    ((kind, value),) = attribute.items()
    match kind:
        case "S":
            return len(value.encode())
        case "N":
            return _number_bytes(value)
        case "BOOL" | "NULL":
            return 1
        case "NS":
            return sum(map(_number_bytes, value))
        case "L":
            return 3 + sum(1 + _value_bytes(element) for element in value)
    raise TypeError(f"a row of ours holds no {kind}")


def _number_bytes(text: str) -> int:
    """A byte per two significant digits, and one."""
    digits = text.lstrip("-").replace(".", "").strip("0")
    return math.ceil(len(digits) / 2) + 1 + text.startswith("-")
