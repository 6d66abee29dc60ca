"""Lists, groups, exports and bulk actions over the in-memory ports."""

import asyncio
import csv
import io
import json
from typing import Any

import pytest

from shared.errors import Permanent
from shared.payloads.generic import GenericPayload
from shared.payloads.results import ProcessResult
from shared.runtime.api.messages import Caller, Role
from shared.runtime.context import Context
from tests.unit.api.test_api import EVE, Client, document, with_client


async def by_name(payload: GenericPayload, _context: Context) -> ProcessResult:
    if payload.operation.startswith("bad"):
        raise Permanent("bad_row", f"row {payload.parameters['row']} is bad", field="rows")
    return ProcessResult()


async def filled(client: Client) -> dict[str, list[str]]:
    """operation → ids: 3 bad, 2 fine, 1 that is not due yet"""
    made: dict[str, list[str]] = {"bad": [], "fine": [], "later": []}
    for row, operation in enumerate(["bad", "fine", "bad", "fine", "bad"]):
        made[operation].append(await client.submit(operation=operation, parameters={"row": row}, metadata={"n": row}))
    await client.world.drain()
    await asyncio.sleep(1)
    answer = await client.ask("POST", "/jobs?delay_s=900", {"type": "generic", "operation": "later"})
    made["later"].append(document(answer)["job_id"])
    return made


async def listed(client: Client, query: str) -> list[str]:
    answer = await client.ask("GET", f"/jobs?{query}")
    assert answer.status == 200, answer
    return [job["job_id"] for job in document(answer)["jobs"]]


def test_a_list_is_what_matches_newest_first() -> None:
    async def story(client: Client) -> None:
        made = await filled(client)
        everything = await listed(client, "limit=100")
        assert sorted(everything) == sorted(job_id for ids in made.values() for job_id in ids)
        assert everything[0] == made["later"][0]
        assert {*await listed(client, "status=failed")} == {*made["bad"]}
        assert {*await listed(client, "status=FAILED,success")} == {*made["bad"], *made["fine"]}
        assert {*await listed(client, "text=BAD")} == {*made["bad"]}
        assert await listed(client, f"text={made['fine'][0]}") == [made["fine"][0]]
        assert await listed(client, "error=bad_row&text=row 4") == [made["bad"][2]]
        assert await listed(client, "type=backup") == []
        job = document(await client.ask("GET", f"/jobs/{made['later'][0]}"))
        assert made["later"][0] in await listed(client, f"since={job['created_at']}")
        assert await listed(client, "until=2020-01-01T00:00:00Z") == []
        assert document(await client.ask("GET", "/jobs", caller=EVE))["jobs"] == []

    with_client(story, by_name)


def test_a_list_goes_on_by_its_cursor_until_all_was_shown_once() -> None:
    async def story(client: Client) -> None:
        made = await filled(client)
        shown: list[str] = []
        cursor: str | None = ""
        while cursor is not None:
            page = document(await client.ask("GET", f"/jobs?limit=2&status=failed{cursor and f'&cursor={cursor}'}"))
            shown += [job["job_id"] for job in page["jobs"]]
            cursor = page.get("cursor")
        assert sorted(shown) == sorted(made["bad"])

    with_client(story, by_name)


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("limit=0", "limit"),
        ("limit=x", "limit"),
        ("status=wrong", "status"),
        ("since=yesterday", "since"),
        ("since=2020-01-01T00:00:00", "since"),
        ("cursor=nonsense", "cursor"),
        ("colour=red", "colour"),
    ],
)
def test_a_question_that_cannot_be_answered_is_told_so(query: str, field: str) -> None:
    async def story(client: Client) -> None:
        answer = await client.ask("GET", f"/jobs?{query}")
        assert (answer.status, document(answer)["field"]) == (422, field)

    with_client(story)


def test_another_tenants_cursor_is_refused() -> None:
    async def story(client: Client) -> None:
        await filled(client)
        cursor = document(await client.ask("GET", "/jobs?limit=1"))["cursor"]
        assert (await client.ask("GET", f"/jobs?cursor={cursor}", caller=EVE)).status == 422

    with_client(story, by_name)


def test_failures_of_one_kind_are_one_group_and_are_redriven_by_it() -> None:
    async def story(client: Client) -> None:
        made = await filled(client)
        (group,) = document(await client.ask("GET", "/errors"))["groups"]
        assert (group["count"], group["type"], group["error"]["code"]) == (3, "generic", "bad_row")
        assert group["job_id"] in made["bad"]
        said = {"filter": {"error": group["fingerprint"]}}
        counted = document(await client.ask("POST", "/bulk/redrive", {**said, "dry_run": True}))
        assert counted == {"matched": 3, "changed": 0, "problems": []}
        done = document(await client.ask("POST", "/bulk/redrive", said))
        assert (done["matched"], done["changed"]) == (3, 3)
        assert {*await listed(client, "status=queued")} == {*made["bad"], *made["later"]}
        again = document(await client.ask("POST", "/bulk/redrive", said))
        assert again["matched"] == 0, "they are on their way"
        assert document(await client.ask("POST", "/bulk/redrive", said, caller=EVE))["matched"] == 0

    with_client(story, by_name)


def test_a_canary_is_a_job_of_the_callers_tenant_for_operators_alone() -> None:
    async def story(client: Client) -> None:
        await filled(client)
        said = {"filter": {"error": "bad_row", "type": "generic", "since": "2020-01-01T00:00:00Z"}, "canary": True}
        counted = await client.ask("POST", "/bulk/redrive", {**said, "dry_run": True})
        assert (counted.status, document(counted)["matched"]) == (200, 3)
        producer = Caller("acme", "pat", Role.PRODUCER)
        assert (await client.ask("POST", "/bulk/redrive", said, caller=producer)).status == 403
        direct = {"type": "redrive", "fingerprint": "bad_row", "who": "pat"}
        assert (await client.ask("POST", "/jobs", direct)).status == 422
        answer = await client.ask("POST", "/bulk/redrive", said)
        assert answer.status == 202
        row = await client.world.service.get("acme", document(answer)["job_id"])
        assert (row.type, row.user_id, answer.headers["Location"]) == ("redrive", "ann", f"/jobs/{row.job_id}")
        asked = json.loads(await client.world.service.payload(row))
        assert (asked["fingerprint"], asked["job_type"], asked["who"]) == ("bad_row", "generic", "ann")

    with_client(story, by_name)


@pytest.mark.parametrize(
    "said", [{"type": "generic"}, {"error": "x", "text": "y"}, {"error": "x", "status": ["FAILED"]}]
)
def test_a_canary_is_of_one_failure(said: Any) -> None:
    async def story(client: Client) -> None:
        assert (await client.ask("POST", "/bulk/redrive", {"filter": said, "canary": True})).status == 422
        assert (await client.ask("POST", "/bulk/cancel", {"filter": {"error": "x"}, "canary": True})).status == 422
        assert client.world.jobs.rows == {}

    with_client(story, by_name)


def test_what_is_alive_and_matches_is_cancelled() -> None:
    async def story(client: Client) -> None:
        made = await filled(client)
        for since, matched in (("2020-01-01T00:00:00Z", 1), ("2999-01-01t00:00:00.5z", 0)):
            said = {"filter": {"since": since}, "dry_run": True}
            assert document(await client.ask("POST", "/bulk/cancel", said))["matched"] == matched
        for moment in (0, "2020-01-01T00:00:00", "2020-01-01Tnoon"):
            assert (await client.ask("POST", "/bulk/cancel", {"filter": {"since": moment}})).status == 422
        done = document(await client.ask("POST", "/bulk/cancel", {"filter": {"type": "generic"}}))
        assert (done["matched"], done["changed"]) == (1, 1)
        assert await listed(client, "status=cancelled") == made["later"]

    with_client(story, by_name)


@pytest.mark.parametrize("path", ["/bulk/cancel", "/bulk/redrive"])
@pytest.mark.parametrize(
    "body", [{}, {"filter": {}}, {"filter": {"status": []}}, {"filter": {"text": ""}}, {"filter": 7}]
)
def test_a_filter_that_says_nothing_is_refused(path: str, body: Any) -> None:
    async def story(client: Client) -> None:
        made = await filled(client)
        assert (await client.ask("POST", path, body)).status == 422
        assert {*await listed(client, "status=queued")} == {*made["later"]}

    with_client(story, by_name)


def test_an_export_is_a_file_that_a_spreadsheet_does_not_run() -> None:
    async def story(client: Client) -> None:
        await client.submit(operation="fine", metadata={"note": "x"})
        await client.submit(operation="bad", parameters={"row": '=cmd|"/c calc"!A1'})
        await client.world.drain()
        answer = await client.ask("GET", "/exports/jobs")
        rows = list(csv.DictReader(io.StringIO(answer.body.decode())))
        assert len(rows) == 2
        assert not any(str(value)[:1] in "=+-@" for row in rows for value in row.values() if value)
        assert "attachment" in answer.headers["Content-Disposition"]
        lines = (await client.ask("GET", "/exports/jobs?format=jsonl&status=failed")).body.decode().splitlines()
        assert [json.loads(line)["status"] for line in lines] == ["FAILED"]

    with_client(story, by_name)


def test_a_place_for_a_file_is_below_the_tenants_own_prefix() -> None:
    async def story(client: Client) -> None:
        answer = await client.ask("POST", "/uploads", {"name": "rows.csv", "size_bytes": 10})
        place = document(answer)
        assert answer.status == 201
        assert place["url"].startswith(f"s3://{client.world.ports.objects.bucket}/artifacts/acme/uploads/")
        assert "size_bytes=10" in place["href"]
        for ask in ({"name": "../x", "size_bytes": 1}, {"name": "x", "size_bytes": 0}, {"name": "x"}):
            assert (await client.ask("POST", "/uploads", ask)).status == 422

    with_client(story)


def test_a_redrive_that_goes_on_keeps_its_pace() -> None:
    async def story(client: Client) -> None:
        made = await filled(client)
        body = {"filter": {"status": ["FAILED"]}, "rate_per_s": 2.0, "first": 10}
        assert document(await client.ask("POST", "/bulk/redrive", body))["changed"] == 3
        now = client.world.ports.now()
        rows = [await client.world.service.get("acme", job_id) for job_id in made["bad"]]
        assert sorted(row.due_at - now for row in rows) == [5_000, 5_500, 6_000]

    with_client(story, by_name)
