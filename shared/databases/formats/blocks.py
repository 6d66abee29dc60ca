"""Text files by the block: pieces of about what was read at once, each ending where a row ends."""

import codecs
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from shared.databases.engine import Row
from shared.errors import Permanent

RECORD_CHARS_MAX: Final = 256 << 20
"""A longer row is not read; so none is written."""

Block = list[Row | str]
"""Rows; a text instead of a row says why it could not be read."""


@dataclass(frozen=True, slots=True)
class TextFile:
    """`columns` as the file names them. Take either the `rows`, or the `blocks` of text that they are read from.

    With each block comes how many characters of the file it takes up.
    """

    columns: list[str]
    blocks: Iterator[tuple[int, str]]
    rows: Iterator[tuple[int, Block]]


def decoded(pieces: Iterator[bytes], name: str) -> Iterator[str]:
    decoder = codecs.getincrementaldecoder("utf-8-sig")()
    try:
        for piece in pieces:
            yield decoder.decode(piece)
        yield decoder.decode(b"", final=True)
    except UnicodeDecodeError:
        raise corrupt(name, "it is not UTF-8") from None


def whole_rows(texts: Iterator[str], quote: str, name: str) -> Iterator[str]:
    """Texts cut after the last newline outside quotes; the last block gets one if it has none."""
    held = ""
    for text in texts:
        held += text
        end = _last_break(held, quote) + 1
        if end:
            yield held[:end]
            held = held[end:]
        if len(held) > RECORD_CHARS_MAX:
            raise corrupt(name, "a quote never ends, or a row is too long")
    if held:
        yield held + "\n"


def skipped(texts: Iterator[str], chars: int) -> Iterator[str]:
    """Without so many characters at the beginning."""
    for text in texts:
        if chars < len(text):
            yield text[chars:]
        chars = max(0, chars - len(text))


def _last_break(text: str, quote: str) -> int:
    """Where the last newline is that has an even number of quotes before it; -1 if there is none."""
    end = text.rfind("\n")
    while quote and end >= 0 and text.count(quote, 0, end) % 2:
        end = text.rfind("\n", 0, text.rfind(quote, 0, end))
    return end


def corrupt(name: str, why: str) -> Permanent:
    return Permanent("corrupt_artifact", f"{name}: {why}")
