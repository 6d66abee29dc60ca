"""`cancel_children`: what the children of a job that failed or was cancelled still do is ended, a hundred at a time."""

from typing import Final

from shared.fan_in import inbox_key
from shared.limits import LIST_MAX
from shared.payloads.cancel_children import CancelChildrenPayload
from shared.payloads.results import ProcessResult
from shared.runtime.children import chunks
from shared.runtime.context import Context, Proceed
from shared.runtime.definition import job
from shared.runtime.pruning import prune_some, still_open

TIME_LEFT_S_MIN: Final = 10.0


@job(CancelChildrenPayload)
async def cancel_children(payload: CancelChildrenPayload, context: Context) -> ProcessResult | Proceed:
    """Walk through every group that is still open, from where the last run stood. Alive children are asked to end; the
    walk does not wait for those that run."""
    ports = context.ports
    parent = await ports.jobs.get(context.tenant_id, payload.parent_id)
    if parent is None or (parent.redrives or 0) > payload.redrives + 1:
        return ProcessResult(status="no-op")
    (inbox,) = await ports.side.united([inbox_key(context.tenant_id, parent.job_id)])
    first, begin = map(int, (context.checkpoint or "0 0").split())
    cancelled = 0
    for group in still_open(parent, inbox, payload.redrives):
        for some in chunks(range(begin if group.number == first else 0, group.total), LIST_MAX):
            if group.number < first:
                break
            if context.time_left_s < TIME_LEFT_S_MIN:
                return Proceed(f"{group.number} {some[0]}")
            cancelled += await prune_some(ports, parent, group, some)
            context.progress(some[-1] + 1, group.total, message=group.step)
    return ProcessResult(records_processed=cancelled)


handler = cancel_children.lambda_handler
