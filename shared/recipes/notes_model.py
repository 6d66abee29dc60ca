"""A note as data: what import, parsing and the database know of it."""

import json
from dataclasses import dataclass
from typing import Literal

from shared.ids import digest

LineKind = Literal["ingredient", "instruction"]


@dataclass(frozen=True, slots=True)
class NoteLine:
    """`position` among its kind, from 0. `block`: the heading it stands under, such as `For the sauce`."""

    kind: LineKind
    position: int
    block: str
    text: str


@dataclass(frozen=True, slots=True)
class Note:
    """`created` as the note says it. `left_out`: lines that are neither ingredient nor instruction."""

    title: str
    source: str
    created: str
    tags: tuple[str, ...]
    lines: tuple[NoteLine, ...]
    found_by: str
    left_out: int

    @property
    def fingerprint(self) -> str:
        """The same for the same recipe, however it is marked up or tagged."""
        lines = [[line.kind, line.block.casefold(), line.text.casefold()] for line in self.lines]
        return digest(json.dumps([self.title.casefold(), lines]))[:32]
