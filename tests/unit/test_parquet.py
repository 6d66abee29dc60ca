"""Parquet files that somebody else made, read in a process of their own."""

import io
import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import IO

import pytest
from arro3.core import Array, ChunkedArray, DataType, Table, list_array
from arro3.io import write_parquet

from shared.databases.parquet import rows_of, write_rows
from shared.errors import Permanent
from shared.parquet import read, unpack
from shared.parquet.unpack import NESTED, WORD

UTF8 = DataType.utf8()
MIB = 1 << 20


def file_of(**columns: Array | ChunkedArray) -> bytes:
    out = io.BytesIO()
    write_parquet(Table.from_arrays(list(columns.values()), names=list(columns)), out, compression="zstd(1)")
    return out.getvalue()


@contextmanager
def on_disk(body: bytes) -> Iterator[IO[bytes]]:
    with tempfile.TemporaryFile() as file:
        file.write(body)
        yield file


def all_rows(body: bytes, frame_rows: int = 100, skip_rows: int = 0) -> list[tuple[object, ...]]:
    with on_disk(body) as file, rows_of(file, "a.parquet", "files.a", frame_rows, skip_rows) as (_, blocks):
        return [row for block in blocks for row in block]


def bomb(mebibytes: int) -> bytes:
    return file_of(text=Array(["x" * (mebibytes * MIB)], UTF8))


@pytest.mark.parametrize(("memory_mib", "bomb_mib"), [(96, 100), (1024, 150)])
def test_a_bomb_goes_off_where_it_ends_nobody(monkeypatch: pytest.MonkeyPatch, memory_mib: int, bomb_mib: int) -> None:
    """Whether memory is over while it is unpacked, or it is seen that it would be."""
    monkeypatch.setattr(read, "MEMORY_BYTES_MAX", memory_mib * MIB)
    body = bomb(bomb_mib)
    assert len(body) < 100_000
    with pytest.raises(Permanent, match=r"a\.parquet takes more than .* of memory") as caught:
        all_rows(body)
    assert (caught.value.code, caught.value.field) == ("decompression_bomb", "files.a")


def test_one_text_that_many_rows_share_is_a_bomb_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """A dictionary of one: 300 MB of rows in a batch that says it has one."""
    monkeypatch.setattr(read, "BATCH_ROWS", (512,))
    shared = Array(["x" * MIB] * 300, UTF8).cast(DataType.dictionary(DataType.int32(), UTF8))
    with pytest.raises(Permanent, match="decompression_bomb"):
        all_rows(file_of(text=shared), 512)


def test_rows_that_are_large_come_few_at_a_time() -> None:
    body = file_of(n=Array(list(range(200)), DataType.int64()), text=Array(["x" * MIB] * 200, UTF8))
    with on_disk(body) as file, rows_of(file, "a", "b", 512) as (_, blocks):
        numbers = [[row[0] for row in block] for block in blocks]
    assert max(map(len, numbers)) == 32
    assert [number for block in numbers for number in block] == list(range(200))


@pytest.mark.parametrize("skip_rows", [0, 1, 99, 100, 512, 513, 1_999, 2_000, 5_000])
@pytest.mark.parametrize("frame_rows", [1, 100, 5_000])
def test_reading_goes_on_after_any_row(skip_rows: int, frame_rows: int) -> None:
    body = file_of(n=Array(list(range(2_000)), DataType.int64()))
    assert [row[0] for row in all_rows(body, frame_rows, skip_rows)] == list(range(skip_rows, 2_000))


def test_what_is_not_plain_is_json_and_says_so() -> None:
    lists = list_array(Array([0, 1, 2], DataType.int32()), Array(["ä", "b"], UTF8))
    names = Array(["x", "x"], UTF8).cast(DataType.dictionary(DataType.int8(), UTF8))
    body = file_of(lists=lists, names=names, n=Array([1, None], DataType.int16()))
    with on_disk(body) as file, read.unpacked(file, "a", "b", 10) as (schema, frames):
        assert [schema.field(name).metadata_str[WORD] for name in ("lists", "names", "n")] == [NESTED, "", ""]
        assert len(list(frames)) == 1
    assert all_rows(body) == [('["ä"]', "x", 1), ('["b"]', "x", None)]


@pytest.mark.parametrize("text", ["[" * 100_000, "[0]", '{"a": []}', '{"$hex": "0"}', "1" * 5_000, "x"])
def test_a_value_that_is_none_of_its_columns_is_told(text: str) -> None:
    """A file with our own words in it may still be anybody's."""
    out = io.BytesIO()
    write_rows(out, ["n"], ["json"], iter([(b"\x0a",), (7,), (None,)]))
    assert all_rows(out.getvalue()) == [(b"\x0a",), (7,), (None,)]
    forged = io.BytesIO()
    write_rows(forged, ["n"], ["json"], iter([("Y",)]))
    with on_disk(forged.getvalue()) as file, read.unpacked(file, "a", "b", 1) as (schema, _):
        table = Table.from_arrays([Array([text], UTF8)], schema=schema)
    body = io.BytesIO()
    write_parquet(table, body)
    with pytest.raises(Permanent, match="corrupt_artifact"):
        all_rows(body.getvalue())


@pytest.mark.parametrize("body", [b"", b"PAR1", b"PAR1" + bytes(100) + b"PAR1", b"\xff" * 1_000])
def test_what_is_no_parquet_is_told(body: bytes) -> None:
    with pytest.raises(Permanent, match="no Parquet") as caught:
        all_rows(body)
    assert (caught.value.code, caught.value.field) == ("corrupt_artifact", "files.a")


def test_many_columns_come_few_rows_at_a_time() -> None:
    columns = {f"c{number}": Array([True] * 1_000, DataType.bool()) for number in range(1_000)}
    with on_disk(file_of(**columns)) as file, rows_of(file, "a", "b", 1_000) as (_, blocks):
        assert [len(block) for block in blocks] == [500, 500]


def test_a_program_that_does_not_start_is_not_the_files_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unpack, "__name__", "shared.parquet.nowhere")
    with pytest.raises(RuntimeError, match="cannot be run"):
        all_rows(file_of(n=Array([1], DataType.int8())))


def none(_: Iterator[object]) -> None:
    """Nothing is read."""


@pytest.mark.parametrize("read_some", [none, next])
def test_who_wants_no_more_rows_leaves_no_process_behind(read_some: Callable[[Iterator[object]], object]) -> None:
    body = file_of(n=Array(list(range(200_000)), DataType.int64()))
    with on_disk(body) as file, rows_of(file, "a", "b", 10) as (_, blocks):
        read_some(blocks)
    with pytest.raises(ChildProcessError):
        os.waitpid(-1, os.WNOHANG)


def test_an_empty_file_still_has_its_columns() -> None:
    with on_disk(file_of(n=Array([], DataType.int64()))) as file, rows_of(file, "a", "b", 10) as (names, blocks):
        assert (names, list(blocks)) == (["n"], [])
