"""What a training reads and leaves: files of its tenant, in pieces and within bounds."""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Iterable
from contextlib import AbstractAsyncContextManager
from typing import IO, Protocol

from shared.payloads.results import Artifact
from shared.training.dataset import DATASET_BYTES_MAX, FIELD, Dataset, too_large
from shared.training.model import FILE_BYTES_MAX, not_a_model


class Uploading(Protocol):
    """The address and so on are known once it has ended well."""

    url: str

    @property
    def size_bytes(self) -> int: ...
    @property
    def sha256(self) -> str: ...
    async def write(self, chunk: bytes) -> None: ...


class Files(Protocol):
    """A run's own, and its tenant's: `context.artifacts`."""

    def read(self, url: str, *, field: str) -> AsyncIterator[bytes]: ...
    def create(self, name: str) -> AbstractAsyncContextManager[Uploading]: ...


async def fetch_dataset(files: Files, url: str, form: str, into: IO[bytes]) -> Dataset:
    """Raises Permanent("too_large", "no_such_artifact") about `dataset_path`."""
    fingerprint = hashlib.sha256()
    async for chunk in files.read(url, field=FIELD):
        if into.tell() + len(chunk) > DATASET_BYTES_MAX:
            raise too_large(f"more than {DATASET_BYTES_MAX:,} bytes")
        fingerprint.update(chunk)
        into.write(chunk)
    return Dataset(into, form, fingerprint.hexdigest())


async def read_model_file(files: Files, url: str) -> bytes:
    """A model, or a training's state. Raises Permanent("not_a_model", "no_such_artifact") about `model_id`."""
    data = bytearray()
    async for chunk in files.read(url, field="model_id"):
        data += chunk
        if len(data) > FILE_BYTES_MAX:
            raise not_a_model(f"it has more than {FILE_BYTES_MAX:,} bytes")
    return bytes(data)


async def store(files: Files, name: str, pieces: Iterable[bytes]) -> Artifact:
    async with files.create(name) as upload:
        for piece in pieces:
            await upload.write(piece)
            await asyncio.sleep(0)  # pieces are made on the loop, and large ones take a while
    return Artifact(url=upload.url, size_bytes=upload.size_bytes, sha256=upload.sha256)
