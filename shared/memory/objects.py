"""The bucket in memory."""

import hashlib
from collections.abc import AsyncIterator

from shared.errors import NotFound
from shared.limits import PART_BYTES, PRESIGN_S_MAX, UPLOAD_BYTES_MAX, check_number
from shared.memory.clock import turn
from shared.payloads.base import Encryption
from shared.ports import Upload


class MemoryObjects:
    """`bodies` by key, and `encryptions` of the uploads that asked for one, are there to be looked at."""

    def __init__(self, bucket: str = "memory") -> None:
        self.bucket = bucket
        self.bodies: dict[str, bytes] = {}
        self.encryptions: dict[str, Encryption] = {}

    async def put(self, key: str, body: bytes, *, content_type: str = "application/json") -> None:  # noqa: ARG002  nobody asks for it here
        await turn()
        self.bodies[key] = body

    async def get(self, key: str) -> bytes | None:
        await turn()
        return self.bodies.get(key)

    async def stream(self, key: str) -> AsyncIterator[bytes]:
        await turn()
        body = self.bodies.get(key)
        if body is None:
            raise NotFound("no_such_object", "there is no such object", field=key)
        for offset in range(0, len(body), PART_BYTES):
            yield body[offset : offset + PART_BYTES]

    async def upload(self, key: str, *, encryption: Encryption | None = None) -> Upload:
        await turn()
        return _MemoryUpload(self, key, encryption)

    async def presign(self, key: str, *, seconds: int) -> str:
        check_number("seconds", seconds, 1, PRESIGN_S_MAX)
        return f"memory://{self.bucket}/{key}?seconds={seconds}"

    async def presign_upload(self, key: str, *, size_bytes: int, seconds: int) -> str:
        check_number("size_bytes", size_bytes, 1, UPLOAD_BYTES_MAX)
        return f"{await self.presign(key, seconds=seconds)}&size_bytes={size_bytes}"


class _MemoryUpload:
    def __init__(self, objects: MemoryObjects, key: str, encryption: Encryption | None) -> None:
        self.size_bytes = 0
        self.sha256 = ""
        self._objects = objects
        self._key = key
        self._encryption = encryption
        self._chunks: list[bytes] = []

    async def write(self, chunk: bytes) -> None:
        await turn()
        self._chunks.append(chunk)
        self.size_bytes += len(chunk)

    async def complete(self) -> None:
        await turn()
        body = b"".join(self._chunks)
        self.sha256 = hashlib.sha256(body).hexdigest()
        self._objects.bodies[self._key] = body
        if self._encryption is not None and self._encryption.enabled:
            self._objects.encryptions[self._key] = self._encryption

    async def abort(self) -> None:
        await turn()
        self._chunks.clear()
