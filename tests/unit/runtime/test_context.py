"""What a handler is given, and what it cannot do with it by mistake."""

import json
from dataclasses import replace

import pytest

from shared.errors import Permanent
from shared.job import RESULT_NAME
from shared.memory.side import MemorySide
from shared.moves import RETENTION_MS
from shared.payloads.generic import GenericPayload
from shared.payloads.results import ProcessResult
from shared.runtime.context import OPEN_DATABASES, Context
from shared.status import Status
from shared.view import view_of
from tests.world import World, in_world


def test_an_artefact_of_whatever_name_is_not_overwritten_by_the_result_document() -> None:
    async def exporting(_payload: GenericPayload, context: Context) -> ProcessResult:
        async with context.artifacts.create("result.json") as upload:
            await upload.write(b"the rows of the table `result`")
        with pytest.raises(Permanent, match="own result document"):
            async with context.artifacts.create(RESULT_NAME):
                pass
        return ProcessResult(data={"text": "z" * 300, "url": upload.url})

    async def story(world: World) -> None:
        job = await world.submit()
        await world.drain()
        result = (await world.service.result(await world.row(job))).data.result
        assert isinstance(result, dict)
        assert isinstance(result["data"], dict)
        key = str(result["data"]["url"]).removeprefix(f"s3://{world.ports.objects.bucket}/")
        assert await world.ports.objects.get(key) == b"the rows of the table `result`"

    in_world(exporting, story)


def test_progress_that_would_fill_the_row_is_the_authors_mistake_and_names_the_field() -> None:
    async def chatty(_payload: GenericPayload, context: Context) -> ProcessResult:
        context.progress(1, 2, message="caf\udce9" * 1_000, metadata={"short": "enough"})
        context.progress(1, 2, metadata={"text": "x" * 500_000})
        return ProcessResult()

    async def story(world: World) -> None:
        job = await world.submit()
        await world.drain()
        row = await world.row(job)
        error = json.loads(row.error or "")
        assert (row.status, error["code"], error["field"]) == (Status.FAILED, "progress_too_large", "metadata")
        assert len((row.progress or "").encode()) < 300

    in_world(chatty, story)


def test_progress_in_numbers_of_whatever_kind_can_be_shown() -> None:
    class Numpys:
        def __int__(self) -> int:
            return 7

    async def counting(_payload: GenericPayload, context: Context) -> ProcessResult:
        context.progress(1.5, Numpys())  # type: ignore[arg-type]  # an author's slip
        return ProcessResult()

    async def story(world: World) -> None:
        job = await world.submit()
        await world.drain()
        progress = view_of(await world.row(job), bucket="b").progress
        assert progress is not None
        assert (progress.current, progress.total) == (1, 7)

    in_world(counting, story)


def test_a_jobs_failures_are_found_among_much_else_that_it_kept() -> None:
    async def stepping(_payload: GenericPayload, context: Context) -> ProcessResult:
        async def step(key: str) -> str:
            return key

        for number in range(30):
            await context.once(f"step-{number}", step)
        raise ValueError("after all that")

    async def story(world: World) -> None:
        job = await world.submit()
        await world.drain()
        assert [failure.attempt for failure in await world.service.failures(await world.row(job))] == [3, 2, 1]

    in_world(stepping, story)


def test_what_is_kept_beside_a_row_expires_some_day_and_not_before_the_job_is_due() -> None:
    class Expiring(MemorySide):
        def __init__(self) -> None:
            super().__init__()
            self.expiries: dict[str, int | None] = {}

        async def put_once(self, pk: str, sk: str, body: str, *, expires_at: int | None = None) -> bool:
            self.expiries[sk.partition("#")[0]] = expires_at
            return await super().put_once(pk, sk, body, expires_at=expires_at)

    async def stepping(_payload: GenericPayload, context: Context) -> ProcessResult:
        async def step(key: str) -> str:
            return key

        await context.once("step", step)
        return ProcessResult()

    async def story(world: World) -> None:
        side = Expiring()
        world.ports = replace(world.ports, side=side)
        payload = GenericPayload(operation="x", parameters={"text": "y" * 1_000})
        job = await world.service.submit(payload, delay_s=366 * 24 * 3600)
        assert (side.expiries["payload"] or 0) * 1000 > job.due_at + RETENTION_MS
        await world.submit()
        await world.react()
        await world.invoke()
        assert side.expiries["once"] is not None

    in_world(stepping, story)


@pytest.mark.parametrize("reference", ["sqlite:////etc/shadow", "env://SHOP", "postgresql://internal/db"])
def test_where_tenants_share_workers_only_a_secret_of_the_tenant_is_a_database(
    reference: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LONGSHORE_DATABASE_SHOP", "sqlite:///shop.db")
    found: list[str] = []

    async def ask(_payload: GenericPayload, context: Context) -> ProcessResult:
        found.append(await context.database_url("secret://shop"))
        found.append(await context.database_url(reference))
        return ProcessResult()

    async def story(world: World) -> None:
        await world.ports.secrets.put("default/shop", "postgresql://me:word@host/shop")
        job = await world.submit()
        await world.drain()
        row = await world.row(job)
        if is_open == "1":
            assert row.status is Status.SUCCESS
        else:
            assert '"code":"database_not_open"' in (row.error or "")

    for is_open in ("1", "0"):
        monkeypatch.setenv(OPEN_DATABASES, is_open)
        in_world(ask, story)
    assert found.count("postgresql://me:word@host/shop") == 2
    assert len(found) == 3
