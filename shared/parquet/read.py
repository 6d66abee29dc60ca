"""A Parquet file's rows, in batches, from a process of its own (`unpack`), which is ended with whoever reads them.

So a file can neither take the worker's memory nor end it. What a batch takes is only known when it is unpacked: where
it is too much, another process goes on from there with fewer rows at a time.
"""

import io
import os
import signal
import subprocess
import sys
from collections.abc import Generator, Iterator
from contextlib import closing, contextmanager
from typing import IO, Final, cast

from arro3.core import RecordBatch, Schema
from arro3.io import read_ipc_stream

from shared.errors import Permanent
from shared.parquet import unpack

MEMORY_BYTES_MAX: Final = 1 << 30
BATCH_ROWS: Final = (2048, 32, 1)

_LENGTH_BYTES: Final = 8
_NOT_BEGUN: Final = 1
"""How Python ends a program that it cannot import: no fault of the file's."""

_TOLD: Final = frozenset({"LD_LIBRARY_PATH", "PATH", "PYTHONHOME"})
"""What Python needs of the worker's environment; no secret is among it."""

Frame = tuple[Schema, list[RecordBatch]]


@contextmanager
def unpacked(
    file: IO[bytes], name: str, field: str, frame_rows: int, skip_rows: int = 0
) -> Iterator[tuple[Schema, Iterator[list[RecordBatch]]]]:
    """The schema, flat as `unpack` makes it; and the rows after the first `skip_rows`, up to `frame_rows` at a time.

    `file` has a descriptor; where it stands does not matter. Here or from the iterator it raises
    Permanent("corrupt_artifact", "decompression_bomb") of `name`, about `field`.
    """
    file.flush()
    with closing(_frames(file, name, field, frame_rows, skip_rows)) as frames:
        schema, _ = next(frames)
        yield schema, (batches for _, batches in frames if batches)


def _frames(file: IO[bytes], name: str, field: str, frame_rows: int, skip_rows: int) -> Generator[Frame, None, None]:
    for batch_rows in BATCH_ROWS:
        ended, rows = yield from _of_process(file, batch_rows, frame_rows, skip_rows)
        skip_rows += rows
        if ended == 0:
            return
        if ended == unpack.DAMAGED:
            raise Permanent("corrupt_artifact", f"{name} is damaged inside, or no Parquet", field=field)
        if ended == _NOT_BEGUN:
            raise RuntimeError(f"{unpack.__name__} cannot be run")
        if ended == -signal.SIGALRM:
            break
    message = f"{name} takes more than {MEMORY_BYTES_MAX:,} bytes of memory to unpack"
    raise Permanent("decompression_bomb", message, field=field)


def _of_process(
    file: IO[bytes], batch_rows: int, frame_rows: int, skip_rows: int
) -> Generator[Frame, None, tuple[int, int]]:
    """→ how it ended, and how many rows came."""
    environment = {name: value for name, value in os.environ.items() if name in _TOLD}
    environment |= {"PYTHONPATH": os.pathsep.join(sys.path), "RUST_BACKTRACE": "0"}
    numbers = map(str, (MEMORY_BYTES_MAX, batch_rows, frame_rows, skip_rows))
    command, nowhere = [sys.executable, "-P", "-m", unpack.__name__, *numbers], subprocess.DEVNULL
    rows = 0
    with subprocess.Popen(command, stdin=file, stdout=subprocess.PIPE, stderr=nowhere, env=environment) as child:  # noqa: S603  our own
        try:
            for frame in _received(cast("IO[bytes]", child.stdout)):
                reader = read_ipc_stream(io.BytesIO(frame))
                batches = list(reader)
                rows += sum(batch.num_rows for batch in batches)
                yield reader.schema, batches
            return child.wait(), rows
        finally:
            child.kill()


def _received(pipe: IO[bytes]) -> Iterator[bytes]:
    while len(length := pipe.read(_LENGTH_BYTES)) == _LENGTH_BYTES:
        size_bytes = int.from_bytes(length, "big")
        frame = pipe.read(size_bytes)
        if len(frame) < size_bytes:
            return
        yield frame
