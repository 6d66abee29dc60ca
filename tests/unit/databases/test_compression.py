"""Compressed files: whole, cut, damaged, and made to blow up."""

import bz2
import gzip
import io
import random
from collections.abc import Callable

import pytest
import zstandard

from shared.databases import compression
from shared.databases.compression import Compression, compressing, decompressed
from shared.errors import Permanent

DATA = random.Random(7).randbytes(100_000) + b"row\n" * 200_000
PACK: dict[Compression, Callable[[bytes], bytes]] = {
    "gzip": gzip.compress,
    "zstd": zstandard.compress,
    "bzip2": bz2.compress,
}


def unpacked(body: bytes, packing: Compression) -> bytes:
    return b"".join(decompressed(io.BytesIO(body), packing, "rows"))


@pytest.mark.parametrize("packing", ["none", "gzip", "zstd"])
def test_what_we_write_we_read(packing: Compression) -> None:
    out = io.BytesIO()
    with compressing(out, packing) as file:  # type: ignore[arg-type]  # one of those that are written
        for offset in range(0, len(DATA), 9_999):
            file.write(DATA[offset : offset + 9_999])
    assert not out.closed
    assert unpacked(out.getvalue(), packing) == DATA


@pytest.mark.parametrize("packing", PACK)
def test_several_members_are_one_file(packing: Compression) -> None:
    assert unpacked(PACK[packing](DATA) + PACK[packing](b"more"), packing) == DATA + b"more"


@pytest.mark.parametrize("packing", PACK)
@pytest.mark.parametrize("cut", [1, 4, 9, 1_000])
def test_a_cut_file_is_never_taken_for_a_whole(packing: Compression, cut: int) -> None:
    with pytest.raises(Permanent, match=r"corrupt_artifact.*rows is truncated"):
        unpacked(PACK[packing](DATA)[:-cut], packing)


@pytest.mark.parametrize("packing", PACK)
@pytest.mark.parametrize("body", [b"a,b\n1,2\n", PACK["gzip"](DATA)[:10_000] + bytes(10_000)])
def test_what_is_not_of_its_kind_is_refused(packing: Compression, body: bytes) -> None:
    with pytest.raises(Permanent, match="corrupt_artifact"):
        unpacked(body, packing)


@pytest.mark.parametrize("packing", PACK)
def test_a_small_file_does_not_blow_up(packing: Compression, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compression, "BOMB_BYTES_MIN", 1 << 20)
    with pytest.raises(Permanent, match="decompression_bomb"):
        unpacked(PACK[packing](bytes(64 << 20)), packing)


@pytest.mark.parametrize("packing", PACK)
def test_no_piece_is_much_larger_than_what_was_asked_for(packing: Compression) -> None:
    """Even where 4 bytes of the file stand for 128 KiB."""
    pieces = decompressed(io.BytesIO(PACK[packing](bytes(256 << 20))), packing, "rows")
    assert max(map(len, pieces)) <= 64 << 20


def test_a_zip_is_streamed_to_what_cannot_seek() -> None:
    class Pipe(io.RawIOBase):
        written = bytearray()

        def writable(self) -> bool:
            return True

        def write(self, data: object, /) -> int:
            self.written += bytes(data)  # type: ignore[call-overload]  # any buffer
            return len(bytes(data))  # type: ignore[call-overload]

    from zipfile import ZipFile

    pipe = Pipe()
    with compression.zipping(pipe) as member:  # type: ignore[arg-type]  # it is only written to
        for name in ("a.csv", "b.csv"):
            with member(name) as file:
                file.write(DATA)
    archive = ZipFile(io.BytesIO(bytes(pipe.written)))
    assert (archive.testzip(), archive.read("b.csv")) == (None, DATA)
