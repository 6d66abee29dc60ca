"""Rows out of text files: CSV, JSON lines, and the INSERT statements that we write. Nothing of a file is ever executed.

A block's rows are found by one regular expression or one JSON decoder, and converted column by column. Only a block
that does not fit as a whole is looked at row by row.
"""

from collections.abc import Iterator, Sequence

from shared.databases.engine import Form
from shared.databases.formats.blocks import Block, TextFile, decoded, whole_rows
from shared.databases.formats.csv_rows import open_csv
from shared.databases.formats.inserts import open_inserts
from shared.databases.formats.json_lines import open_jsonl

__all__ = ["Block", "TextFile", "open_text"]


def open_text(
    form: Form,
    pieces: Iterator[bytes],
    name: str,
    *,
    known: Sequence[str],
    typed: bool,
    numbers: bool,
    skip_chars: int = 0,
) -> TextFile:
    """`pieces` of the file, uncompressed. `known`: the table's columns, of which JSON lines may name some.

    `typed`: CSV out of SQLite. `numbers`: JSON's as int and float; otherwise as the text they are, exactly.
    `skip_chars`: of its blocks, behind which a row begins; a header is read all the same.
    Raises Permanent("corrupt_artifact") where the file is not of this form at all.
    """
    texts = decoded(pieces, name)
    match form:
        case "csv":
            return open_csv(whole_rows(texts, '"', name), name, skip_chars, typed=typed)
        case "jsonl":
            return open_jsonl(whole_rows(texts, "", name), known, skip_chars, numbers=numbers)
        case "sql":
            return open_inserts(texts, name, skip_chars)
