"""`restore`: what `backup` made (by its manifest), or one table's file, into a database.

In one transaction of it, if one invocation is enough; otherwise in one of each. How far they are is kept in the
database, in the same transactions: that is the truth. The job's checkpoint only tells what need not be checked again.
"""

from collections.abc import AsyncIterator

from pydantic import BaseModel, TypeAdapter

from shared.databases import kind_of, writing
from shared.databases.engine import Writer
from shared.databases.export import stored
from shared.databases.fence import Fence, leave_position, pass_fence
from shared.databases.load import restore as load
from shared.databases.place import Place, RowErrors
from shared.databases.plan import beside, make_plan, verify
from shared.databases.progress import Meter, Watch, unhurried
from shared.errors import Permanent
from shared.net.transfer import download
from shared.outcomes import Partial, Proceed
from shared.payloads.restore import RestorePayload
from shared.payloads.results import Artifact, ProcessResult, RowError
from shared.runtime.context import Context
from shared.runtime.definition import job


class Outcome(BaseModel):
    """What is kept beside the restored tables, for a run that comes after the one that committed."""

    result: ProcessResult
    errors: list[RowError]


class Checkpoint(BaseModel):
    """`verified` files; and, of what is committed, whole files, characters of the next one, closing steps."""

    verified: int = 0
    committed: tuple[int, int, int] | None = None


@job(RestorePayload)
async def restore(payload: RestorePayload, context: Context) -> ProcessResult | Partial | Proceed:
    """All of it, or all but the rows that the database refuses (`skip_errors`)."""

    def fetch(name: str) -> AsyncIterator[bytes]:
        url = beside(payload.backup_url, name)
        return download(url, field="backup_url") if url.startswith("https://") else context.artifacts.read(url)

    watch = Watch(lambda: context.time_left_s)
    hint = Checkpoint.model_validate_json(context.checkpoint or "{}")
    plan = await make_plan(payload, fetch)
    verified = await verify(plan, fetch, hint.verified, watch) if plan.verify else 0
    if verified > hint.verified and watch.half_over():
        return Proceed(hint.model_copy(update={"verified": verified}).model_dump_json())
    url = await context.database_url(payload.database)
    async with writing(url, making_tables=plan.makes_tables(kind_of(url))) as database:
        fence = await database.run(pass_fence, context.job_id, context.epoch)
        place = _place(fence, hint)
        if isinstance(place, Outcome):
            return _answer(place)
        tell = database.in_loop(Meter(context.progress, plan.rows_expected, sum(place.loaded.values())))
        with RowErrors(place) as errors:
            place = await database.run(
                load,
                plan,
                lambda name: database.inlet(fetch(name)),
                errors if payload.options.skip_errors else None,
                tell,
                place=place,
                watch=watch if fence.kept else unhurried(),
                careful=place.begun or context.attempt > 1,
            )
            left = await _outcome(payload, context, place, errors)
        await database.run(_commit, fence, left)
    if isinstance(left, Outcome):
        return _answer(left)
    return Proceed(Checkpoint(verified=verified, committed=_committed(left)).model_dump_json())


def _place(fence: Fence, hint: Checkpoint) -> Place | Outcome:
    """Where the last run that committed left off, whatever the job knows of it."""
    if fence.position is not None:
        return _LEFT.validate_json(fence.position)
    if hint.committed is not None:
        message = "the table longshore_fence was dropped while the job was under way, and with it how far it was"
        raise Permanent("fence_lost", message, field="database")
    return Place()


def _commit(database: Writer, fence: Fence, left: Place | Outcome) -> None:
    leave_position(database, fence, left.model_dump_json())
    database.commit()


async def _outcome(payload: RestorePayload, context: Context, place: Place, errors: RowErrors) -> Place | Outcome:
    """How it went, if it is over. All row errors become a file; the first of them are in the answer."""
    if not place.ended:
        if errors.added:
            file = await _error_file(payload, context, [], errors)
            place.error_files.append(file.url)
        return place.model_copy(update={"errors_count": errors.count, "errors": errors.first})
    result = ProcessResult(
        data={"tables": [{"table": table, "rows": count} for table, count in place.loaded.items()]},
        records_processed=sum(place.loaded.values()),
        tables_processed=len(place.loaded),
    )
    if errors.count:
        result.artifact = await _error_file(payload, context, place.error_files, errors)
        result.data["rows_left_out"] = errors.count
    return Outcome(result=result, errors=errors.first)


async def _error_file(payload: RestorePayload, context: Context, earlier: list[str], errors: RowErrors) -> Artifact:
    """The contents of earlier ones, and the errors of this run."""
    async with context.artifacts.create("errors.jsonl", payload.options.encryption) as upload:
        for url in earlier:
            async for chunk in context.artifacts.read(url):
                await upload.write(chunk)
        for chunk in errors.chunks():
            await upload.write(chunk)
    return stored(upload, errors.count)


def _committed(place: Place) -> tuple[int, int, int]:
    return place.sources, place.chars, place.steps


def _answer(outcome: Outcome) -> ProcessResult | Partial:
    return Partial(outcome.result, outcome.errors) if outcome.errors else outcome.result


_LEFT: TypeAdapter[Outcome | Place] = TypeAdapter(Outcome | Place)

handler = restore.lambda_handler
