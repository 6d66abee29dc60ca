"""Parquet by arro3 (Rust). It compresses inside, with zstd.

A column's type is a word: bool, int16, int32, int64, float32, float64, text, bytes; date, timestamp, timestamptz and
decimal(P,S), which come as texts and are cast; and json, a text that holds each value as JSON (SQLite columns of mixed
storage classes). The word is kept in the file, so that reading it back needs nothing else.
"""

import io
import json
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from typing import IO, Final, cast

from arro3.core import Array, DataType, Field, RecordBatch, RecordBatchReader, Schema
from arro3.io import write_parquet
from typing_extensions import Buffer

from shared.databases.engine import Row, Value
from shared.errors import Permanent
from shared.parquet.read import unpacked
from shared.parquet.unpack import WORD

BATCH_BYTES: Final = 4 << 20
BATCH_ROWS: Final = 10_000
FIRST_ROWS: Final = 256
GROUP_BYTES: Final = 32 << 20
GROUP_ROWS: Final = 128 * 1024

_PLAIN: Final[dict[str, DataType]] = {
    "bool": DataType.bool(),
    "int16": DataType.int16(),
    "int32": DataType.int32(),
    "int64": DataType.int64(),
    "float32": DataType.float32(),
    "float64": DataType.float64(),
    "text": DataType.utf8(),
    "bytes": DataType.binary(),
    "json": DataType.utf8(),
}
_CAST: Final[dict[str, DataType]] = {
    "date": DataType.date32(),
    "timestamp": DataType.timestamp("us"),
    "timestamptz": DataType.timestamp("us", tz="UTC"),
}


def write_rows(out: IO[bytes], names: Sequence[str], types: Sequence[str], rows: Iterator[Row]) -> int:
    """All rows as one Parquet file, → how many. It holds one row group of about GROUP_BYTES, judged by the first rows.

    Raises Permanent("bad_value") for a value that the column's type has no room for (an infinite date, say).
    """
    source = _Source(names, types, rows)
    first = source.batch(FIRST_ROWS)
    row_bytes = max(1, first.nbytes // max(1, first.num_rows))
    sink = _Sink(out)

    def batches() -> Iterator[RecordBatch]:
        batch = first
        while batch.num_rows and not sink.failure:
            yield batch
            batch = source.batch(min(BATCH_ROWS, max(1, BATCH_BYTES * batch.num_rows // max(1, batch.nbytes))))

    write_parquet(
        RecordBatchReader.from_batches(source.schema, batches()),
        cast("IO[bytes]", sink),
        compression="zstd(1)",
        max_row_group_size=max(1, min(GROUP_ROWS, GROUP_BYTES // row_bytes)),
    )
    if failure := source.failure or sink.failure:
        raise failure
    return source.rows_read


@contextmanager
def rows_of(
    file: IO[bytes], name: str, field: str, batch_rows: int, skip_rows: int = 0
) -> Iterator[tuple[list[str], Iterator[list[Row]]]]:
    """The columns' names, and in batches the rows after the first `skip_rows`.

    `file` is the worker's own. Here or from the iterator it raises Permanent("corrupt_artifact", "decompression_bomb")
    of `name`, about `field`.
    """
    with unpacked(file, name, field, batch_rows, skip_rows) as (schema, frames):
        fields = [schema.field(place) for place in range(len(schema))]
        words = [column.metadata_str[WORD] for column in fields]
        yield [column.name for column in fields], (_rows(frame, words, name, field) for frame in frames)


class _Source:
    """Batches out of rows. arro3 wraps what a generator raises into a bare Exception: `failure` keeps it as it was."""

    def __init__(self, names: Sequence[str], types: Sequence[str], rows: Iterator[Row]) -> None:
        self.rows_read = 0
        self.failure: Exception | None = None
        self._names, self._types, self._rows = names, types, rows
        fields = [_field(name, kind) for name, kind in zip(names, types, strict=True)]
        self.schema = Schema(fields)

    def batch(self, rows_max: int) -> RecordBatch:
        """An empty one at the end, or after a failure."""
        try:
            rows = list(islice(self._rows, rows_max))
            columns = zip(*rows, strict=True) if rows else ([] for _ in self._types)
            arrays = list(map(_array, columns, self._names, self._types))
        except Exception as error:  # noqa: BLE001  kept, and raised by `write_rows`
            self.failure = error
            rows, arrays = [], [_array([], "", kind) for kind in self._types]
        self.rows_read += len(rows)
        return RecordBatch.from_arrays(arrays, schema=self.schema)


class _Sink(io.RawIOBase):
    """arro3 panics if a write fails: keep the failure, and end the rows instead."""

    def __init__(self, out: IO[bytes]) -> None:
        self.failure: Exception | None = None
        self._out = out

    def writable(self) -> bool:
        return True

    def write(self, data: Buffer, /) -> int:
        try:
            if not self.failure:
                self._out.write(data)
        except Exception as error:  # noqa: BLE001  kept, and raised by `write_rows`
            self.failure = error
        return memoryview(data).nbytes


def _field(name: str, kind: str) -> Field:
    return Field(name, _arrow(kind), nullable=True, metadata={WORD: kind})


def _arrow(kind: str) -> DataType:
    digits = re.fullmatch(r"decimal\((\d+),(\d+)\)", kind)
    if digits:
        return DataType.decimal128(int(digits[1]), int(digits[2]))
    return _PLAIN.get(kind) or _CAST[kind]


def _array(values: Sequence[Value], name: str, kind: str) -> Array:
    if kind in _PLAIN:
        return Array([_json(value) for value in values] if kind == "json" else values, _PLAIN[kind])
    texts = Array(values, DataType.utf8())
    cast_ = texts.cast(_arrow(kind))
    if cast_.null_count != texts.null_count:
        raise Permanent("bad_value", f"Parquet's {kind} has no room for a value: take csv or jsonl", field=name)
    return cast_


def _json(value: Value) -> str | None:
    if value is None:
        return None
    return json.dumps({"$hex": value.hex()} if isinstance(value, bytes) else value, ensure_ascii=False)


def _rows(frame: list[RecordBatch], words: list[str], name: str, field: str) -> list[Row]:
    rows: list[Row] = []
    try:
        for batch in frame:
            columns = [cast("list[Value]", column.to_pylist()) for column in batch.columns]  # typed as one of numpy's
            rows += zip(*map(_read_column, columns, words), strict=True)
    except (ValueError, RecursionError):
        raise Permanent("corrupt_artifact", f"{name} has a value that is none of its column's", field=field) from None
    return rows


def _read_column(values: list[Value], word: str) -> list[Value]:
    if word != "json":
        return values
    return [None if value is None else _scalar(str(value)) for value in values]


def _scalar(text: str) -> Value:
    """As `_json` wrote it: no lists, which take more room than their text."""
    if text.startswith("{"):
        return bytes.fromhex(text.removeprefix('{"$hex": "').removesuffix('"}'))
    if text.startswith("["):
        raise ValueError
    return cast("Value", json.loads(text))
