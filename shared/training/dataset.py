"""A dataset as rows, read from a file of the worker's own as often as it takes.

The file is hostile: what it may take is bounded in bytes, rows, columns and the length of a line, and whatever is
wrong is told with the line (from 1; in Parquet the row).
"""

import csv
import json
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain
from typing import IO, Final

from arro3.core import RecordBatch

from shared.errors import Permanent
from shared.parquet.read import unpacked
from shared.parquet.unpack import NESTED, WORD

FIELD: Final = "dataset_path"

DATASET_BYTES_MAX: Final = 400 * 1024**2
"""Beside it /tmp has room for nothing else: https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html"""

LINE_BYTES_MAX: Final = 1 << 20
ROWS_MAX: Final = 2_000_000
COLUMNS_MAX: Final = 1_000

FRAME_ROWS: Final = 1_000

Value = str | float | bool | None
Row = dict[str, Value]


@dataclass(frozen=True, slots=True)
class Dataset:
    """`file` is the worker's own copy, `form` csv, jsonl or parquet, `sha256` in hex."""

    file: IO[bytes]
    form: str
    sha256: str

    def rows(self) -> Iterator[Row]:
        """All rows, from the beginning. Raises Permanent("bad_dataset", "too_large") about `dataset_path`."""
        self.file.seek(0)
        for number, row in enumerate(_READERS[self.form](self.file), 1):
            if number > ROWS_MAX:
                raise too_large(f"more than {ROWS_MAX:,} rows")
            if len(row) > COLUMNS_MAX:
                raise too_large(f"row {number} has more than {COLUMNS_MAX:,} columns")
            yield row


def form_of(path: str) -> str:
    """By the name's ending. Raises Permanent("unknown_format")."""
    found = _ENDINGS.get(path.lower().rpartition(".")[2])
    if found is None:
        message = f"the name ends in none of {', '.join(f'.{ending}' for ending in _ENDINGS)}: say which it is"
        raise Permanent("unknown_format", message, field="dataset_format")
    return found


def bad(line: int, what: str) -> Permanent:
    return Permanent("bad_dataset", f"line {line}: {what}", field=FIELD)


def too_large(what: str) -> Permanent:
    return Permanent("too_large", what, field=FIELD)


def _csv_rows(file: IO[bytes]) -> Iterator[Row]:
    since = 0

    def lines() -> Iterator[str]:
        nonlocal since
        for line in _lines(file):
            since += len(line)
            if since > LINE_BYTES_MAX:
                raise too_large(f"line {reader.line_num}: a row of more than {LINE_BYTES_MAX:,} characters")
            yield line

    reader = csv.reader(lines(), strict=True)
    header = None
    try:
        for values in reader:
            since = 0
            if header is None:
                header = _header(values)
            elif values:
                yield _zipped(header, values, reader.line_num)
    except csv.Error as error:
        raise bad(reader.line_num, str(error)) from None


def _header(values: list[str]) -> list[str]:
    if len(set(values)) < len(values):
        raise bad(1, "two columns have the same name")
    return values


def _zipped(header: list[str], values: list[str], line: int) -> Row:
    if len(values) != len(header):
        raise bad(line, f"{len(values)} values, the header has {len(header)}")
    return {name: value or None for name, value in zip(header, values, strict=True)}


def _lines(file: IO[bytes]) -> Iterator[str]:
    encoding = "utf-8-sig"
    for number, line in enumerate(iter(lambda: file.readline(LINE_BYTES_MAX + 1), b""), 1):
        if len(line) > LINE_BYTES_MAX:
            raise too_large(f"line {number} has more than {LINE_BYTES_MAX:,} bytes")
        try:
            yield line.decode(encoding)
        except UnicodeDecodeError:
            raise bad(number, "not UTF-8 (what is compressed is not unpacked)") from None
        encoding = "utf-8"


def _json_rows(file: IO[bytes]) -> Iterator[Row]:
    for number, line in enumerate(_lines(file), 1):
        if line.strip():
            yield _json_row(line, number)


def _json_row(line: str, number: int) -> Row:
    try:
        row = json.loads(line)
        if "\\u" in line:
            json.dumps(row, ensure_ascii=False).encode()
    except (ValueError, RecursionError):  # bad syntax, a number of more than 4,300 digits, half a character; depth
        raise bad(number, "not JSON") from None
    if not isinstance(row, dict) or any(isinstance(value, dict | list) for value in row.values()):
        raise bad(number, "not a JSON object of plain values")
    return row


def _parquet_rows(file: IO[bytes]) -> Iterator[Row]:
    """Rows as JSON would have them."""
    try:
        with unpacked(file, "the file", FIELD, FRAME_ROWS) as (schema, frames):
            fields = [schema.field(place) for place in range(len(schema))]
            nested = [field.name for field in fields if field.metadata_str[WORD] == NESTED]
            if nested:
                raise Permanent("bad_dataset", f"column {nested[0]!r} is not of plain values", field=FIELD)
            names = [field.name for field in fields]
            yield from _plain_rows(names, chain.from_iterable(frames))
    except Permanent as error:
        raise Permanent(_PARQUET_FAULTS.get(error.code, error.code), error.message, field=FIELD) from None


def _plain_rows(names: list[str], batches: Iterator[RecordBatch]) -> Iterator[Row]:
    rows = (row for batch in batches for row in zip(*(column.to_pylist() for column in batch.columns), strict=True))
    for number, values in enumerate(rows, 1):
        row = dict(zip(names, map(_plain, values), strict=True))
        if sum(len(value) for value in row.values() if isinstance(value, str)) > LINE_BYTES_MAX:
            raise too_large(f"row {number} has more than {LINE_BYTES_MAX:,} characters")
        yield row


def _plain(value: object) -> Value:
    if value is None or isinstance(value, str | int | float):
        return value
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


_PARQUET_FAULTS: Final = {"corrupt_artifact": "bad_dataset", "decompression_bomb": "too_large"}
_READERS: Final = {"csv": _csv_rows, "jsonl": _json_rows, "parquet": _parquet_rows}
_ENDINGS: Final = {"csv": "csv", "jsonl": "jsonl", "ndjson": "jsonl", "parquet": "parquet"}
