"""The questions to PostgreSQL's catalogs, each with the row it answers; all but the first about given tables.

https://www.postgresql.org/docs/current/catalogs.html. With an empty search path every name comes back qualified.
"""

from dataclasses import dataclass
from typing import ClassVar, Final

from shared.databases.schema import DEFAULT_SPACE

_USER: Final = "n.nspname <> 'information_schema' AND n.nspname !~ '^pg_'"


@dataclass(frozen=True, slots=True)
class Relation:
    SQL: ClassVar[str] = f"""
    SELECT c.oid::int8 AS relid, n.nspname AS space, c.relname AS name, c.relkind::text AS kind
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f') AND NOT c.relispartition AND c.relpersistence <> 't' AND {_USER}
    AND NOT EXISTS (SELECT 1 FROM pg_depend d
        WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e')
    ORDER BY 2, 3"""

    relid: int
    space: str
    name: str
    kind: str

    @property
    def label(self) -> str:
        """`orders` is public.orders; relations of other schemas carry theirs: `sales.orders`."""
        return self.name if self.space == DEFAULT_SPACE else f"{self.space}.{self.name}"


@dataclass(frozen=True, slots=True)
class ColumnRow:
    SQL: ClassVar[str] = """
    SELECT a.attrelid::int8 AS relid, a.attname AS name, format_type(a.atttypid, a.atttypmod) AS type,
        a.attnotnull AS not_null, a.attidentity::text AS identity, a.attgenerated::text AS generated,
        pg_get_expr(d.adbin, d.adrelid) AS expression,
        CASE WHEN a.attcollation <> t.typcollation THEN a.attcollation::regcollation::text END AS collation,
        CASE WHEN bn.nspname = 'pg_catalog' THEN b.typname WHEN b.typcategory = 'A' THEN '_' ELSE '' END AS base
    FROM pg_attribute a JOIN pg_type t ON t.oid = a.atttypid
    JOIN pg_type b ON b.oid = coalesce(nullif(t.typbasetype, 0), t.oid) JOIN pg_namespace bn ON bn.oid = b.typnamespace
    LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
    WHERE a.attrelid = ANY(%s::int8[]::oid[]) AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attrelid, a.attnum"""

    relid: int
    name: str
    type: str
    not_null: bool
    identity: str
    generated: str
    expression: str | None
    collation: str | None
    base: str


@dataclass(frozen=True, slots=True)
class Constraint:
    SQL: ClassVar[str] = """
    SELECT k.conrelid::int8 AS relid, k.conname AS name, k.contype::text AS kind,
        pg_get_constraintdef(k.oid) AS definition, k.confrelid::int8 AS parent,
        ARRAY(SELECT a.attname::text FROM unnest(k.conkey) WITH ORDINALITY u(num, place)
            JOIN pg_attribute a ON a.attrelid = k.conrelid AND a.attnum = u.num ORDER BY place) AS columns,
        ARRAY(SELECT a.attname::text FROM unnest(k.confkey) WITH ORDINALITY u(num, place)
            JOIN pg_attribute a ON a.attrelid = k.confrelid AND a.attnum = u.num ORDER BY place) AS parent_columns
    FROM pg_constraint k WHERE k.conrelid = ANY(%s::int8[]::oid[]) AND k.contype IN ('c', 'f', 'p', 'u', 'x')
    ORDER BY k.conrelid, k.contype <> 'p', k.conname"""

    relid: int
    name: str
    kind: str
    definition: str
    parent: int
    columns: list[str]
    parent_columns: list[str]


@dataclass(frozen=True, slots=True)
class Index:
    SQL: ClassVar[str] = """
    SELECT i.indrelid::int8 AS relid, pg_get_indexdef(i.indexrelid) AS definition FROM pg_index i
    WHERE i.indrelid = ANY(%s::int8[]::oid[]) AND i.indisvalid
    AND NOT EXISTS (SELECT 1 FROM pg_constraint k WHERE k.conindid = i.indexrelid AND k.contype IN ('p', 'u', 'x'))
    ORDER BY i.indrelid, i.indexrelid"""

    relid: int
    definition: str


@dataclass(frozen=True, slots=True)
class Sequence:
    SQL: ClassVar[str] = """
    SELECT u.relid::int8 AS relid, a.attname AS column, u.identity,
        EXISTS (SELECT 1 FROM pg_depend p WHERE p.classid = 'pg_class'::regclass AND p.objid = u.seq
            AND p.refclassid = 'pg_class'::regclass AND p.refobjid = u.relid AND p.deptype = 'a') AS owned,
        format('%%I.%%I', n.nspname, c.relname) AS name,
        format('START %%s INCREMENT %%s MINVALUE %%s MAXVALUE %%s CACHE %%s %%s', s.seqstart, s.seqincrement, s.seqmin,
            s.seqmax, s.seqcache, CASE WHEN s.seqcycle THEN 'CYCLE' ELSE 'NO CYCLE' END) AS settings,
        format_type(s.seqtypid, NULL) AS type, pg_sequence_last_value(c.oid) AS last_value
    FROM (SELECT d.adrelid AS relid, d.adnum AS num, p.refobjid AS seq, false AS identity FROM pg_attrdef d
            JOIN pg_depend p ON p.classid = 'pg_attrdef'::regclass AND p.objid = d.oid
                AND p.refclassid = 'pg_class'::regclass
        UNION ALL SELECT p.refobjid, p.refobjsubid, p.objid, true FROM pg_depend p
            WHERE p.classid = 'pg_class'::regclass AND p.refclassid = 'pg_class'::regclass AND p.deptype = 'i') u
    JOIN pg_class c ON c.oid = u.seq AND c.relkind = 'S' JOIN pg_namespace n ON n.oid = c.relnamespace
    JOIN pg_sequence s ON s.seqrelid = c.oid JOIN pg_attribute a ON a.attrelid = u.relid AND a.attnum = u.num
    WHERE u.relid = ANY(%s::int8[]::oid[]) ORDER BY u.relid, a.attnum"""

    relid: int
    column: str
    identity: bool
    owned: bool
    name: str
    settings: str
    type: str
    last_value: int | None


@dataclass(frozen=True, slots=True)
class UserType:
    SQL: ClassVar[str] = f"""
    SELECT DISTINCT format('%%I.%%I', n.nspname, e.typname) AS name, e.typtype::text AS kind,
        ARRAY(SELECT l.enumlabel::text FROM pg_enum l WHERE l.enumtypid = e.oid ORDER BY l.enumsortorder) AS labels
    FROM pg_attribute a JOIN pg_type t ON t.oid = a.atttypid
    JOIN pg_type e ON e.oid = CASE WHEN t.typcategory = 'A' AND t.typelem <> 0 THEN t.typelem ELSE t.oid END
    JOIN pg_namespace n ON n.oid = e.typnamespace
    WHERE a.attrelid = ANY(%s::int8[]::oid[]) AND a.attnum > 0 AND NOT a.attisdropped AND {_USER} ORDER BY 1"""

    name: str
    kind: str
    labels: list[str]
