"""A Parquet file on stdin as frames on stdout: a program of its own, since a page of it says nothing of its size.

A few kilobytes may unpack to more than any machine has, and some codecs don't stop where the page's header ends. So it
is unpacked where it ends nobody else, in so many bytes of memory. It exits with 0, DAMAGED or TOO_LARGE; or is ended by
what it took.

A frame is its length (8 bytes, big-endian) and an Arrow IPC stream, https://arrow.apache.org/docs/format/IPC.html; the
first has no rows. What is in it is flat: in Python's values it takes little more than its bytes. So what refers to the
same bytes again and again (dictionaries, views) is written out; lists, maps and structures are JSON, and marked so.
"""

import io
import json
import resource
import signal
import sys
from collections.abc import Iterator
from typing import Final, cast

from arro3.core import Array, DataType, Field, RecordBatch, RecordBatchReader, Schema
from arro3.io import read_parquet, write_ipc_stream

FRAME_BYTES: Final = 4 << 20
BATCH_BYTES_MAX: Final = 128 << 20
CELLS_MAX: Final = 500_000
"""In one frame: a column of bits is 60 times as large in Python."""

SECONDS_MAX: Final = 60
"""For one batch: Rust may hang where it has no memory left to complain."""

DAMAGED: Final = 3
TOO_LARGE: Final = 4

WORD: Final = "longshore"
"""In a field's metadata: what `shared/databases/parquet.py` wrote there, or NESTED."""

NESTED: Final = "nested"


def main(memory_bytes_max: int, batch_rows: int, frame_rows: int, skip_rows: int) -> None:
    """`batch_rows` are unpacked at a time, and frames have up to `frame_rows`, of the rows after `skip_rows`."""
    if sys.platform == "linux":
        resource.setrlimit(resource.RLIMIT_AS, (memory_bytes_max, memory_bytes_max))
    try:
        _unpack(batch_rows, frame_rows, skip_rows)
    except MemoryError:
        sys.exit(TOO_LARGE)
    except SystemExit:
        raise
    except BaseException:  # noqa: BLE001  what Rust makes of a bad file is no Exception in Python
        sys.exit(DAMAGED)


def _unpack(batch_rows: int, frame_rows: int, skip_rows: int) -> None:
    signal.alarm(SECONDS_MAX)
    schema = read_parquet(sys.stdin.buffer, batch_size=1).schema
    fields = [_flat_field(schema.field(place)) for place in range(len(schema))]
    flat_schema = Schema(fields)
    _send(flat_schema, [])
    frame_rows = max(1, min(frame_rows, CELLS_MAX // max(1, len(fields))))
    reader = read_parquet(sys.stdin.buffer, batch_size=min(batch_rows, frame_rows))
    frame: list[RecordBatch] = []
    for batch in _after(reader, skip_rows):
        flat = RecordBatch.from_arrays([_flat(column) for column in batch.columns], schema=flat_schema)
        if flat.nbytes > BATCH_BYTES_MAX:
            sys.exit(TOO_LARGE)
        rows, size_bytes = sum(one.num_rows for one in frame), sum(one.nbytes for one in [*frame, flat])
        if frame and (rows + flat.num_rows > frame_rows or size_bytes > FRAME_BYTES):
            _send(flat_schema, frame)
            frame = []
        frame.append(flat)
    if frame:
        _send(flat_schema, frame)


def _after(reader: RecordBatchReader, skip_rows: int) -> Iterator[RecordBatch]:
    for batch in reader:
        signal.alarm(SECONDS_MAX)
        if skip_rows < batch.num_rows:
            yield batch.slice(skip_rows)
        skip_rows = max(0, skip_rows - batch.num_rows)


def _send(schema: Schema, frame: list[RecordBatch]) -> None:
    """Whoever reads it takes the time he takes."""
    out = io.BytesIO()
    write_ipc_stream(RecordBatchReader.from_batches(schema, frame), out, compression=None)
    signal.alarm(0)
    sys.stdout.buffer.write(len(out.getbuffer()).to_bytes(8, "big"))
    sys.stdout.buffer.write(out.getbuffer())
    sys.stdout.buffer.flush()
    signal.alarm(SECONDS_MAX)


def _flat_field(field: Field) -> Field:
    word = NESTED if _is_nested(field.type) else field.metadata_str.get(WORD, "")
    return Field(field.name, _flat_type(field.type), nullable=True, metadata={WORD: word})


def _is_nested(kind: DataType) -> bool:
    return kind.num_fields > 0 and not _is("dictionary", kind)


def _flat_type(kind: DataType) -> DataType:
    if _is("dictionary", kind):
        return _flat_type(cast("DataType", kind.value_type))
    if _is("binary_view", kind):
        return DataType.binary()
    return DataType.utf8() if _is("string_view", kind) or _is_nested(kind) else kind


def _is(name: str, kind: DataType) -> bool:
    """arro3's own `bool` hides Python's from its types."""
    return bool(getattr(DataType, f"is_{name}")(kind))


def _flat(column: Array) -> Array:
    if _is_nested(column.type):
        values = column.to_pylist()
        texts = [None if it is None else json.dumps(it, default=_text, ensure_ascii=False) for it in values]
        return Array(texts, DataType.utf8())
    flat = _flat_type(column.type)
    return column if flat == column.type else column.cast(flat)


def _text(value: object) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
