"""`data_sync`: one table made like another, by key, writing only what differs.

A run writes in one transaction, of a minute at most; how far it is stands beside the fence, in the same transaction.
"""

from collections.abc import Iterator
from contextlib import AsyncExitStack, contextmanager
from typing import Final

from pydantic import TypeAdapter

from shared.databases import reading, same_file, writing
from shared.databases.engine import Reader, Writer
from shared.databases.fence import pass_fence
from shared.databases.outcome import Outcome, answer, ended, leave, paused, resumed
from shared.databases.place import RowErrors
from shared.databases.progress import Meter, Watch
from shared.databases.session import Session
from shared.databases.sync.place import SyncPlace, keep_differences, keep_place, kept_place
from shared.databases.sync.plan import Plan, make_plan
from shared.databases.sync.tell import telling_changes
from shared.databases.sync.walk import Act, leave_keyless_out, walk
from shared.databases.sync.write import writing_changes
from shared.errors import LongshoreError, Permanent
from shared.outcomes import Partial, Proceed
from shared.payloads.data_sync import DataSyncPayload
from shared.payloads.results import ProcessResult
from shared.runtime.context import Context
from shared.runtime.definition import job

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
    plan = await make_plan(payload, source, target)
    fence = await target.run(pass_fence, context.job_id, context.epoch)
    left = resumed(fence, _LEFT, begun=fence.kept and context.checkpoint is not None)
    if isinstance(left, Outcome):
        return answer(left)
    place = left or await kept_place(context.artifacts, context.checkpoint)
    with RowErrors(place) as errors:
        act = await target.run(writing_changes, plan, place, errors, payload.options.errors_max)
        await _walk(context, source, target, plan, place=place, errors=errors, act=act)
        if not place.ended:
            place = await paused(context.artifacts, place, errors)
            await target.run(leave, fence, place)
            return Proceed(await keep_place(context.artifacts, place))
        outcome = await ended(place.result(), context.artifacts, place, errors)
    await target.run(leave, fence, outcome)
    return answer(outcome)


async def _told(
    payload: DataSyncPayload, context: Context, source: Session[Reader], target: Session[Reader]
) -> ProcessResult | Partial | Proceed:
    plan = await make_plan(payload, source, target)
    place = await kept_place(context.artifacts, context.checkpoint)
    with RowErrors(place) as errors:
        lines = bytearray()
        act = telling_changes(plan, place, lines, payload.options.differences_max)
        await _walk(context, source, target, plan, place=place, errors=errors, act=act)
        differences = await keep_differences(context.artifacts, place, lines)
        if not place.ended:
            place = await paused(context.artifacts, place, errors)
            return Proceed(await keep_place(context.artifacts, place))
        result = place.result()
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
    errors: RowErrors,
    act: Act,
) -> None:
    watch = Watch(lambda: context.time_left_s)
    if place.after is None:
        await source.run(leave_keyless_out, plan, errors)
    rows = await source.run(lambda there: there.rows_expected(plan.source.table))
    await walk(source, target, plan, place, act, watch=watch, tell=Meter(context.progress, rows, place.compared))


@contextmanager
def _about(field: str) -> Iterator[None]:
    """Which of the two databases it is that cannot be opened."""
    try:
        yield
    except LongshoreError as error:
        error.field = field if error.field == "database" else error.field
        raise


handler = data_sync.lambda_handler
