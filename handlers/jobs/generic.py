"""`generic`: one registered operation, chosen by name: Longshore's own, or an installed package's."""

from shared.payloads.generic import GenericPayload
from shared.payloads.results import ProcessResult
from shared.runtime.context import Context
from shared.runtime.definition import job
from shared.runtime.operations import find


@job(GenericPayload)
async def generic(payload: GenericPayload, context: Context) -> ProcessResult:
    """Run `payload.operation` with `payload.parameters`; its answer is the result's `data`."""
    return ProcessResult(data=await find(payload.operation).run(payload.parameters, context))


handler = generic.lambda_handler
