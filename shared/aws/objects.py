"""The bucket on S3. Bodies stream: an upload keeps a few parts in memory, a download one.

Nothing is at a key before its upload is complete, and an upload that fails is aborted, since S3 bills for its parts.
A download is a series of ranged requests, each whole or repeated, all of the same version (If-Match):
https://docs.aws.amazon.com/AmazonS3/latest/userguide/optimizing-performance-guidelines.html
"""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Mapping
from contextlib import suppress
from typing import Any, Final

from shared.aws.clients import Clients
from shared.aws.faults import AwsRefusal, seam
from shared.errors import NotFound, Permanent, WorldFault
from shared.limits import PART_BYTES, PARTS_MAX, PRESIGN_S_MAX, UPLOAD_BYTES_MAX, check_number
from shared.names import Names
from shared.payloads.base import Encryption
from shared.ports import Dice, Upload

PARTS_IN_FLIGHT: Final = 4

CHECKSUM: Final = {"ChecksumAlgorithm": "CRC32"}
"""botocore's own of every part. S3 takes it only if the upload said so at first, and wants it again at the end:
https://docs.aws.amazon.com/AmazonS3/latest/userguide/checking-object-integrity-upload.html"""

PART_PROOFS: Final = ("ETag", "ChecksumCRC32")

READ_TRIES: Final = 4
"""botocore repeats a request; a connection lost in the middle of a body is ours to repeat."""


class AwsObjects:
    def __init__(self, clients: Clients, names: Names, dice: Dice) -> None:
        self.bucket = names.bucket
        self._clients = clients
        self._dice = dice

    async def put(self, key: str, body: bytes, *, content_type: str = "application/json") -> None:
        await self._clients.call("s3", "put_object", Bucket=self.bucket, Key=key, Body=body, ContentType=content_type)

    async def get(self, key: str) -> bytes | None:
        found = await self._read(key)
        return None if found is None else found[0]

    async def stream(self, key: str) -> AsyncIterator[bytes]:
        offset, size, pinned = 0, 1, dict[str, str]()
        while offset < size:
            found = await self._read(key, Range=f"bytes={offset}-{offset + PART_BYTES - 1}", **pinned)
            if found is None:
                raise NotFound("no_such_object", "there is no such object", field=key)
            chunk, answer = found
            size, pinned = _whole_size_bytes(answer), {"IfMatch": answer["ETag"]}
            offset += len(chunk)
            yield chunk

    async def upload(self, key: str, *, encryption: Encryption | None = None) -> Upload:
        return _AwsUpload(self._clients, {"Bucket": self.bucket, "Key": key}, _encrypted(encryption))

    async def presign(self, key: str, *, seconds: int) -> str:
        return await self._presigned("get_object", seconds, Key=key)

    async def presign_upload(self, key: str, *, size_bytes: int, seconds: int) -> str:
        """The size is signed: S3 takes no other. https://docs.aws.amazon.com/AmazonS3/latest/userguide/PresignedUrlUploadObject.html"""
        check_number("size_bytes", size_bytes, 1, UPLOAD_BYTES_MAX)
        return await self._presigned("put_object", seconds, Key=key, ContentLength=size_bytes)

    async def _presigned(self, method: str, seconds: int, **params: object) -> str:
        check_number("seconds", seconds, 1, PRESIGN_S_MAX)
        params["Bucket"] = self.bucket
        return str(
            await self._clients.call(
                "s3", "generate_presigned_url", ClientMethod=method, Params=params, ExpiresIn=seconds
            )
        )

    async def _read(self, key: str, **wanted: str) -> tuple[bytes, Mapping[str, Any]] | None:
        """The body and the answer's fields; None if nothing is there."""
        for attempt in range(READ_TRIES):
            try:
                answer = await self._clients.call("s3", "get_object", Bucket=self.bucket, Key=key, **wanted)
            except AwsRefusal as refusal:
                return _nothing(refusal)
            try:
                with seam("s3 get_object"):
                    async with answer["Body"] as body:
                        return await body.read(), answer
            except WorldFault as fault:
                lost = fault
            await asyncio.sleep(self._dice() * 0.1 * 2**attempt)
        raise lost


def _nothing(refusal: AwsRefusal) -> tuple[bytes, Mapping[str, Any]] | None:
    """No object, or an empty one, of which no range can be asked."""
    match refusal.code:
        case "NoSuchKey":
            return None
        case "InvalidRange":
            return b"", {"ContentLength": 0, "ETag": ""}
    raise refusal


def _whole_size_bytes(answer: Mapping[str, Any]) -> int:
    """Of the object that a range is of: `bytes 0-9/1234`, RFC 9110 §14.4."""
    ranged = answer.get("ContentRange")
    return int(ranged.rpartition("/")[2]) if ranged else answer["ContentLength"]


def _encrypted(encryption: Encryption | None) -> dict[str, str]:
    if encryption is None or not encryption.enabled:
        return {}
    key = {"SSEKMSKeyId": encryption.key_id} if encryption.key_id else {}
    return {"ServerSideEncryption": encryption.algorithm} | key


class _AwsUpload:
    """A single put if it all fits into one part."""

    def __init__(self, clients: Clients, where: dict[str, str], encrypted: dict[str, str]) -> None:
        self.size_bytes = 0
        self.sha256 = ""
        self._hash = hashlib.sha256()
        self._buffer = bytearray()
        self._clients = clients
        self._where = where
        self._encrypted = encrypted
        self._parts: list[asyncio.Task[dict[str, Any]]] = []
        self._in_flight: set[asyncio.Task[dict[str, Any]]] = set()
        self._slots = asyncio.Semaphore(PARTS_IN_FLIGHT)

    async def write(self, chunk: bytes) -> None:
        """Waits while as many parts as are allowed are in flight. Raises what went wrong with an earlier part."""
        self._hash.update(chunk)
        self.size_bytes += len(chunk)
        self._buffer += chunk
        while len(self._buffer) >= PART_BYTES:
            with memoryview(self._buffer) as buffer:
                part = bytes(buffer[:PART_BYTES])
            del self._buffer[:PART_BYTES]
            await self._begin(part)

    async def complete(self) -> None:
        try:
            if self._parts:
                await self._complete_parts()
            else:
                await self._call("put_object", Body=bytes(self._buffer), **self._encrypted)
        except BaseException:
            await self.abort()
            raise
        self.sha256 = self._hash.hexdigest()

    async def abort(self) -> None:
        """What cannot be aborted now, the bucket's lifecycle rule removes after a day."""
        for part in self._parts:
            part.cancel()
        await asyncio.gather(*self._parts, return_exceptions=True)
        self._buffer.clear()
        if "UploadId" in self._where:
            with suppress(WorldFault):
                await self._call("abort_multipart_upload")
            del self._where["UploadId"]

    async def _complete_parts(self) -> None:
        if self._buffer:
            await self._begin(bytes(self._buffer))
        parts = await asyncio.gather(*self._parts)
        await self._call("complete_multipart_upload", MultipartUpload={"Parts": parts})

    async def _begin(self, body: bytes) -> None:
        if not self._parts:
            answer = await self._call("create_multipart_upload", **CHECKSUM, **self._encrypted)
            self._where["UploadId"] = answer["UploadId"]
        if len(self._parts) == PARTS_MAX:
            raise Permanent("too_large", f"an object has at most {PARTS_MAX:,} parts of {PART_BYTES:,} bytes")
        await self._slots.acquire()
        landed = {part for part in self._in_flight if part.done()}
        self._in_flight -= landed
        await asyncio.gather(*landed)
        part = asyncio.create_task(self._send(len(self._parts) + 1, body))
        self._in_flight.add(part)
        self._parts.append(part)

    async def _send(self, number: int, body: bytes) -> dict[str, Any]:
        """→ what the completion must say of this part."""
        try:
            answer = await self._call("upload_part", PartNumber=number, Body=body, **CHECKSUM)
        finally:
            self._slots.release()
        return {"PartNumber": number} | {name: answer[name] for name in PART_PROOFS if name in answer}

    async def _call(self, operation: str, **arguments: Any) -> Any:
        return await self._clients.call("s3", operation, **self._where, **arguments)
