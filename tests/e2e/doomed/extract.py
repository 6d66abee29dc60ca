"""`extract`, which can't even be imported before the file `healthy` is there."""

from pathlib import Path

from shared.payloads.extract import ExtractPayload
from shared.payloads.results import ProcessResult
from shared.runtime.context import Context
from shared.runtime.definition import job

if not Path("healthy").exists():
    raise ImportError("this deployment is broken")


@job(ExtractPayload)
async def extract(_payload: ExtractPayload, _context: Context) -> ProcessResult:
    return ProcessResult(status="no-op")


handler = extract.lambda_handler
