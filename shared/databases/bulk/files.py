"""Rows out of a file, by the batch: each cell a text or None, each row with the line it begins on.

What cannot be read as a row is told with its line, and the next line goes on. The file itself must be whole: what is
cut, no UTF-8 at all, or a bomb, raises.
"""

import csv
import io
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import IO, Final, Literal, cast

from typing_extensions import Buffer

from shared.databases.bulk.columns import Cells
from shared.databases.compression import READ_BYTES, Compression, decompressed
from shared.errors import Permanent
from shared.payloads.bulk_import import BulkImportPayload

BATCH_ROWS: Final = 5_000
BATCH_CHARS: Final = 4 << 20
ROW_CHARS_MAX: Final = 16 << 20
CELL_CHARS_MAX: Final = 1 << 20

NAME: Final = "the file"
_MAGIC: Final[dict[bytes, Compression]] = {b"\x1f\x8b": "gzip", b"\x28\xb5\x2f\xfd": "zstd"}

csv.field_size_limit(CELL_CHARS_MAX)


@dataclass(slots=True)
class Batch:
    """`columns` are those asked for. `lines_end`: so many lines of the file are behind us then."""

    lines: list[int] = field(default_factory=list)
    columns: list[Cells] = field(default_factory=list)
    unreadable: list[tuple[int, str]] = field(default_factory=list)
    lines_end: int = 0


@dataclass(frozen=True, slots=True)
class Batches:
    """`ignored`: columns of the file that nobody asked for."""

    batches: Iterator[Batch]
    ignored: list[str]


def open_file(source: IO[bytes], payload: BulkImportPayload, sources: Sequence[str], lines_done: int) -> Batches:
    """Raises Permanent("empty_file", "missing_column", "corrupt_artifact", "decompression_bomb")."""
    packed = io.BufferedReader(cast("io.RawIOBase", source), READ_BYTES)
    head = packed.peek(4)
    if not head:
        raise Permanent("empty_file", "the file is empty", field="source")
    found = next((packing for magic, packing in _MAGIC.items() if head.startswith(magic)), "none")
    pieces = decompressed(cast("IO[bytes]", packed), payload.compression or cast("Compression", found), NAME)
    plain = io.BufferedReader(_Pieces(pieces), READ_BYTES)
    begins = plain.peek(1)
    if not begins:
        raise Permanent("empty_file", "there is nothing in the packed file", field="source")
    form: Literal["csv", "jsonl"] = payload.format or ("jsonl" if begins.startswith(b"{") else "csv")
    lines = _Lines(io.TextIOWrapper(plain, "utf-8-sig", errors="surrogateescape", newline=""))
    if form == "jsonl":
        return Batches(_json_batches(lines, payload, sources, lines_done), [])
    return _open_csv(lines, payload, sources, lines_done)


class _Pieces(io.RawIOBase):
    """A file of pieces, none of whose lines is too long to be held."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces = pieces
        self._held = memoryview(b"")
        self._line_bytes = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Buffer, /) -> int:
        target = memoryview(buffer).cast("B")
        while not self._held:
            piece = next(self._pieces, None)
            if piece is None:
                return 0
            self._measure(piece)
            self._held = memoryview(piece)
        size = min(len(target), len(self._held))
        target[:size], self._held = self._held[:size], self._held[size:]
        return size

    def _measure(self, piece: bytes) -> None:
        end = max(piece.rfind(b"\n"), piece.rfind(b"\r"))
        self._line_bytes = len(piece) - end - 1 if end >= 0 else self._line_bytes + len(piece)
        if self._line_bytes > ROW_CHARS_MAX:
            raise Permanent("corrupt_artifact", f"a line of more than {ROW_CHARS_MAX:,} bytes", field="source")


class _Lines:
    """The lines of a text, and how many there were: `count`, of so many `chars`."""

    def __init__(self, text: io.TextIOWrapper) -> None:
        self._text = text
        self.count = 0
        self.chars = 0
        self._chars_max = ROW_CHARS_MAX

    def __iter__(self) -> Iterator[str]:
        for line in self._text:
            self.count += 1
            self.chars += len(line)
            if self.chars > self._chars_max:
                raise Permanent("corrupt_artifact", "a quote never ends, or a row is too long", field="source")
            yield line

    def begin_batch(self) -> int:
        """→ how many `chars` end it. What goes far beyond is a single row."""
        self._chars_max = self.chars + BATCH_CHARS + ROW_CHARS_MAX
        return self.chars + BATCH_CHARS

    def skip(self, upto: int) -> None:
        """The next one is number `upto` + 1."""
        for _ in islice(self._text, max(0, upto - self.count)):
            self.count += 1


def _open_csv(lines: _Lines, payload: BulkImportPayload, sources: Sequence[str], lines_done: int) -> Batches:
    reader = csv.reader(iter(lines), delimiter=payload.delimiter, strict=True)
    names = list(sources)
    if payload.header:
        names = _header(reader)
        for name in sources:
            if names.count(name) != 1:
                times = "no" if name not in names else "more than one"
                raise Permanent("missing_column", f"the file's first line has {times} column {name!r}", field="columns")
    lines.skip(lines_done)
    wanted = [names.index(name) for name in sources]
    ignored = [name for name in names if name not in sources]
    return Batches(_csv_batches(lines, reader, payload, len(names), wanted), ignored)


def _header(reader: Iterator[list[str]]) -> list[str]:
    try:
        names = next(reader, [])
    except csv.Error as error:
        raise Permanent("corrupt_artifact", f"the first line is no CSV: {error}", field="source") from None
    if not names:
        raise Permanent("empty_file", "the file does not begin with the names of its columns", field="source")
    return [name.strip() for name in names]


def _csv_batches(
    lines: _Lines, reader: Iterator[list[str]], payload: BulkImportPayload, width: int, wanted: list[int]
) -> Iterator[Batch]:
    nulls = dict.fromkeys(payload.nulls)
    ended = False
    while not ended:
        batch, rows = Batch(), list[list[str]]()
        chars_end = lines.begin_batch()
        while not ended and len(rows) + len(batch.unreadable) < BATCH_ROWS and lines.chars < chars_end:
            line = lines.count + 1
            try:
                row = next(reader, None)
            except csv.Error as error:
                batch.unreadable.append((line, str(error)))
                continue
            if row is None:
                ended = True
            elif len(row) == width:
                rows.append(row)
                batch.lines.append(line)
            elif row:
                batch.unreadable.append((line, f"{len(row)} cells, and there are {width} columns"))
        columns = list(zip(*rows, strict=True)) or [()] * width
        batch.columns = [_with_nulls(columns[place], nulls) for place in wanted]
        batch.lines_end = lines.count
        yield batch


def _with_nulls(cells: Sequence[str], nulls: dict[str, None]) -> Cells:
    return cells if nulls.keys().isdisjoint(cells) else [None if cell in nulls else cell for cell in cells]


def _json_batches(
    lines: _Lines, payload: BulkImportPayload, sources: Sequence[str], lines_done: int
) -> Iterator[Batch]:
    """Numbers as the text they are, exactly; what is nested, and all of a `json` column, as JSON text."""
    lines.skip(lines_done)
    texts = json.JSONDecoder(parse_float=str, parse_int=str, parse_constant=str)
    as_json = {rule.source or name for name, rule in payload.columns.items() if rule.type == "json"}
    file, ended = iter(lines), False
    while not ended:
        batch, objects, kept, began = Batch(), list[dict[str, object]](), list[str](), lines.count
        chars_end = lines.begin_batch()
        for line in islice(file, BATCH_ROWS):
            found = _object(texts, line)
            if isinstance(found, dict):
                objects.append(found)
                kept.append(line)
                batch.lines.append(lines.count)
            elif found is not None:
                batch.unreadable.append((lines.count, found))
            if lines.chars >= chars_end:
                break
        else:
            ended = lines.count - began < BATCH_ROWS
        for name in sources:
            values = [one.get(name) for one in objects]
            batch.columns.append(_nested(name, values, kept) if name in as_json else _plain(name, values, kept))
        batch.lines_end = lines.count
        yield batch


def _object(decoder: json.JSONDecoder, line: str) -> dict[str, object] | str | None:
    """Or why it is none; None for a blank line."""
    text = line.strip()
    if not text:
        return None
    try:
        found, end = decoder.raw_decode(text)
    except (ValueError, RecursionError):
        return "not JSON"
    return found if isinstance(found, dict) and end == len(text) else "not one JSON object"


_WORDS: Final = {True: "true", False: "false"}


def _plain(name: str, values: list[object], lines: list[str]) -> Cells:
    if {dict, list, bool}.isdisjoint(map(type, values)):
        return cast("Cells", values)
    return [
        _WORDS[value]
        if isinstance(value, bool)
        else _nested(name, [value], [line])[0]
        if isinstance(value, dict | list)
        else cast("str | None", value)
        for value, line in zip(values, lines, strict=True)
    ]


def _nested(name: str, values: list[object], lines: list[str]) -> Cells:
    """Read again from their lines, where numbers are numbers."""
    return [
        None if value is None else json.dumps(json.loads(line)[name], ensure_ascii=False)
        for value, line in zip(values, lines, strict=True)
    ]
