"""`backup` and `restore`, together: what comes back is what was there."""

import json
from collections.abc import Callable
from itertools import product
from pathlib import Path

import psycopg
import pytest

from shared.payloads.base import Encryption
from tests.databases import Jobs, ask_postgres, ask_sqlite, make_sqlite, manifest_url
from tests.every_value import (
    make_every_postgres_value,
    make_every_sqlite_value,
    postgres_contents,
    sqlite_contents,
)

FORMATS = ("csv", "jsonl", "sql", "parquet")

SHOP = """
CREATE TABLE customers (id INTEGER PRIMARY KEY, name TEXT NOT NULL, vip BOOLEAN, photo BLOB);
CREATE TABLE orders (id INTEGER PRIMARY KEY, customer_id INTEGER REFERENCES customers (id), total REAL);
CREATE VIEW totals AS SELECT customer_id, sum(total) FROM orders GROUP BY 1;
INSERT INTO customers VALUES (1, 'Ada', 1, x'00ff'), (2, '', NULL, NULL);
INSERT INTO orders VALUES (10, 1, 9.5), (11, 1, 0.1), (12, 2, NULL);
"""
POSTGRES_SHOP = """
CREATE TABLE customers (id integer PRIMARY KEY, name text NOT NULL, vip boolean, photo bytea);
CREATE TABLE orders (id integer PRIMARY KEY, customer_id integer REFERENCES customers, total double precision);
"""


@pytest.fixture
def shop(tmp_path: Path) -> str:
    return make_sqlite(tmp_path / "shop.db", SHOP)


@pytest.fixture
def target(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/target.db"


@pytest.mark.parametrize(
    ("form", "packing"),
    [*product(FORMATS, ["gzip"]), ("csv", "none"), ("jsonl", "zstd"), ("sql", True), ("csv", False)],
)
def test_every_sqlite_value_comes_back_with_its_storage_class(
    tmp_path: Path, target: str, form: str, packing: str | bool
) -> None:
    jobs = Jobs()
    source = make_every_sqlite_value(tmp_path / "source.db")
    result = jobs.run("backup", database=source, format=form, options={"compress": packing})
    jobs.run("restore", database=target, backup_url=manifest_url(result))
    assert sqlite_contents(target) == sqlite_contents(source)


@pytest.mark.postgres
@pytest.mark.parametrize("form", FORMATS)
def test_every_postgres_value_comes_back(new_postgres: Callable[[], str], form: str) -> None:
    jobs = Jobs()
    source, target = make_every_postgres_value(new_postgres()), new_postgres()
    result = jobs.run("backup", database=source, format=form)
    jobs.run("restore", database=target, backup_url=manifest_url(result))
    assert postgres_contents(target) == postgres_contents(source)
    assert ask_postgres(target, "SELECT nextval('tickets')") == ask_postgres(source, "SELECT nextval('tickets')")


@pytest.mark.postgres
@pytest.mark.parametrize("form", FORMATS)
def test_rows_cross_from_one_kind_of_database_to_the_other_into_tables_that_are_there(
    shop: str, target: str, new_postgres: Callable[[], str], form: str
) -> None:
    jobs = Jobs()
    postgres = new_postgres()
    ask_postgres(postgres, POSTGRES_SHOP)
    over = jobs.run("backup", database=shop, format=form)
    jobs.run("restore", database=postgres, backup_url=manifest_url(over))
    assert ask_postgres(postgres, "SELECT * FROM customers ORDER BY id") == [
        (1, "Ada", True, b"\x00\xff"),
        (2, "", None, None),
    ]
    make_sqlite(Path(target.removeprefix("sqlite:///")), SHOP.partition("INSERT")[0])
    back = jobs.run("backup", database=postgres, format=form)
    jobs.run("restore", database=target, backup_url=manifest_url(back))
    for table in ("customers", "orders"):
        assert ask_sqlite(target, f"SELECT * FROM {table}") == ask_sqlite(shop, f"SELECT * FROM {table}")


@pytest.mark.postgres
def test_a_backup_makes_tables_in_its_own_kind_of_database_only(shop: str, new_postgres: Callable[[], str]) -> None:
    jobs = Jobs()
    error = jobs.fail("restore", database=new_postgres(), backup_url=manifest_url(jobs.run("backup", database=shop)))
    assert (error.code, error.field) == ("no_such_table", "tables")
    assert "sqlite only" in error.message


def test_the_manifest_tells_a_reader_all_it_needs(shop: str) -> None:
    jobs = Jobs()
    result = jobs.run("backup", database=shop, format="csv")
    manifest = json.loads(jobs.body(manifest_url(result)))
    assert [(table["table"], table["rows"]) for table in manifest["tables"]] == [("customers", 2), ("orders", 3)]
    assert (manifest["kind"], manifest["format"], manifest["compression"]) == ("sqlite", "csv", "gzip")
    assert manifest["tables"][0]["file"]["name"] == "customers.csv.gz"
    assert manifest["snapshot_at"].endswith("Z")
    assert (result.records_processed, result.tables_processed) == (5, 2)
    assert json.loads(jobs.runs[-1].progress or "") == {"current": 5, "total": 5}


def test_some_tables_come_back_without_the_others(shop: str, target: str) -> None:
    jobs = Jobs()
    url = manifest_url(jobs.run("backup", database=shop))
    assert jobs.run("restore", database=target, backup_url=url, tables=["orders"]).records_processed == 3
    assert ask_sqlite(target, "SELECT name FROM sqlite_schema WHERE name IN ('customers', 'orders', 'totals')") == [
        ("orders",)
    ]


def test_rows_can_be_left_out_of_a_backup(shop: str, target: str) -> None:
    jobs = Jobs()
    url = manifest_url(jobs.run("backup", database=shop, options={"exclude_data": ["orders"]}))
    jobs.run("restore", database=target, backup_url=url)
    assert ask_sqlite(target, "SELECT (SELECT count(*) FROM customers), (SELECT count(*) FROM orders)") == [(2, 0)]
    bare = jobs.run("backup", database=shop, options={"exclude_data": True})
    assert (bare.records_processed, len(json.loads(jobs.body(manifest_url(bare)))["tables"])) == (0, 2)


def test_without_its_schema_a_backup_goes_into_tables_that_are_there(shop: str, target: str) -> None:
    jobs = Jobs()
    url = manifest_url(jobs.run("backup", database=shop, options={"include_schema": False}))
    assert jobs.fail("restore", database=target, backup_url=url).code == "no_such_table"
    make_sqlite(Path(target.removeprefix("sqlite:///")), SHOP.partition("INSERT")[0])
    jobs.run("restore", database=target, backup_url=url)
    assert sqlite_rows(target) == sqlite_rows(shop)


def test_what_is_there_is_not_replaced_unless_it_is_asked_for(shop: str, tmp_path: Path) -> None:
    jobs = Jobs()
    url = manifest_url(jobs.run("backup", database=shop))
    other = make_sqlite(tmp_path / "other.db", SHOP + "UPDATE customers SET name = 'changed'; DROP VIEW totals;")
    error = jobs.fail("restore", database=other, backup_url=url)
    assert (error.code, error.field) == ("table_exists", "options.overwrite")
    assert ask_sqlite(other, "SELECT DISTINCT name FROM customers") == [("changed",)]
    for _ in range(2):  # the second time, the view is there, too
        jobs.run("restore", database=other, backup_url=url, options={"overwrite": True})
    assert sqlite_rows(other) == sqlite_rows(shop)
    assert ask_sqlite(other, "SELECT * FROM totals") == ask_sqlite(shop, "SELECT * FROM totals")


@pytest.mark.postgres
def test_a_table_that_others_refer_to_is_not_torn_from_them(new_postgres: Callable[[], str]) -> None:
    jobs = Jobs()
    url = new_postgres()
    ask_postgres(url, POSTGRES_SHOP)
    backup = manifest_url(jobs.run("backup", database=url, tables=["customers"]))
    error = jobs.fail("restore", database=url, backup_url=backup, options={"overwrite": True})
    assert error.code == "table_in_use"
    jobs.run(
        "restore", database=url, backup_url=manifest_url(jobs.run("backup", database=url)), options={"overwrite": True}
    )


def test_every_file_of_a_backup_is_encrypted_as_asked(shop: str) -> None:
    jobs = Jobs()
    jobs.run("backup", database=shop, options={"encryption": {"enabled": True, "algorithm": "aws:kms", "key_id": "k"}})
    kept = jobs.ports.objects.encryptions  # type: ignore[attr-defined]  # the one in memory
    assert set(kept) == set(jobs.bodies)
    assert set(kept.values()) == {Encryption(enabled=True, algorithm="aws:kms", key_id="k")}


def test_what_is_not_in_a_backup_is_named(tmp_path: Path) -> None:
    source = make_sqlite(tmp_path / "s.db", SHOP + "CREATE VIRTUAL TABLE words USING fts5(word);")
    result = Jobs().run("backup", database=source)
    assert "virtual table words" in result.data["left_out"]  # type: ignore[operator]  # a list of texts


# --- while others write -----------------------------------------------------------------------------------------------


def between_tables(jobs: Jobs, meddle: Callable[[], object]) -> None:
    """Have something happen before the second file is begun."""
    create = jobs.ports.objects.upload
    keys: list[str] = []

    async def begin(key: str, **options: object) -> object:
        keys.append(key)
        if len(keys) == 2:
            meddle()
        return await create(key, **options)  # type: ignore[arg-type]  # as it was called

    jobs.ports.objects.upload = begin  # type: ignore[method-assign, assignment]  # the world meddles


def test_a_table_that_changes_while_it_is_read_is_read_as_it_was(shop: str, target: str) -> None:
    def meddle() -> None:
        make_sqlite(
            Path(shop.removeprefix("sqlite:///")),
            "INSERT INTO orders (id) VALUES (13); DELETE FROM customers WHERE id = 2;",
        )

    jobs = Jobs()
    ask_sqlite(shop, "PRAGMA journal_mode = WAL")
    before = sqlite_rows(shop)
    between_tables(jobs, meddle)
    url = manifest_url(jobs.run("backup", database=shop))
    jobs.run("restore", database=target, backup_url=url)
    assert sqlite_rows(target) == before != sqlite_rows(shop)


@pytest.mark.postgres
def test_a_postgres_table_that_changes_while_it_is_read_is_read_as_it_was(new_postgres: Callable[[], str]) -> None:
    source, target = new_postgres(), new_postgres()
    ask_postgres(source, POSTGRES_SHOP)
    ask_postgres(source, "INSERT INTO customers (id, name) VALUES (1, 'Ada')")
    ask_postgres(source, "INSERT INTO orders VALUES (1, 1, 1)")

    def meddle() -> None:
        ask_postgres(source, "INSERT INTO orders VALUES (2, 1, 1)")
        impatient = psycopg.connect(source, options="-c lock_timeout=1")
        with impatient, pytest.raises(psycopg.errors.LockNotAvailable):
            impatient.execute("TRUNCATE orders")  # it would ignore the snapshot

    jobs = Jobs()
    between_tables(jobs, meddle)
    url = manifest_url(jobs.run("backup", database=source))
    jobs.run("restore", database=target, backup_url=url)
    assert ask_postgres(target, "SELECT id FROM orders") == [(1,)]


@pytest.mark.postgres
def test_a_connection_that_breaks_ends_the_backup_and_leaves_no_manifest(new_postgres: Callable[[], str]) -> None:
    jobs = Jobs()
    url = make_every_postgres_value(new_postgres())
    ours = "application_name = 'longshore' AND datname = current_database()"
    end = f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE {ours}"
    between_tables(jobs, lambda: ask_postgres(url, end))
    error = jobs.fail("backup", database=url)
    assert (type(error).__name__, error.code) == ("Transient", "snapshot_lost")
    assert len(jobs.bodies) == 1  # the first table's file; nothing names it


@pytest.mark.postgres
def test_a_backup_fails_rather_than_leave_out_rows_that_a_policy_hides(new_postgres: Callable[[], str]) -> None:
    url = new_postgres()
    ask_postgres(url, "CREATE TABLE hidden (id integer)")
    ask_postgres(url, "ALTER TABLE hidden ENABLE ROW LEVEL SECURITY")
    ask_postgres(url, "GRANT SELECT ON hidden TO locked")
    jobs = Jobs()
    jobs.ports.secrets.values["default/shop"] = url.replace("postgres@", "locked:right@")  # type: ignore[attr-defined]  # in memory
    assert jobs.fail("backup", database="secret://shop").code == "permission_denied"
    assert jobs.run("extract", database="secret://shop", tables=["hidden"]).records_processed == 0


def sqlite_rows(url: str) -> list[list[tuple[object, ...]]]:
    return [ask_sqlite(url, f"SELECT * FROM {table}") for table in ("customers", "orders")]
