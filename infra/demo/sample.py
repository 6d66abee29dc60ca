"""The sample database: a web shop that holds what makes databases hard to copy. The same bytes of rows every time.

Text in many scripts, empty text beside NULL, exact decimals and binary fractions, times in their own zones, JSON,
blobs, keys of one and of two columns, foreign keys four tables deep, a table without rowids, a default, a check, an
index over two columns, a unique index with a condition, and columns whose values are not of their declared type.
"""

import json
import random
import sqlite3
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Final

from shared.errors import InvalidInput

SCHEMA: Final = """
CREATE TABLE customers (
    customer_id INTEGER PRIMARY KEY,
    email       TEXT NOT NULL UNIQUE,
    full_name   TEXT NOT NULL,
    phone       TEXT,
    preferences TEXT CHECK (preferences IS NULL OR json_valid(preferences)),
    credit      DECIMAL(12, 2) NOT NULL DEFAULT 0,
    joined_at   TEXT NOT NULL
);
CREATE TABLE products (
    product_id  INTEGER PRIMARY KEY,
    sku         VARCHAR(20) NOT NULL,
    title       TEXT NOT NULL,
    description TEXT,
    price       DECIMAL(10, 2) NOT NULL,
    vat_rate    TEXT NOT NULL,
    weight_kg   REAL,
    thumbnail   BLOB,
    attributes  JSON,
    discontinued BOOLEAN NOT NULL DEFAULT FALSE
);
CREATE TABLE stock (
    warehouse   TEXT NOT NULL,
    product_id  INTEGER NOT NULL REFERENCES products (product_id),
    quantity    INTEGER NOT NULL,
    counted_at  TEXT,
    PRIMARY KEY (warehouse, product_id)
) WITHOUT ROWID;
CREATE TABLE orders (
    order_id    INTEGER PRIMARY KEY,
    customer_id INTEGER NOT NULL REFERENCES customers (customer_id),
    status      TEXT NOT NULL,
    placed_at   TIMESTAMP WITH TIME ZONE NOT NULL,
    shipped_at  TIMESTAMP WITH TIME ZONE,
    note        TEXT
);
CREATE TABLE order_lines (
    order_id    INTEGER NOT NULL REFERENCES orders (order_id),
    line_no     INTEGER NOT NULL,
    product_id  INTEGER NOT NULL REFERENCES products (product_id),
    quantity    INTEGER NOT NULL,
    unit_price  DECIMAL(10, 2) NOT NULL,
    discount    REAL,
    PRIMARY KEY (order_id, line_no)
);
CREATE INDEX orders_of_customer ON orders (customer_id, placed_at);
CREATE UNIQUE INDEX sku_on_sale ON products (sku) WHERE NOT discontinued;
"""

ROWS: Final[Mapping[str, int]] = {
    "customers": 25_000,
    "products": 2_000,
    "stock": 8_000,
    "orders": 100_000,
    "order_lines": 275_000,
}
"""table → rows at scale 1: 410,000 in all"""

Row = tuple[object, ...]

_EPOCH: Final = datetime(2021, 1, 1, tzinfo=UTC)
_ZONES: Final = tuple(timezone(timedelta(minutes=minutes)) for minutes in (0, 60, 120, -300, 330, 345, 540, 765))
_FIRST: Final = (
    "Ada",
    "Zoë",
    "Łukasz",
    "Ὀδυσσεύς",
    "Наталья",
    "محمد",
    "美咲",
    "गीता",
    "Seán",
    "O'Brien",
    '"Q"',
    "René",
)
_LAST: Final = (
    "Müller",
    "de la Cruz",
    "Ng",
    "Świątek",
    "Þórsdóttir",
    "李",
    "עמית",
    "van 't Hoff",
    "Smith-Jones",
    "Ōno",
)
_THINGS: Final = ("Teapot 🫖", "Lamp", "Crème brûlée set", "毛布", "Rucksack", "Kettle, 1.7 l", "Ψ mug", "Tent 🏕️")
_NOTES: Final = (
    "",
    "leave at the door",
    "gift 🎁\nwith a card",
    'say "hi"',
    "tab\there",
    "a;b,c|d",
    "\\N",
    "NULL",
    "👩‍👩‍👧‍👦",
)
_STATES: Final = ("placed", "paid", "shipped", "returned")


def make_sample(path: Path, *, scale: float = 1.0) -> dict[str, int]:
    """Write the shop into the new file `path`; → table → rows. `scale` 1 is 410,000 rows, about 30 MB.

    Raises InvalidInput if something is at `path` already.
    """
    if path.exists():
        raise InvalidInput("exists", f"{path} is there already", field="path")
    sizes = {table: max(1, round(rows * scale)) for table, rows in ROWS.items()}
    path.parent.mkdir(parents=True, exist_ok=True)
    connection = sqlite3.connect(path, isolation_level=None)
    try:
        connection.executescript("PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF;" + SCHEMA)
        connection.execute("BEGIN")
        for table, rows in _GENERATORS.items():
            _fill(connection, table, rows(random.Random(table), sizes))  # noqa: S311  # repeatable, not secret
        connection.execute("COMMIT")
        connection.execute("PRAGMA journal_mode = DELETE")
    except BaseException:
        path.unlink()
        raise
    finally:
        connection.close()
    return sizes


def _fill(connection: sqlite3.Connection, table: str, rows: Iterator[Row]) -> None:
    first = next(rows)
    statement = f"INSERT INTO {table} VALUES ({', '.join('?' * len(first))})"  # noqa: S608  # our own table's name
    connection.execute(statement, first)
    connection.executemany(statement, rows)


def _customers(dice: random.Random, sizes: Mapping[str, int]) -> Iterator[Row]:
    for number in range(1, sizes["customers"] + 1):
        name = f"{_pick(dice, _FIRST)} {_pick(dice, _LAST)}"
        phone = (None, "", f"+49 30 {number:07d}")[_below(dice, 3)]
        taste = {"newsletter": dice.random() < 0.4, "sizes": [_below(dice, 50), None, 1.5], "motto": name[::-1]}
        preferences = json.dumps(taste, ensure_ascii=bool(number % 2)) if number % 3 else None
        credit = _below(dice, 100_000) / 100
        yield number, f"customer{number}@example.org", name, phone, preferences, credit, _moment(dice)


def _products(dice: random.Random, sizes: Mapping[str, int]) -> Iterator[Row]:
    for number in range(1, sizes["products"] + 1):
        sku = 40_000_000 + number if number % 50 == 0 else f"SKU-{number:05d}"
        title = f"{_pick(dice, _THINGS)} {number}"
        description = None if number % 7 == 0 else f"<p>{title}</p>\r\n" * (1 + number % 5)
        weight_kg = ("n/a", None, 1e-9, 1e300)[_below(dice, 4)] if number % 10 == 0 else dice.random() * 20
        thumbnail = None if number % 5 == 2 else dice.randbytes(number % 400)
        attributes = json.dumps({"colour": _pick(dice, ("rød", "青", "teal")), "depth": {"mm": number}, "tags": []})
        price = _below(dice, 50_000) / 100
        vat_rate = _pick(dice, ("0.190", "0.07", "0.0825", "0"))
        yield number, sku, title, description, price, vat_rate, weight_kg, thumbnail, attributes, number % 11 == 0


def _stock(dice: random.Random, sizes: Mapping[str, int]) -> Iterator[Row]:
    for number in range(sizes["stock"]):
        house, product = divmod(number, sizes["products"])
        quantity = 2**62 + number if number % 100 == 99 else _below(dice, 500) - 5
        yield f"Lager {chr(0x41 + house)} 📦", product + 1, quantity, _moment(dice) if number % 4 else None


def _orders(dice: random.Random, sizes: Mapping[str, int]) -> Iterator[Row]:
    for number in range(1, sizes["orders"] + 1):
        state = _below(dice, 4)
        shipped_at = _moment(dice) if state >= 2 else None
        note = _pick(dice, _NOTES) if number % 4 == 0 else None
        yield number, 1 + _below(dice, sizes["customers"]), _STATES[state], _moment(dice), shipped_at, note


def _order_lines(dice: random.Random, sizes: Mapping[str, int]) -> Iterator[Row]:
    for number in range(sizes["order_lines"]):
        line, order = divmod(number, sizes["orders"])
        product, price = 1 + _below(dice, sizes["products"]), _below(dice, 50_000) / 100
        yield order + 1, line + 1, product, 1 + _below(dice, 9), price, dice.random() / 3 if number % 6 == 0 else None


_GENERATORS: Final[Mapping[str, Callable[[random.Random, Mapping[str, int]], Iterator[Row]]]] = {
    "customers": _customers,
    "products": _products,
    "stock": _stock,
    "orders": _orders,
    "order_lines": _order_lines,
}


def _below(dice: random.Random, limit: int) -> int:
    return int(dice.random() * limit)


def _pick(dice: random.Random, choices: tuple[str, ...]) -> str:
    return choices[_below(dice, len(choices))]


def _moment(dice: random.Random) -> str:
    """A time of the last five years in one of eight zones, to the millisecond: RFC 3339."""
    moment = _EPOCH + timedelta(milliseconds=_below(dice, 157_680_000_000))
    return moment.astimezone(_ZONES[_below(dice, len(_ZONES))]).isoformat(timespec="milliseconds")
