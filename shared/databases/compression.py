"""Compressed files, written and read as streams. Reading bounds what a small file may blow up to."""

import bz2
import io
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import IO, Final, Literal, cast
from zipfile import ZIP_DEFLATED, ZipFile

import zstandard
from isal import igzip, igzip_lib
from typing_extensions import Buffer

from shared.errors import Permanent

Compression = Literal["none", "gzip", "zstd", "bzip2"]

EXTENSIONS: Final[dict[Compression, str]] = {"none": "", "gzip": ".gz", "zstd": ".zst", "bzip2": ".bz2"}

READ_BYTES: Final = 256 * 1024
BOMB_RATIO: Final = 200
BOMB_BYTES_MIN: Final = 1 << 30
_WINDOW_BYTES_MAX: Final = 1 << 27
_ZSTD_FEED_BYTES: Final = 2048
"""A zstd block of 4 bytes may stand for 128 KiB: https://www.rfc-editor.org/rfc/rfc8878#section-3.1.1.2"""


_gzip_file = cast("Callable[..., IO[bytes]]", igzip.IGzipFile)
_GzipError = cast("type[Exception]", igzip_lib.IsalError)


def _zstd_file(out: IO[bytes]) -> IO[bytes]:
    return cast("IO[bytes]", zstandard.ZstdCompressor(level=1, write_checksum=True).stream_writer(out, closefd=False))


_WRITERS: Final[dict[str, Callable[[IO[bytes]], IO[bytes]]]] = {
    "gzip": lambda out: _gzip_file(fileobj=out, mode="wb", compresslevel=1, mtime=0),
    "zstd": _zstd_file,
}


@contextmanager
def compressing(out: IO[bytes], compression: Literal["none", "gzip", "zstd"]) -> Iterator[IO[bytes]]:
    """A file that writes compressed to `out`, complete when the block ends well. `out` stays open."""
    if compression == "none":
        yield out
        return
    file = _WRITERS[compression](out)
    yield file
    file.close()


@contextmanager
def zipping(out: IO[bytes]) -> Iterator[Callable[[str], IO[bytes]]]:
    """A ZIP archive streamed to `out`. Call what you get to begin a member, and close that to end it."""
    archive = ZipFile(out, "w", compression=ZIP_DEFLATED, compresslevel=1)
    try:
        yield partial(archive.open, mode="w", force_zip64=True)
    except BaseException:
        archive.fp = None  # given up: else it would write its end when it is collected
        raise
    archive.close()


def decompressed(source: IO[bytes], compression: Compression, name: str) -> Iterator[bytes]:
    """What is in a compressed file, in pieces. Raises Permanent("corrupt_artifact") at its first bad or missing byte.

    Permanent("decompression_bomb"): more than BOMB_BYTES_MIN, and more than BOMB_RATIO times its stored size.
    """
    counted = _Counted(source)
    size_bytes = 0
    try:
        for piece in _READERS[compression](cast("IO[bytes]", counted)):
            size_bytes += len(piece)
            if size_bytes > max(BOMB_BYTES_MIN, BOMB_RATIO * counted.size_bytes):
                raise Permanent("decompression_bomb", f"{name} blows up to more than {size_bytes} bytes")
            yield piece
    except (EOFError, OSError, _GzipError, zstandard.ZstdError) as error:
        raise Permanent("corrupt_artifact", f"{name} is truncated or damaged ({compression}): {error}") from None


class _Counted(io.RawIOBase):
    def __init__(self, source: IO[bytes]) -> None:
        self.size_bytes = 0
        self._source = source

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Buffer, /) -> int:
        target = memoryview(buffer).cast("B")
        piece = self._source.read(len(target))
        target[: len(piece)] = piece
        self.size_bytes += len(piece)
        return len(piece)


def _pieces(source: IO[bytes]) -> Iterator[bytes]:
    return iter(partial(source.read, READ_BYTES), b"")


def _gunzipped(source: IO[bytes]) -> Iterator[bytes]:
    return _pieces(_gzip_file(fileobj=source))


def _bunzipped(source: IO[bytes]) -> Iterator[bytes]:
    return _pieces(bz2.BZ2File(source))


def _unzstd(source: IO[bytes]) -> Iterator[bytes]:
    """Frame by frame, in small bites. (zstandard's own reader takes a cut file for a whole.)"""
    decoder = zstandard.ZstdDecompressor(max_window_size=_WINDOW_BYTES_MAX)
    frame, rest = decoder.decompressobj(), b""
    fed = False
    while bite := rest or source.read(_ZSTD_FEED_BYTES):
        fed = True
        if frame.eof:
            frame = decoder.decompressobj()
        if piece := frame.decompress(bite):
            yield piece
        rest = frame.unused_data if frame.eof else b""
    if fed and not frame.eof:
        raise EOFError("the last frame has no end")


_READERS: Final[dict[Compression, Callable[[IO[bytes]], Iterator[bytes]]]] = {
    "none": _pieces,
    "gzip": _gunzipped,
    "zstd": _unzstd,
    "bzip2": _bunzipped,
}
