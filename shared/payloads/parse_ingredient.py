"""`parse_ingredient`: one line of a recipe's list into amounts, units, ingredients and comments."""

from typing import Annotated, ClassVar, Final, Literal

from pydantic import Field

from shared.payloads.base import DatabaseRef, Payload, Strict, shaped
from shared.retry import Policy

LINES_MAX: Final = 1_000
"""Of a note."""

LINE_CHARS_MAX: Final = 10_000

LineText = Annotated[str, shaped(r"^[^\x00]+$", "text without NUL", min_length=1, max_length=LINE_CHARS_MAX)]

NoteId = Annotated[str, shaped(r"^[0-9a-f]{32}$", "a note's id, as import_note's result tells it")]
"""The note's fingerprint, as `import_note` tells it."""


class LinePlace(Strict):
    """The line of a note in a database that `import_note` has filled: `position` among its kind, from 0."""

    database: DatabaseRef
    note_id: NoteId
    position: Annotated[int, Field(ge=0, lt=LINES_MAX)]


class ParseIngredientPayload(Payload):
    """`save`: where; without it the result alone tells what was found."""

    policy: ClassVar[Policy] = Policy(timeout_s=60, inline_result=True)

    type: Literal["parse_ingredient"] = "parse_ingredient"
    text: LineText
    save: LinePlace | None = None
