"""`import_note`: a recipe out of an exported note into a database: one job a line, then one for the whole.

Lines go in waves, a few at first, so that whoever watches sees them come in. How far it is, the database knows: the
checkpoint only says which wave was the last.
"""

from collections.abc import Sequence
from typing import Final

from pydantic import BaseModel

from shared.errors import Permanent
from shared.net.transfer import download
from shared.payloads.base import Payload
from shared.payloads.categorize import CategorizePayload
from shared.payloads.format_instruction import FormatInstructionPayload
from shared.payloads.import_note import HTML_BYTES_MAX, ImportNotePayload
from shared.payloads.parse_ingredient import LinePlace, ParseIngredientPayload
from shared.payloads.results import ProcessResult
from shared.recipes import store
from shared.recipes.answers import ERRORS_MAX, how_far, missing, note_result
from shared.recipes.notes import read_note
from shared.recipes.notes_model import Note
from shared.recipes.saving import saving
from shared.recipes.store import SavedLine
from shared.runtime.context import Context, Partial, WaitFor
from shared.runtime.definition import job
from shared.status import Status

WAVES_MAX: Final = 8
WAVE_LINES_MIN: Final = 4


class Place(BaseModel):
    """`sent` lines of the note are with their jobs, in the job's `life`-th life; `labelled`: the last job, too.

    `why`: what went wrong first.
    """

    note_id: str
    life: int
    sent: int = 0
    labelled: bool = False
    why: tuple[str, str] | None = None


@job(ImportNotePayload)
async def import_note(payload: ImportNotePayload, context: Context) -> ProcessResult | Partial | WaitFor:
    """The same note again is a no-op that says so."""
    url, life = await context.database_url(payload.database), context.children.job.redrives or 0
    place = Place.model_validate_json(context.checkpoint) if context.checkpoint else None
    if place is None:
        note = read_note(await _html(payload, context), field="html" if payload.url is None else "url")
        if not await _save(url, note, context):
            return ProcessResult(status="no-op", data={"note_id": note.fingerprint, "duplicate": True})
        place = Place(note_id=note.fingerprint, life=life)
    elif place.life != life:
        place = Place(note_id=place.note_id, life=life)
    else:
        place.why = place.why or await _what_went_wrong(context)
    async with saving(url) as database:
        title = (await database.run(store.read_saved, place.note_id)).title
        lines = await database.run(store.read_lines, place.note_id)
    done, message = how_far(lines)
    context.progress(done, len(lines), message=message, context=title, indent_level=1)
    if place.labelled:
        return await _end(url, place, lines)
    wave = lines[place.sent : place.sent + max(WAVE_LINES_MIN, -(-len(lines) // WAVES_MAX))]
    place.sent, place.labelled = place.sent + len(wave), not wave
    children = [_job(payload, place.note_id, one) for one in wave if life == 0 or one.status == "waiting"]
    last: list[Payload] = [CategorizePayload(database=payload.database, note_id=place.note_id)]
    return WaitFor(last if place.labelled else children, place.model_dump_json())


async def _html(payload: ImportNotePayload, context: Context) -> bytes:
    if payload.url is None:
        return (payload.html or "").encode()
    https = payload.url.startswith("https://")
    html = bytearray()
    async for chunk in download(payload.url, field="url") if https else context.artifacts.read(payload.url):
        html += chunk
        if len(html) > HTML_BYTES_MAX:
            raise Permanent("too_large", f"more than {HTML_BYTES_MAX:,} bytes", field="url")
    return bytes(html)


async def _save(url: str, note: Note, context: Context) -> bool:
    async with saving(url) as database:
        await database.run(store.create_tables)
        return await database.run(store.save_note, note, context.job_id)


async def _what_went_wrong(context: Context) -> tuple[str, str] | None:
    """In the jobs of the last wave."""
    async for end in context.children:
        if end.status is not Status.SUCCESS:
            return (end.error.code, end.error.message[:200]) if end.error else ("cancelled", "its job was cancelled")
    return None


def _job(payload: ImportNotePayload, note_id: str, one: SavedLine) -> Payload:
    place = LinePlace(database=payload.database, note_id=note_id, position=one.line.position)
    if one.line.kind == "ingredient":
        return ParseIngredientPayload(text=one.line.text, save=place)
    return FormatInstructionPayload(text=one.line.text, save=place)


async def _end(url: str, place: Place, lines: Sequence[SavedLine]) -> ProcessResult | Partial:
    """Complete, or what is missing."""
    async with saving(url) as database:
        if place.why is None:
            await database.run(store.complete, place.note_id)
        labels = await database.run(store.read_labels, place.note_id)
        patterns = await database.run(store.read_patterns, place.note_id)
    result = note_result(place.note_id, lines, labels, patterns)
    if place.why is None:
        return result
    errors = missing(lines, *place.why)
    return Partial(result, errors[:ERRORS_MAX], len(errors))


handler = import_note.lambda_handler
