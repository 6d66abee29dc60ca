"""Fetching what a job left: every file that its result names."""

import hashlib
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from pydantic import JsonValue

from shared.errors import Permanent
from shared.runtime.api.jobs import Link, Result

Stream = Callable[[Link], AsyncIterator[bytes]]

Report = Callable[[str, int, int | None], None]
"""Told of a file's name, how many bytes of it have come, and how many there are."""


@dataclass(frozen=True, slots=True)
class Stored:
    """One stored file; `size_bytes` and `sha256` (hex) where the result tells them."""

    url: str
    size_bytes: int | None = None
    sha256: str | None = None

    def name(self, job_id: str) -> str:
        """Its path below its run's prefix, `s3://BUCKET/artifacts/TENANT/JOB/RUN/`; another job's has a folder."""
        whose, _, *path = PurePosixPath(self.url.removeprefix("s3://")).parts[3:]
        return str(PurePosixPath(*path) if whose == job_id else PurePosixPath(whose, *path))


async def download(result: Result, stream: Stream, directory: Path, report: Report) -> list[Path]:
    """Fetch every file of a result into `directory`, and the result itself; → their paths.

    A file gets its name when it is whole and, where its SHA-256 is known, right. Raises Permanent("corrupt_artifact").
    """
    directory.mkdir(parents=True, exist_ok=True)  # noqa: ASYNC240  # nothing else waits for this loop
    document = directory / "result.json"
    document.write_text(result.model_dump_json(indent=2, exclude_none=True, exclude={"links"}), encoding="utf-8")
    links = {link.url: link for link in result.links}
    files = {file.url: file for file in stored_in(result.data.result, links)}
    mine = result.data.job_id
    return [document, *[await _fetch(file, mine, stream(links[url]), directory, report) for url, file in files.items()]]


def stored_in(value: JsonValue, links: Mapping[str, object]) -> Iterator[Stored]:
    """Every object with a `url` that is one of the links', wherever it is inside of a document."""
    match value:
        case {"url": str(url), **facts} if url in links:
            size_bytes, sha256 = facts.get("size_bytes"), facts.get("sha256")
            yield Stored(
                url=url,
                size_bytes=size_bytes if isinstance(size_bytes, int) else None,
                sha256=sha256 if isinstance(sha256, str) else None,
            )
        case dict():
            for member in value.values():
                yield from stored_in(member, links)
        case list():
            for item in value:
                yield from stored_in(item, links)


async def _fetch(file: Stored, job_id: str, chunks: AsyncIterator[bytes], directory: Path, report: Report) -> Path:
    name = file.name(job_id)
    path = directory / name
    if ".." in path.parts:
        raise Permanent("corrupt_artifact", "the name leads out of the directory", field=file.url)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial, seen, arrived_bytes = path.with_name(path.name + ".part"), hashlib.sha256(), 0
    with partial.open("wb") as sink:
        async for chunk in chunks:
            sink.write(chunk)
            seen.update(chunk)
            arrived_bytes += len(chunk)
            report(name, arrived_bytes, file.size_bytes)
    if file.sha256 not in (None, seen.hexdigest()):
        partial.unlink()
        raise Permanent("corrupt_artifact", f"SHA-256 is {seen.hexdigest()}, not {file.sha256}", field=name)
    return partial.rename(path)
