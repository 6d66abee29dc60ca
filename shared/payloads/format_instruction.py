"""`format_instruction`: one step of a recipe, made fit to be read, its times and temperatures found."""

from typing import ClassVar, Literal

from shared.payloads.base import Payload
from shared.payloads.parse_ingredient import LinePlace, LineText
from shared.retry import Policy


class FormatInstructionPayload(Payload):
    """`save`: where; without it the result alone tells what was found."""

    policy: ClassVar[Policy] = Policy(timeout_s=60, inline_result=True)

    type: Literal["format_instruction"] = "format_instruction"
    text: LineText
    save: LinePlace | None = None
