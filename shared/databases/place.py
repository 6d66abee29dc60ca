"""How far a restore is, as the target itself keeps it between two invocations, and the rows that it left out."""

import tempfile
from collections.abc import Iterator
from functools import partial
from typing import Final, Self

from pydantic import BaseModel, ConfigDict, Field

from shared.databases.compression import READ_BYTES
from shared.payloads.results import RowError

TOLD_MAX: Final = 100
HELD_BYTES_MAX: Final = 1 << 20


class Place(BaseModel):
    """How far a restore is. `sources` and closing `steps` are whole ones; of the next source, `chars` (Parquet: rows)
    and `rows` are behind us. `loaded` rows by table. `errors` as in RowErrors, `error_files` hold all of them.
    """

    model_config = ConfigDict(extra="forbid")

    begun: bool = False
    sources: int = 0
    chars: int = 0
    rows: int = 0
    steps: int = 0
    ended: bool = False
    loaded: dict[str, int] = Field(default_factory=dict)
    errors_count: int = 0
    errors: list[RowError] = Field(default_factory=list)
    error_files: list[str] = Field(default_factory=list)


class RowErrors:
    """`count` of the rows left out so far and the `first` TOLD_MAX of them; until its block ends, on disk, all that
    were `added` here, and not in an earlier run.
    """

    def __init__(self, place: Place | None = None) -> None:
        self.count = place.errors_count if place else 0
        self.first = list(place.errors) if place else []
        self.added = 0
        self._file = tempfile.SpooledTemporaryFile(max_size=HELD_BYTES_MAX)  # noqa: SIM115  closed by `__exit__`

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def add(self, error: RowError) -> None:
        self.count += 1
        self.added += 1
        if len(self.first) < TOLD_MAX:
            self.first.append(error)
        self._file.write(error.model_dump_json(exclude_none=True).encode() + b"\n")

    def chunks(self) -> Iterator[bytes]:
        """All of them, as JSON lines."""
        self._file.seek(0)
        return iter(partial(self._file.read, READ_BYTES), b"")
