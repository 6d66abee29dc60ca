"""`restore`: what `backup` made (by its manifest), or one table's file, into a database.

In one transaction of it, if one invocation is enough; otherwise in one of each. How far they are is kept in the
database, in the same transactions: that is the truth. The job's checkpoint only tells what need not be checked again.
"""

from collections.abc import AsyncIterator

from pydantic import BaseModel, TypeAdapter

from shared.databases import kind_of, writing
from shared.databases.fence import pass_fence
from shared.databases.load import restore as load
from shared.databases.outcome import Outcome, answer, ended, leave, paused, resumed
from shared.databases.place import Place, RowErrors
from shared.databases.plan import beside, make_plan, verify
from shared.databases.progress import Meter, Watch, unhurried
from shared.net.transfer import download
from shared.outcomes import Partial, Proceed
from shared.payloads.restore import RestorePayload
from shared.payloads.results import ProcessResult
from shared.runtime.context import Context
from shared.runtime.definition import job


class Checkpoint(BaseModel):
    """`verified` files; and, of what is committed, whole files, characters of the next one, closing steps."""

    verified: int = 0
    committed: tuple[int, int, int] | None = None


@job(RestorePayload)
async def restore(payload: RestorePayload, context: Context) -> ProcessResult | Partial | Proceed:
    """All of it, or all but the rows that the database refuses (`skip_errors`)."""

    def fetch(name: str) -> AsyncIterator[bytes]:
        url = beside(payload.backup_url, name)
        source = download if url.startswith("https://") else context.artifacts.read
        return source(url, field="backup_url")

    watch = Watch(lambda: context.time_left_s)
    hint = Checkpoint.model_validate_json(context.checkpoint or "{}")
    plan = await make_plan(payload, fetch)
    verified = await verify(plan, fetch, hint.verified, watch) if plan.verify else 0
    if verified > hint.verified and watch.half_over():
        return Proceed(hint.model_copy(update={"verified": verified}).model_dump_json())
    url = await context.database_url(payload.database)
    async with writing(url, making_tables=plan.makes_tables(kind_of(url))) as database:
        fence = await database.run(pass_fence, context.job_id, context.epoch)
        place = resumed(fence, _LEFT, begun=hint.committed is not None) or Place()
        if isinstance(place, Outcome):
            return answer(place)
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
        await database.run(leave, fence, left)
    if isinstance(left, Outcome):
        return answer(left)
    return Proceed(Checkpoint(verified=verified, committed=_committed(left)).model_dump_json())


async def _outcome(payload: RestorePayload, context: Context, place: Place, errors: RowErrors) -> Place | Outcome:
    """How it went, if it is over."""
    encryption = payload.options.encryption
    if not place.ended:
        return await paused(context.artifacts, place, errors, encryption)
    result = ProcessResult(
        data={"tables": [{"table": table, "rows": count} for table, count in place.loaded.items()]},
        records_processed=sum(place.loaded.values()),
        tables_processed=len(place.loaded),
    )
    return await ended(result, context.artifacts, place, errors, encryption)


def _committed(place: Place) -> tuple[int, int, int]:
    return place.sources, place.chars, place.steps


_LEFT: TypeAdapter[Outcome | Place] = TypeAdapter(Outcome | Place)

handler = restore.lambda_handler
