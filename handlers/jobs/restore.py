"""`restore`: what `backup` made (by its manifest), or one table's file, into a database, in one transaction of it."""

from collections.abc import AsyncIterator

from pydantic import BaseModel

from shared.databases import kind_of, writing
from shared.databases.download import download
from shared.databases.export import stored
from shared.databases.fence import leave_outcome, pass_fence
from shared.databases.load import restore as load
from shared.databases.plan import beside, make_plan, verify
from shared.databases.progress import Meter
from shared.databases.rows import RowErrors
from shared.outcomes import Partial
from shared.payloads.restore import RestorePayload
from shared.payloads.results import ProcessResult, RowError
from shared.runtime.context import Context
from shared.runtime.definition import job


class Outcome(BaseModel):
    """What is kept beside the restored tables, for a run that comes after the one that committed."""

    result: ProcessResult
    errors: list[RowError]


@job(RestorePayload)
async def restore(payload: RestorePayload, context: Context) -> ProcessResult | Partial:
    """All of it, or all but the rows that the database refuses (`skip_errors`), or nothing."""

    def fetch(name: str) -> AsyncIterator[bytes]:
        url = beside(payload.backup_url, name)
        return download(url) if url.startswith("https://") else context.artifacts.read(url)

    plan = await make_plan(payload, fetch)
    if plan.verify:
        await verify(plan, fetch)
    url = await context.database_url(payload.database)
    async with writing(url, making_tables=plan.makes_tables(kind_of(url))) as database:
        done = await database.run(pass_fence, context.job_id, context.epoch)
        if done is not None:
            return _answer(Outcome.model_validate_json(done))
        tell = database.in_loop(Meter(context.progress, plan.rows_expected))
        with RowErrors() as errors:
            rows = await database.run(
                load,
                plan,
                lambda name: database.inlet(fetch(name)),
                errors if payload.options.skip_errors else None,
                tell,
            )
            outcome = await _outcome(payload, context, rows, errors)
        await database.run(leave_outcome, context.job_id, outcome.model_dump_json())
        await database.run(lambda writer: writer.commit())
    return _answer(outcome)


async def _outcome(payload: RestorePayload, context: Context, rows: dict[str, int], errors: RowErrors) -> Outcome:
    """All row errors become a file; the first of them are in the answer."""
    result = ProcessResult(
        data={"tables": [{"table": table, "rows": count} for table, count in rows.items()]},
        records_processed=sum(rows.values()),
        tables_processed=len(rows),
    )
    if not errors.count:
        return Outcome(result=result, errors=[])
    async with context.artifacts.create("errors.jsonl", payload.options.encryption) as upload:
        for chunk in errors.chunks():
            await upload.write(chunk)
    result.data["rows_left_out"] = errors.count
    result.artifact = stored(upload, errors.count)
    return Outcome(result=result, errors=errors.first)


def _answer(outcome: Outcome) -> ProcessResult | Partial:
    return Partial(outcome.result, outcome.errors) if outcome.errors else outcome.result


handler = restore.lambda_handler
