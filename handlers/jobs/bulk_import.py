"""`bulk_import`: a CSV or JSON lines file into one table, each row checked; what is bad is left out and told.

In one transaction if one invocation is enough; otherwise in one of each, in which stands how far it is.
"""

from collections.abc import AsyncGenerator
from contextlib import aclosing

from pydantic import JsonValue, TypeAdapter

from shared.databases import writing
from shared.databases.bulk.load import BulkPlace, Import
from shared.databases.fence import pass_fence
from shared.databases.outcome import Outcome, answer, ended, error_file, leave, paused, resumed
from shared.databases.place import RowErrors
from shared.databases.progress import Meter, Watch, unhurried
from shared.errors import Permanent
from shared.net import transfer
from shared.outcomes import Partial, Proceed
from shared.payloads.bulk_import import BulkImportPayload
from shared.payloads.results import ProcessResult
from shared.runtime.context import Context
from shared.runtime.definition import job


@job(BulkImportPayload)
async def bulk_import(payload: BulkImportPayload, context: Context) -> ProcessResult | Partial | Proceed:
    """All rows, or all but the bad ones; none if there are more of those than `errors_max`."""
    watch = Watch(lambda: context.time_left_s)
    async with writing(await context.database_url(payload.database)) as database:
        fence = await database.run(pass_fence, context.job_id, context.epoch)
        place = resumed(fence, _LEFT, begun=context.checkpoint is not None) or BulkPlace()
        if isinstance(place, Outcome):
            return answer(place)
        async with aclosing(_chunks(payload, context, place)) as chunks:
            with RowErrors(place) as errors:
                work = Import(payload, context.job_id, place, errors)
                tell = database.in_loop(Meter(context.progress, None, place.rows))
                pace = watch if fence.kept else unhurried()
                await database.run(work.run, database.inlet(chunks), tell, pace)
                if work.failed:
                    raise await _too_many(payload, context, place, errors)
                left = await _left(payload, context, place, errors)
        await database.run(leave, fence, left)
    return answer(left) if isinstance(left, Outcome) else Proceed(f"{place.lines} lines, read={place.read}")


async def _chunks(payload: BulkImportPayload, context: Context, place: BulkPlace) -> AsyncGenerator[bytes, None]:
    if payload.source.startswith("s3://"):
        async for chunk in context.artifacts.read(payload.source, field="source"):
            yield chunk
        return
    async with aclosing(transfer.download(payload.source, field="source", accept=place.same_file)) as body:
        async for chunk in body:
            yield chunk


async def _too_many(payload: BulkImportPayload, context: Context, place: BulkPlace, errors: RowErrors) -> Permanent:
    file = await error_file(context.artifacts, place.error_files, errors)
    first = errors.first[0]
    where = f"line {first.line}, {first.field or 'the row'}: {first.message}"
    return Permanent("too_many_errors", f"more than {payload.errors_max:,} bad rows: see {file.url}, first {where}")


async def _left(
    payload: BulkImportPayload, context: Context, place: BulkPlace, errors: RowErrors
) -> BulkPlace | Outcome:
    if not place.ended:
        return await paused(context.artifacts, place, errors)
    written = place.loaded.get(payload.table, 0)
    data: dict[str, JsonValue] = {
        "table": payload.table,
        "rows_read": place.rows,
        "rows_written": written,
        "columns_ignored": [*place.ignored],
    }
    result = ProcessResult(data=data, records_processed=written, tables_processed=1)
    return await ended(result, context.artifacts, place, errors)


_LEFT: TypeAdapter[Outcome | BulkPlace] = TypeAdapter(Outcome | BulkPlace)

handler = bulk_import.lambda_handler
