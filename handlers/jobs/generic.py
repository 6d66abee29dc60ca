"""`generic`: one registered operation, chosen by name. The operations themselves are in `shared/operations.py`."""

from shared.errors import Permanent
from shared.operations import OPERATIONS
from shared.payloads.generic import GenericPayload
from shared.payloads.results import ProcessResult
from shared.runtime.context import Context
from shared.runtime.definition import job


@job(GenericPayload)
async def generic(payload: GenericPayload, context: Context) -> ProcessResult:
    """Run `payload.operation` with `payload.parameters`; its answer is the result's `data`."""
    operation = OPERATIONS.get(payload.operation)
    if operation is None:
        known = ", ".join(sorted(OPERATIONS))
        raise Permanent("unknown_operation", f"{payload.operation!r}; registered are: {known}", field="operation")
    return ProcessResult(data=await operation(payload.parameters, context))


handler = generic.lambda_handler
