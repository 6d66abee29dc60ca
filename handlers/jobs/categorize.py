"""`categorize`: what kind of dish a note's recipe is, by its words; each label says why."""

from dataclasses import asdict

from shared.databases.engine import Writer
from shared.payloads.categorize import CategorizePayload
from shared.payloads.results import ProcessResult
from shared.recipes.categories import Label, labels_of
from shared.recipes.saving import saving
from shared.recipes.store import read_ingredients, read_lines, read_saved, save_labels
from shared.runtime.context import Context
from shared.runtime.definition import job


@job(CategorizePayload)
async def categorize(payload: CategorizePayload, context: Context) -> ProcessResult:
    """In place of the labels that it had, but for the note's own tags."""
    async with saving(await context.database_url(payload.database)) as database:
        labels = await database.run(_label, payload.note_id)
    return ProcessResult(data={"labels": [asdict(label) for label in labels]}, records_processed=len(labels))


def _label(database: Writer, note_id: str) -> list[Label]:
    note = read_saved(database, note_id)
    mine = [line for line in read_lines(database, note_id) if line.line.kind == "ingredient"]
    all_parsed = all(line.status == "parsed" for line in mine)
    labels = labels_of(note.title, note.tags, read_ingredients(database, note_id), all_parsed=all_parsed)
    save_labels(database, note_id, labels)
    return labels


handler = categorize.lambda_handler
