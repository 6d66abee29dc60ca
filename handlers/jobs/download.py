"""`download`: one file from elsewhere, or from among the tenant's own, into an artefact that the next job can read."""

from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from fnmatch import fnmatchcase

from shared.errors import Permanent
from shared.net import transfer
from shared.payloads.download import DownloadPayload, file_name
from shared.payloads.results import Artifact, ProcessResult
from shared.runtime.context import Context
from shared.runtime.definition import job


@job(DownloadPayload)
async def download(payload: DownloadPayload, context: Context) -> ProcessResult:
    """Byte by byte as it is there; nothing of what is more, or something else, than was asked for."""
    name = payload.name or file_name(payload.url)
    announced = _Announced(payload)
    async with (
        aclosing(_chunks(payload, context, announced)) as chunks,
        context.artifacts.create(name) as upload,
    ):
        async for chunk in chunks:
            _check_size(upload.size_bytes + len(chunk), payload)
            await upload.write(chunk)
            context.progress(upload.size_bytes, announced.size_bytes, message="bytes")
    return ProcessResult(
        data={"name": name, "media_type": announced.media_type},
        artifact=Artifact(url=upload.url, size_bytes=upload.size_bytes, sha256=upload.sha256),
    )


class _Announced:
    """What the server says of the file before it sends it; None where it doesn't, or where there is no server."""

    def __init__(self, payload: DownloadPayload) -> None:
        self.size_bytes: int | None = None
        self.media_type: str | None = None
        self._payload = payload

    def accept(self, headers: Mapping[str, str]) -> None:
        encoding = headers.get("Content-Encoding", "identity")
        if encoding.lower() != "identity":
            raise Permanent("encoded", f"the server sends it packed ({encoding!r}), unasked", field="url")
        self.media_type = headers.get("Content-Type", "").partition(";")[0].strip().lower() or None
        wanted = self._payload.media_types
        if wanted and not any(fnmatchcase(self.media_type or "", kind) for kind in wanted):
            said = self.media_type or "nothing of its type"
            raise Permanent(
                "unexpected_type", f"{' or '.join(wanted)} was expected, the server says {said}", field="url"
            )
        length = headers.get("Content-Length", "")
        self.size_bytes = int(length) if length.isdecimal() else None
        _check_size(self.size_bytes or 0, self._payload)


async def _chunks(payload: DownloadPayload, context: Context, announced: _Announced) -> AsyncGenerator[bytes, None]:
    if payload.url.startswith("s3://"):
        async for chunk in context.artifacts.read(payload.url):
            yield chunk
        return
    async with aclosing(transfer.download(payload.url, field="url", accept=announced.accept)) as body:
        async for chunk in body:
            yield chunk


def _check_size(size_bytes: int, payload: DownloadPayload) -> None:
    if size_bytes > payload.size_bytes_max:
        raise Permanent("too_large", f"more than {payload.size_bytes_max:,} bytes (size_bytes_max)", field="url")


handler = download.lambda_handler
