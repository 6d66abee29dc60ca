"""A Parquet file on stdin as JSON lines on stdout: a program of its own, since a page of it says nothing of its size.

A few kilobytes may unpack to more than any machine has, and some codecs don't stop where the page's header ends. So it
is unpacked where it ends nobody else, in so many bytes of memory (the argument). It exits with 0, DAMAGED or TOO_LARGE;
or is ended by what it took.
"""

import json
import resource
import signal
import sys
from typing import Final

from arro3.core import RecordBatchReader
from arro3.io import read_parquet

MEMORY_BYTES_MAX: Final = 1 << 30
BATCH_ROWS: Final = 256
BATCH_BYTES_MAX: Final = 128 << 20
SECONDS_MAX: Final = 150
"""Nobody waits longer for a dataset; Rust may hang where it has no memory left to complain."""

DAMAGED: Final = 3
TOO_LARGE: Final = 4


def main(memory_bytes_max: int) -> None:
    signal.alarm(SECONDS_MAX)
    if sys.platform == "linux":
        resource.setrlimit(resource.RLIMIT_AS, (memory_bytes_max, memory_bytes_max))
    try:
        _convert()
    except MemoryError:
        sys.exit(TOO_LARGE)
    except SystemExit:
        raise
    except BaseException:  # noqa: BLE001  what Rust makes of a bad file is no Exception in Python
        sys.exit(DAMAGED)


def _convert() -> None:
    reader: RecordBatchReader = read_parquet(sys.stdin.buffer, batch_size=BATCH_ROWS)
    names = [reader.schema.field(place).name for place in range(len(reader.schema))]
    for batch in reader:
        if batch.nbytes > BATCH_BYTES_MAX:
            sys.exit(TOO_LARGE)
        columns = [column.to_pylist() for column in batch.columns]
        for values in zip(*columns, strict=True):
            row = json.dumps(dict(zip(names, values, strict=True)), default=_text, ensure_ascii=False)
            sys.stdout.buffer.write(row.encode() + b"\n")
    sys.stdout.buffer.flush()


def _text(value: object) -> str:
    """Of bytes, times, decimals and what else Parquet knows."""
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


if __name__ == "__main__":
    main(int(sys.argv[1]))
