"""`format_instruction`: one step of a recipe, made fit to be read; saved with its note, if it has one."""

from shared.payloads.format_instruction import FormatInstructionPayload
from shared.payloads.results import ProcessResult
from shared.recipes.answers import line_result
from shared.recipes.instructions import formatted, parse_instruction
from shared.recipes.saving import saving
from shared.recipes.store import save_line
from shared.runtime.context import Context
from shared.runtime.definition import job


@job(FormatInstructionPayload)
async def format_instruction(payload: FormatInstructionPayload, context: Context) -> ProcessResult:
    """Its times and temperatures are segments of their own."""
    line = parse_instruction(payload.text)
    text = formatted(line)
    if place := payload.save:
        async with saving(await context.database_url(place.database)) as database:
            await database.run(save_line, (place.note_id, "instruction", place.position), line, text)
    return line_result(line, formatted=text)


handler = format_instruction.lambda_handler
