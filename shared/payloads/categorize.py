"""`categorize`: the categories and tags of a note whose lines are parsed."""

from typing import ClassVar, Literal

from shared.payloads.base import DatabaseRef, Payload
from shared.payloads.parse_ingredient import NoteId
from shared.retry import Policy


class CategorizePayload(Payload):
    policy: ClassVar[Policy] = Policy(timeout_s=60, inline_result=True)

    type: Literal["categorize"] = "categorize"
    database: DatabaseRef
    note_id: NoteId
