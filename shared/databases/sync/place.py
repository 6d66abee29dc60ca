"""How far a sync is, and the files it leaves on its way."""

from shared.databases.export import stored
from shared.databases.outcome import Files
from shared.databases.place import Place
from shared.payloads.results import Artifact, ProcessResult


class SyncPlace(Place):
    """How far a sync is: behind the key `after` (as `key_json`) nothing is compared yet. A dry run has `told` so many
    `differences`, in that file.
    """

    after: str | None = None
    inserted: int = 0
    updated: int = 0
    deleted: int = 0
    unchanged: int = 0
    told: int = 0
    differences: str | None = None

    @property
    def compared(self) -> int:
        return self.inserted + self.updated + self.deleted + self.unchanged

    def result(self) -> ProcessResult:
        counts = {"inserted": self.inserted, "updated": self.updated, "deleted": self.deleted}
        return ProcessResult(
            data={**counts, "unchanged": self.unchanged}, records_processed=sum(counts.values()), tables_processed=1
        )


async def kept_place(files: Files, checkpoint: str | None) -> SyncPlace:
    """For whom no fence tells."""
    if checkpoint is None:
        return SyncPlace()
    return SyncPlace.model_validate_json(b"".join([chunk async for chunk in files.read(checkpoint)]))


async def keep_place(files: Files, place: SyncPlace) -> str:
    """→ the checkpoint."""
    async with files.create("place.json") as upload:
        await upload.write(place.model_dump_json().encode())
    return upload.url


async def keep_differences(files: Files, place: SyncPlace, lines: bytearray) -> Artifact:
    """Those of earlier invocations, and of this one."""
    async with files.create("differences.jsonl") as upload:
        if place.differences:
            async for chunk in files.read(place.differences):
                await upload.write(chunk)
        await upload.write(bytes(lines))
    place.differences = upload.url
    return stored(upload, place.told)
