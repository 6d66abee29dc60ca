"""Tables that are synced, extracted, and reported, through the whole product."""

import asyncio
import io
import zipfile
from pathlib import Path

import aiohttp

from tests.databases import ask_sqlite, make_sqlite
from tests.e2e.front.house import open_house
from tests.e2e.test_media import result_of

SALES = """CREATE TABLE sales (id INTEGER PRIMARY KEY, month TEXT, revenue NUMERIC);
INSERT INTO sales WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 5000)
    SELECT i, printf('2024-%02d', i % 12 + 1), i / 4.0 FROM n;"""
COLUMNS = [{"name": "month"}, {"name": "revenue", "format": "decimal", "unit": "€", "total": "sum"}]


def test_a_table_is_synced_extracted_and_reported(tmp_path: Path) -> None:
    source = make_sqlite(tmp_path / "shop.db", SALES)
    target = make_sqlite(tmp_path / "copy.db", SALES + "UPDATE sales SET revenue = 0 WHERE id % 100 = 0;")

    async def story() -> None:
        async with open_house() as house, house.visitor() as ann:
            synced = await result_of(ann, type="data_sync", source=source, target=target, table="sales")
            assert (synced["data"]["updated"], synced["data"]["unchanged"]) == (50, 4950)
            assert ask_sqlite(target, "SELECT * FROM sales") == ask_sqlite(source, "SELECT * FROM sales")
            file = await result_of(ann, type="extract", database=target, tables=["sales"], output_format="parquet")
            reported = await result_of(
                ann,
                type="report",
                title="Sales",
                files={"sales": file["artifact"]["url"]},
                query="SELECT month, sum(revenue) AS revenue FROM sales GROUP BY month ORDER BY month",
                columns=COLUMNS,
                chart={"kind": "bar", "label": "month", "values": ["revenue"]},
            )
            async with aiohttp.ClientSession() as anybody, anybody.get(reported["links"][0]) as answer:
                with zipfile.ZipFile(io.BytesIO(await answer.read())) as book:
                    assert b"3125625" in book.read("xl/worksheets/sheet1.xml")
                    assert b"<c:barChart>" in book.read("xl/charts/chart1.xml")

    asyncio.run(story())
