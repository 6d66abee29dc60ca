"""`upload`: some of the tenant's files, together in one folder, or each to a presigned PUT URL."""

import hashlib
from functools import partial

from shared.net import transfer
from shared.payloads.download import file_name
from shared.payloads.results import Artifact, ProcessResult
from shared.payloads.upload import UploadPayload
from shared.runtime.context import Context
from shared.runtime.definition import job


@job(UploadPayload)
async def upload(payload: UploadPayload, context: Context) -> ProcessResult:
    """One after the other. What was PUT by an earlier attempt is not PUT again."""
    files: list[Artifact] = []
    for number, name in enumerate(_names(payload)):
        context.progress(number, len(payload.sources), message=name)
        if isinstance(payload.destination, tuple):
            kept = await context.once(f"put-{number}", partial(_put, payload, context, number))
            files.append(Artifact.model_validate(kept))
        else:
            files.append(await _copy(payload, context, number, f"{payload.destination}/{name}"))
    return ProcessResult(
        data={"files": [file.model_dump(mode="json", exclude_none=True) for file in files]},
        records_processed=len(files),
        artifact=None if isinstance(payload.destination, tuple) else files[0],
    )


def _names(payload: UploadPayload) -> list[str]:
    """Their own; a second one of the same name gets its number."""
    names: list[str] = []
    for number, source in enumerate(payload.sources, 1):
        name = file_name(source)
        names.append(f"{number}-{name}" if name in names else name)
    return names


async def _copy(payload: UploadPayload, context: Context, number: int, name: str) -> Artifact:
    async with context.artifacts.create(name) as target:
        async for chunk in context.artifacts.read(payload.sources[number], field=f"sources.{number}"):
            await target.write(chunk)
    return Artifact(url=target.url, size_bytes=target.size_bytes, sha256=target.sha256)


async def _put(payload: UploadPayload, context: Context, number: int, _key: str) -> dict[str, object]:
    """Read twice: a PUT must say beforehand how much it sends. What is kept of the URL is no signature."""
    source, url, size_bytes, sha256 = payload.sources[number], payload.destination[number], 0, hashlib.sha256()
    async for chunk in context.artifacts.read(source, field=f"sources.{number}"):
        size_bytes += len(chunk)
        sha256.update(chunk)
    body = context.artifacts.read(source, field=f"sources.{number}")
    field = f"destination.{number}"
    await transfer.put(url, body, size_bytes, field=field, content_type=payload.content_type)
    return {"url": url.partition("?")[0], "size_bytes": size_bytes, "sha256": sha256.hexdigest()}


handler = upload.lambda_handler
