"""A file's way into a table through the whole product: a place for it, the job, what is told of its bad rows."""

import asyncio
import gzip
import json
from pathlib import Path

import aiohttp

from tests.databases import ask_sqlite
from tests.e2e.front.house import open_house

BODY = gzip.compress(b"id,name\n1,Ada\nx,Bob\n3,Cy\n")


def test_an_upload_becomes_rows_and_its_bad_rows_a_file(tmp_path: Path) -> None:
    database = f"sqlite:///{tmp_path}/people.db"

    async def story() -> None:
        async with open_house(OpenDatabases="1") as house, house.visitor() as ann:
            _, place = await ann.ask("POST", "/uploads", {"name": "people.csv.gz", "size_bytes": len(BODY)})
            payload = {
                "type": "bulk_import",
                "source": place["url"],
                "database": database,
                "table": "people",
                "columns": {"id": {"type": "integer", "required": True}, "name": {"maxLength": 10}},
                "create": True,
            }
            async with aiohttp.ClientSession() as anybody:
                async with anybody.put(place["href"], data=BODY) as answer:
                    assert answer.status == 200
                _, accepted = await ann.ask("POST", "/jobs", payload)
                job = await ann.until(accepted["job_id"], "PARTIAL_SUCCESS", "SUCCESS", "FAILED")
                assert job["status"] == "PARTIAL_SUCCESS", job
                _, result = await ann.ask("GET", f"/jobs/{accepted['job_id']}/result")
                (link,) = result["links"]
                async with anybody.get(link["href"]) as answer:
                    (error,) = (json.loads(line) for line in (await answer.text()).splitlines())
            assert result["data"]["result"]["data"]["rows_written"] == 2
            assert (error["line"], error["field"], error["code"]) == (3, "id", "bad_type")

    asyncio.run(story())
    assert ask_sqlite(database, "SELECT * FROM people") == [(1, "Ada"), (3, "Cy")]
