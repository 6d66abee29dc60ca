"""How a run of a job that writes into a database leaves it: the outcome, or how far it is; kept beside the fence.

place = resumed(fence, TypeAdapter(Outcome | Place), begun=…) or Place()
…                                                      one invocation's work
await database.run(leave, fence, left)                 and with it, in its transaction, `left`
"""

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from typing import Protocol, TypeVar

from pydantic import BaseModel, TypeAdapter

from shared.databases.engine import Writer
from shared.databases.export import stored
from shared.databases.fence import Fence, leave_position
from shared.databases.place import Place, RowErrors
from shared.databases.unload import Upload
from shared.errors import Permanent
from shared.outcomes import Partial
from shared.payloads.base import Encryption
from shared.payloads.results import Artifact, ProcessResult, RowError

T = TypeVar("T")
P = TypeVar("P", bound=Place)


class Files(Protocol):
    """A job's own artefacts."""

    def create(self, name: str, encryption: Encryption | None = None) -> AbstractAsyncContextManager[Upload]: ...
    def read(self, url: str) -> AsyncIterator[bytes]: ...


class Outcome(BaseModel):
    """What is kept beside the rows, for a run that comes after the one that committed."""

    result: ProcessResult
    errors: list[RowError]
    errors_count: int = 0


def resumed(fence: Fence, left: TypeAdapter[T], *, begun: bool) -> T | None:
    """What the last run that committed left, whatever the job knows of it. `begun`: the job knows that one did."""
    if fence.position is not None:
        return left.validate_json(fence.position)
    if begun:
        message = "the table longshore_fence was dropped while the job was under way, and with it how far it was"
        raise Permanent("fence_lost", message, field="database")
    return None


def leave(database: Writer, fence: Fence, left: BaseModel) -> None:
    """Commit. Raises Transient("fenced")."""
    leave_position(database, fence, left.model_dump_json())
    database.commit()


async def paused(files: Files, place: P, errors: RowErrors, encryption: Encryption | None = None) -> P:
    """The place, with the row errors so far."""
    if errors.added:
        file = await error_file(files, [], errors, encryption)
        place.error_files.append(file.url)
    return place.model_copy(update={"errors_count": errors.count, "errors": errors.first})


async def ended(
    result: ProcessResult, files: Files, place: Place, errors: RowErrors, encryption: Encryption | None = None
) -> Outcome:
    """All row errors become a file; the first of them are in the answer."""
    if errors.count:
        result.artifact = await error_file(files, place.error_files, errors, encryption)
        result.data["rows_left_out"] = errors.count
    return Outcome(result=result, errors=errors.first, errors_count=errors.count)


async def error_file(
    files: Files, earlier: list[str], errors: RowErrors, encryption: Encryption | None = None
) -> Artifact:
    """The contents of earlier ones, and the errors of this run."""
    async with files.create("errors.jsonl", encryption) as upload:
        for url in earlier:
            async for chunk in files.read(url):
                await upload.write(chunk)
        for chunk in errors.chunks():
            await upload.write(chunk)
    return stored(upload, errors.count)


def answer(outcome: Outcome) -> ProcessResult | Partial:
    return Partial(outcome.result, outcome.errors, outcome.errors_count) if outcome.errors else outcome.result
