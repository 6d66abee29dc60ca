"""`data_sync`: one table made like another, by key, writing only what differs.

A run writes in one transaction, of a minute at most; how far it is stands beside the fence, in the same transaction.
"""

from collections.abc import Iterator
from contextlib import AsyncExitStack, contextmanager
from typing import Final

from pydantic import TypeAdapter

from shared.databases import reading, same_file, writing
from shared.databases.dry_run import telling_changes
from shared.databases.engine import Database, Reader, Writer
from shared.databases.export import stored
from shared.databases.fence import pass_fence
from shared.databases.outcome import Outcome, answer, ended, leave, paused, resumed
from shared.databases.place import RowErrors
from shared.databases.progress import Meter, Watch
from shared.databases.schema import Schema
from shared.databases.session import Session
from shared.databases.sync import (
    Act,
    Plan,
    SyncPlace,
    leave_keyless_out,
    make_plan,
    read_source,
    step,
    writing_changes,
)
from shared.errors import LongshoreError, Permanent
from shared.outcomes import Partial, Proceed
from shared.payloads.data_sync import DataSyncPayload
from shared.payloads.results import Artifact, ProcessResult
from shared.runtime.context import Context
from shared.runtime.definition import job

TRANSACTION_S: Final = 60.0

_LEFT: Final[TypeAdapter[Outcome | SyncPlace]] = TypeAdapter(Outcome | SyncPlace)


@job(DataSyncPayload)
async def data_sync(payload: DataSyncPayload, context: Context) -> ProcessResult | Partial | Proceed:
    """All that one transaction takes; a dry run only tells what it would write."""
    async with AsyncExitStack() as stack:
        with _about("source"):
            source_url = await context.database_url(payload.source)
            source = await stack.enter_async_context(reading(source_url))
        with _about("target"):
            target_url = await context.database_url(payload.target)
            if same_file(source_url, target_url):
                message = "two tables of one SQLite file: a statement there does it all at once"
                raise Permanent("same_database", message, field="target")
            if payload.options.dry_run:
                return await _told(payload, context, source, await stack.enter_async_context(reading(target_url)))
            return await _written(payload, context, source, await stack.enter_async_context(writing(target_url)))


async def _written(
    payload: DataSyncPayload, context: Context, source: Session[Reader], target: Session[Writer]
) -> ProcessResult | Partial | Proceed:
    plan = make_plan(payload, await source.run(_schema), await target.run(_schema))
    fence = await target.run(pass_fence, context.job_id, context.epoch)
    place = resumed(fence, _LEFT, begun=fence.kept and context.checkpoint is not None) or await _checkpoint(context)
    if isinstance(place, Outcome):
        return answer(place)
    with RowErrors(place) as errors:
        if place.after is None:
            await source.run(leave_keyless_out, plan, errors)
        act = await target.run(writing_changes, plan, place, errors, payload.options.errors_max)
        await _walk(context, source, target, plan, place=place, act=act, delete=payload.options.delete)
        if not place.ended:
            place = await paused(context.artifacts, place, errors)
            await target.run(leave, fence, place)
            return Proceed(await _keep(context, place))
        outcome = await ended(_result(place), context.artifacts, place, errors)
    await target.run(leave, fence, outcome)
    return answer(outcome)


async def _told(
    payload: DataSyncPayload, context: Context, source: Session[Reader], target: Session[Reader]
) -> ProcessResult | Partial | Proceed:
    plan = make_plan(payload, await source.run(_schema), await target.run(_schema))
    place = await _checkpoint(context)
    with RowErrors(place) as errors:
        if place.after is None:
            await source.run(leave_keyless_out, plan, errors)
        lines = bytearray()
        act = telling_changes(plan, place, lines, payload.options.differences_max)
        await _walk(context, source, target, plan, place=place, act=act, delete=payload.options.delete)
        differences = await _keep_differences(context, place, lines)
        if not place.ended:
            place = await paused(context.artifacts, place, errors)
            return Proceed(await _keep(context, place))
        result = _result(place)
        result.data["differences"] = differences.model_dump(mode="json", exclude_none=True)
        outcome = await ended(result, context.artifacts, place, errors)
    outcome.result.artifact = outcome.result.artifact or differences
    return answer(outcome)


async def _walk(
    context: Context,
    source: Session[Reader],
    target: Session[Reader] | Session[Writer],
    plan: Plan,
    *,
    place: SyncPlace,
    act: Act,
    delete: bool,
) -> None:
    """Page by page, at least one, as far as time allows."""
    watch = Watch(lambda: context.time_left_s)
    whole_s = watch.left_s()
    meter = Meter(
        context.progress, await source.run(lambda there: there.rows_expected(plan.source.table)), place.compared
    )
    stream = await source.run(read_source, plan, place.after)
    while not place.ended:
        done = place.compared
        await source.run(lambda _: stream.fill())
        await target.run(step, plan, place, stream, act, delete=delete)
        meter(place.compared - done)
        if watch.short() or whole_s - watch.left_s() > TRANSACTION_S:
            return


def _schema(database: Database) -> Schema:
    return database.schema()


def _result(place: SyncPlace) -> ProcessResult:
    counts = {"inserted": place.inserted, "updated": place.updated, "deleted": place.deleted}
    return ProcessResult(
        data={**counts, "unchanged": place.unchanged}, records_processed=sum(counts.values()), tables_processed=1
    )


async def _checkpoint(context: Context) -> SyncPlace:
    """For whom no fence tells."""
    if context.checkpoint is None:
        return SyncPlace()
    return SyncPlace.model_validate_json(
        b"".join([chunk async for chunk in context.artifacts.read(context.checkpoint)])
    )


async def _keep(context: Context, place: SyncPlace) -> str:
    async with context.artifacts.create("place.json") as upload:
        await upload.write(place.model_dump_json().encode())
    return upload.url


async def _keep_differences(context: Context, place: SyncPlace, lines: bytearray) -> Artifact:
    """Those of earlier invocations, and of this one."""
    async with context.artifacts.create("differences.jsonl") as upload:
        if place.differences:
            async for chunk in context.artifacts.read(place.differences):
                await upload.write(chunk)
        await upload.write(bytes(lines))
    place.differences = upload.url
    return stored(upload, place.told)


@contextmanager
def _about(field: str) -> Iterator[None]:
    """Which of the two databases it is that cannot be opened."""
    try:
        yield
    except LongshoreError as error:
        error.field = field if error.field == "database" else error.field
        raise


handler = data_sync.lambda_handler
