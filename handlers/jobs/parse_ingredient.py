"""`parse_ingredient`: what a line of a recipe's list says, part by part; saved with its note, if it has one."""

from shared.payloads.parse_ingredient import ParseIngredientPayload
from shared.payloads.results import ProcessResult
from shared.recipes.answers import line_result
from shared.recipes.ingredients import parse_ingredient as parse
from shared.recipes.saving import saving
from shared.recipes.store import save_line
from shared.runtime.context import Context
from shared.runtime.definition import job


@job(ParseIngredientPayload)
async def parse_ingredient(payload: ParseIngredientPayload, context: Context) -> ProcessResult:
    """A line that nobody can parse is marked so: that is a result, not a failure."""
    line = parse(payload.text)
    if place := payload.save:
        async with saving(await context.database_url(place.database)) as database:
            await database.run(save_line, (place.note_id, "ingredient", place.position), line)
    return line_result(line)


handler = parse_ingredient.lambda_handler
