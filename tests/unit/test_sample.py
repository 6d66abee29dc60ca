"""The demo's sample is worth copying, and its proof of equality can fail."""

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from infra.demo.proof import Unequal, prove_equal
from infra.demo.sample import ROWS, make_sample
from shared.errors import InvalidInput

SCALE = 0.02


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("sample") / "shop.db"
    make_sample(path, scale=SCALE)
    return path


@pytest.fixture
def copy(sample: Path, tmp_path: Path) -> Path:
    return Path(shutil.copy(sample, tmp_path / "copy.db"))


def test_the_sample_is_the_same_every_time(sample: Path, tmp_path: Path) -> None:
    again = tmp_path / "again.db"
    sizes = make_sample(again, scale=SCALE)
    proofs = prove_equal(sample, again)
    assert {proof.table: proof.rows for proof in proofs} == sizes
    assert sum(ROWS.values()) >= 400_000


def test_the_sample_never_writes_over_a_file(sample: Path) -> None:
    with pytest.raises(InvalidInput, match="is there already"):
        make_sample(sample)


@pytest.mark.parametrize(
    "question",
    [
        "SELECT count(*) FROM customers WHERE phone = ''",
        "SELECT count(*) FROM customers WHERE phone IS NULL",
        "SELECT count(*) FROM customers WHERE json_extract(preferences, '$.sizes[1]') IS NULL AND preferences NOT NULL",
        "SELECT count(*) FROM products WHERE typeof(thumbnail) = 'blob'",
        "SELECT count(*) FROM products WHERE typeof(weight_kg) = 'text'",
        "SELECT count(*) FROM products WHERE description LIKE '%' || char(13) || char(10) || '%'",
        "SELECT count(*) FROM stock WHERE quantity > 4000000000000000000",
        "SELECT count(*) FROM orders WHERE placed_at LIKE '%+05:45' OR shipped_at LIKE '%-05:00'",
        "SELECT count(*) FROM orders WHERE note = char(92) || 'N' OR note = 'NULL'",
        "SELECT count(*) FROM orders WHERE length(note) <> length(CAST(note AS BLOB))",
        "SELECT count(*) FROM order_lines WHERE discount IS NOT NULL",
    ],
)
def test_the_sample_holds_what_is_hard_to_copy(sample: Path, question: str) -> None:
    with closing(sqlite3.connect(sample)) as connection:
        assert connection.execute(question).fetchone()[0] > 0


def test_the_sample_keeps_its_own_foreign_keys(sample: Path) -> None:
    with closing(sqlite3.connect(sample)) as connection:
        assert connection.execute("PRAGMA foreign_key_check").fetchall() == []


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ("UPDATE orders SET note = 'x' WHERE order_id = 1", "orders, row 1, column note: null became text 'x'"),
        ("UPDATE customers SET credit = credit + 0.01 WHERE customer_id = 400", "customers, row 400, column credit"),
        ("UPDATE customers SET phone = NULL WHERE phone = ''", "column phone: text '' became null"),
        ("UPDATE products SET thumbnail = '' WHERE product_id = 10", "products, row 10, column thumbnail"),
        ("UPDATE products SET title = CAST(title AS BLOB) WHERE product_id = 3", "products, row 3, column title: text"),
        ("UPDATE products SET weight_kg = 'n/a' WHERE product_id = 1", "products, row 1, column weight_kg: real"),
        ("DELETE FROM order_lines WHERE order_id = 2000 AND line_no = 1", "order_lines, row "),
        ("INSERT INTO stock VALUES ('Z', 1, 1, NULL)", "stock, row 161: is too many"),
        ("DELETE FROM stock WHERE warehouse LIKE '%D%' AND product_id = 40", "stock, row 160: is missing"),
        ("DROP INDEX orders_of_customer", "schema, orders_of_customer: CREATE INDEX"),
        ("CREATE TABLE extra (x)", "schema, extra: nothing became CREATE TABLE"),
        ("ALTER TABLE orders RENAME COLUMN note TO remark", "schema, orders: "),
    ],
)
def test_the_proof_fails_for_a_single_difference(sample: Path, copy: Path, change: str, told: str) -> None:
    with closing(sqlite3.connect(copy)) as connection:
        assert connection.execute(change).rowcount in (1, -1) or "phone" in change
        connection.commit()
    with pytest.raises(Unequal) as difference:
        prove_equal(sample, copy)
    assert told in str(difference.value)


def test_the_restores_own_fence_is_no_difference(sample: Path, copy: Path) -> None:
    with closing(sqlite3.connect(copy)) as connection:
        connection.execute("CREATE TABLE longshore_fence (job_id TEXT PRIMARY KEY)")
    assert len(prove_equal(sample, copy)) == len(ROWS)
