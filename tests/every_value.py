"""Databases that hold one of everything which is hard to copy, and all there is in a database, to compare."""

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Final

import psycopg

from shared.databases.postgres.reader import PostgresReader
from shared.databases.schema import FENCE_TABLE, quote
from tests.databases import ask_postgres, ask_sqlite, make_sqlite

TEXTS: Final = (
    *("", " ", "NULL", "null", "\\N", "\\x00", "'", "''", '"', '""', ",", ";", 'a,b\n"c"\r\nd', "\t\x01\x1f\x7f"),
    *("ß☃𝄞👩‍👩‍👧", "%s %%", "--", "1", "1.0", "1e5", "{}", '{"$hex": "00"}', "$do$", "\\.", ");\n", "x" * 70_000),
)
NUMBERS: Final = (
    *(0, -1, 2**63 - 1, -(2**63), 0.1, 1.0, -0.0, 1e300, 5e-324, 1.7976931348623157e308, 123456789.123456789),
    *(float("inf"), float("-inf")),
)
BLOBS: Final = (b"", b"\x00", b"text", bytes(range(256)))

_SQLITE: Final = """
CREATE TABLE "every ""thing" (id INTEGER PRIMARY KEY, i INTEGER, r REAL, t TEXT, b BLOB, n NUMERIC,
    "any,\n');\n""it's" , d DECIMAL(10,2));
CREATE TABLE strictly (a INT, b ANY, c TEXT NOT NULL DEFAULT 'x', g TEXT GENERATED ALWAYS AS (a || c) VIRTUAL,
    PRIMARY KEY (a)) STRICT, WITHOUT ROWID;
CREATE TABLE empty (a, b);
CREATE TABLE "Select" (id INTEGER PRIMARY KEY AUTOINCREMENT, parent INTEGER REFERENCES "select",
    x TEXT COLLATE NOCASE UNIQUE, CHECK (id > 0));
CREATE INDEX by_r ON "every ""thing" (r DESC) WHERE r > 0;
CREATE VIEW seen AS SELECT t FROM "every ""thing";
CREATE TRIGGER wakes AFTER INSERT ON "Select" WHEN new.id < 50 BEGIN INSERT INTO empty VALUES ('trigger', new.id); END;
INSERT INTO "Select" VALUES (5, 9, 'a'), (9, NULL, 'b'), (77, 77, NULL);
DELETE FROM "Select" WHERE id = 77;
"""

_POSTGRES: Final = r"""
CREATE SCHEMA "Sales dept";
CREATE TYPE mood AS ENUM ('sad', 'it''s ok', 'happy');
CREATE TYPE "Sales dept"."Size" AS ENUM ('S', 'M');
CREATE SEQUENCE tickets START 100 INCREMENT 5;
CREATE TABLE "every ""thing" (
    id bigint GENERATED ALWAYS AS IDENTITY (START 10) PRIMARY KEY, b boolean, i2 smallint, i4 integer, i8 bigint,
    n numeric, n2 numeric(12, 3), f4 real, f8 double precision, t text, v varchar(5), c char(5), bin bytea, d date,
    tm time, tmz timetz, ts timestamp, tz timestamptz, iv interval, j json, jb jsonb, u uuid, ip inet, net cidr,
    mac macaddr, m mood, s "Sales dept"."Size", ms mood[], ia integer[], ta text[], nested integer[][], r int4range,
    p point, bits bit varying, "it's 100%%" text, tsv tsvector, o oid, money money,
    doubled numeric GENERATED ALWAYS AS (n * 2) STORED
);
CREATE TABLE "Sales dept"."orders.x" (
    id serial PRIMARY KEY, ticket integer NOT NULL DEFAULT nextval('tickets'), at timestamptz NOT NULL DEFAULT now(),
    name text COLLATE "C" NOT NULL DEFAULT 'it''s', parent integer REFERENCES "Sales dept"."orders.x",
    CONSTRAINT positive CHECK (id > 0), CONSTRAINT once UNIQUE (name, ticket)
);
CREATE TABLE a_child (order_id integer REFERENCES "Sales dept"."orders.x" ON DELETE CASCADE, line smallint,
    PRIMARY KEY (order_id, line));
CREATE TABLE chicken (id integer PRIMARY KEY, egg integer);
CREATE TABLE egg (id integer PRIMARY KEY, chicken integer REFERENCES chicken);
ALTER TABLE chicken ADD FOREIGN KEY (egg) REFERENCES egg DEFERRABLE INITIALLY DEFERRED;
CREATE TABLE measured (at date NOT NULL, value integer) PARTITION BY RANGE (at);
CREATE TABLE measured_1 PARTITION OF measured FOR VALUES FROM ('2024-01-01') TO ('2025-01-01');
CREATE TABLE nothing (a text);
CREATE INDEX by_lower ON "Sales dept"."orders.x" (lower(name) DESC) WHERE id > 1;
CREATE VIEW seen AS SELECT 1;
INSERT INTO "every ""thing" (b, i2, i4, i8, n, n2, f4, f8, t, v, c, bin, d, tm, tmz, ts, tz, iv, j, jb, u, ip, net, mac,
    m, s, ms, ia, ta, nested, r, p, bits, "it's 100%%", tsv, o, money) VALUES
    (true, -32768, 2147483647, -9223372036854775808, 12345678901234567890.123456789012345678901234567890, 1.500, 0.1,
    0.1, '', '', '', '', '-infinity', '24:00', '12:00+05:30', 'infinity', '0044-03-15 12:00:00.123456+01 BC',
    '1 year -2 days 03:00:00.000001', E'{"b":1,\n "b": 2, "n": 1.000}', 'null', gen_random_uuid(), '10.0.0.1/8',
    '10.0.0.0/8', '08:00:2b:01:02:03', 'it''s ok', 'M', '{happy,NULL}', '[0:1]={1,NULL}',
    '{"",NULL,"a\"b","{}","NULL"}', '{{1,2},{3,4}}', '[1,5)', '(1.5,-0)', B'101', '%s', 'fat:2 cat:1', 4294967295,
    1234.56);
INSERT INTO "every ""thing" (n, f4, f8, d, ts, tz, jb, j) VALUES
    ('NaN', 'NaN', 'NaN', '4713-01-01 BC', '2024-12-31 23:59:59.999999', 'infinity', '"null"', 'null'),
    ('Infinity', '-Infinity', 'Infinity', '5874897-12-31', '0001-01-01', '2024-06-30 12:00+14', '[1.10, 1e400]', '""'),
    ('-0.000', '-0', '5e-324', 'infinity', '294276-12-31 23:59:59.999999', '-infinity', '{"a": [null]}', '[]');
INSERT INTO "every ""thing" DEFAULT VALUES;
INSERT INTO "Sales dept"."orders.x" (id, name, parent) VALUES (1, 'a', 3), (2, 'b', NULL), (3, '', 1);
SELECT setval('"Sales dept"."orders.x_id_seq"', 40);
INSERT INTO a_child VALUES (1, 1), (1, 2), (3, 1);
INSERT INTO chicken VALUES (1, NULL);
INSERT INTO egg VALUES (1, 1);
UPDATE chicken SET egg = 1;
INSERT INTO measured SELECT DATE '2024-01-01' + g, g FROM generate_series(0, 99) g;
"""


def make_every_sqlite_value(path: Path) -> str:
    """→ its URL. Every value in a column of every affinity."""
    values = (*TEXTS, *NUMBERS, *BLOBS)
    rows = [(None, *[value] * 7) for value in (None, *values)]
    url = make_sqlite(path, _SQLITE, {'"every ""thing"': rows})
    with closing(sqlite3.connect(path)) as connection:
        connection.executemany("INSERT INTO strictly (a, b) VALUES (?, ?)", enumerate(values))
        connection.commit()
    return url


def sqlite_contents(url: str) -> dict[str, list[tuple[object, ...]]]:
    """Every statement of the schema, and every value with its storage class and exact bits."""
    found: dict[str, list[tuple[object, ...]]] = {
        "schema": [
            row
            for row in ask_sqlite(url, "SELECT type, name, sql FROM sqlite_schema WHERE sql IS NOT NULL ORDER BY name")
            if row[1] not in (FENCE_TABLE, "sqlite_sequence")
        ],
        "sequences": ask_sqlite(url, "SELECT * FROM sqlite_sequence ORDER BY name"),
    }
    for kind, name, _ in list(found["schema"]):
        if kind == "table":
            rows = ask_sqlite(url, f"SELECT * FROM {quote(str(name))}")
            found[str(name)] = sorted(tuple((type(value).__name__, repr(value)) for value in row) for row in rows)
    return found


def make_every_postgres_value(url: str) -> str:
    for statement in _POSTGRES.split(";\n"):
        ask_postgres(url, statement)
    insert = 'INSERT INTO "every ""thing" (t, ta, jb) VALUES (%s, %s, to_jsonb(%s::text))'
    with psycopg.connect(url) as connection:
        for text in TEXTS:
            connection.execute(insert, (text, [text], text))
    return url


def postgres_contents(url: str) -> dict[str, object]:
    """How everything is made, and every row's text as the server itself writes it."""
    reader = PostgresReader(url)
    schema = reader.schema()
    found: dict[str, object] = {"types": schema.before}
    for table in schema.tables:
        rows = sorted(reader.lines(table, "csv", exact=True))
        found[table.name] = (table.columns, table.create, table.finish, table.foreign_keys, rows)
    reader.close()
    return found
