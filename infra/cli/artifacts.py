"""Fetching what a job left: every file that its result names."""

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from pydantic import JsonValue

from shared.errors import Permanent
from shared.payloads.results import Response
from shared.ports import Objects

Report = Callable[[str, int, int | None], None]
"""Told of a file's name, how many bytes of it have come, and how many there are."""


@dataclass(frozen=True, slots=True)
class Stored:
    """One stored file; `size_bytes` and `sha256` (hex) where the result tells them."""

    key: str
    size_bytes: int | None = None
    sha256: str | None = None

    @property
    def name(self) -> str:
        """Its path below the run's own prefix, `artifacts/TENANT/JOB/RUN/`."""
        return str(PurePosixPath(*PurePosixPath(self.key).parts[4:]))


async def download(response: Response, objects: Objects, directory: Path, report: Report) -> list[Path]:
    """Fetch every file of a result into `directory`, and the result itself; → their paths.

    A file gets its name when it is whole and, where its SHA-256 is known, right. Raises Permanent("corrupt_artifact").
    """
    directory.mkdir(parents=True, exist_ok=True)  # noqa: ASYNC240  # nothing else waits for this loop
    document = directory / "result.json"
    document.write_text(response.model_dump_json(indent=2, exclude_none=True), encoding="utf-8")
    files = {file.key: file for file in stored_in(response.data.result, objects.bucket)}
    return [document, *[await _fetch(file, objects, directory, report) for file in files.values()]]


def stored_in(value: JsonValue, bucket: str) -> Iterator[Stored]:
    """Every object with a `url` in this bucket, wherever it is inside of a document."""
    match value:
        case {"url": str(url), **facts} if url.startswith(f"s3://{bucket}/artifacts/"):
            size_bytes, sha256 = facts.get("size_bytes"), facts.get("sha256")
            yield Stored(
                key=url.removeprefix(f"s3://{bucket}/"),
                size_bytes=size_bytes if isinstance(size_bytes, int) else None,
                sha256=sha256 if isinstance(sha256, str) else None,
            )
        case dict():
            for member in value.values():
                yield from stored_in(member, bucket)
        case list():
            for item in value:
                yield from stored_in(item, bucket)


async def _fetch(file: Stored, objects: Objects, directory: Path, report: Report) -> Path:
    path = directory / file.name
    if ".." in path.parts:
        raise Permanent("corrupt_artifact", "the name leads out of the directory", field=file.key)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial, seen, arrived_bytes = path.with_name(path.name + ".part"), hashlib.sha256(), 0
    with partial.open("wb") as sink:
        async for chunk in objects.stream(file.key):
            sink.write(chunk)
            seen.update(chunk)
            arrived_bytes += len(chunk)
            report(file.name, arrived_bytes, file.size_bytes)
    if file.sha256 not in (None, seen.hexdigest()):
        partial.unlink()
        raise Permanent("corrupt_artifact", f"SHA-256 is {seen.hexdigest()}, not {file.sha256}", field=file.name)
    return partial.rename(path)
