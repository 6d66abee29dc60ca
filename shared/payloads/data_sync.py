"""`data_sync`: one table made like another, in the same or another database, by writing only what differs."""

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from shared.payloads.base import DatabaseRef, Identifier, Payload, Strict
from shared.retry import Policy


class DataSyncOptions(Strict):
    """`delete` also what the source does not have; `dry_run` writes nothing and tells the first `differences_max`
    differences; more than `errors_max` rows that the target refuses end the job."""

    delete: bool = False
    dry_run: bool = False
    differences_max: Annotated[int, Field(ge=0, le=10_000)] = 1_000
    errors_max: Annotated[int, Field(ge=0, le=10_000)] = 1_000


class DataSyncPayload(Payload):
    """`columns`: the source's names → the target's; without it, all of the source's by the same names. `key` in the
    source's names; without it, the source's primary key."""

    policy: ClassVar[Policy] = Policy(timeout_s=300)

    type: Literal["data_sync"] = "data_sync"
    source: DatabaseRef
    target: DatabaseRef
    table: Identifier
    target_table: Identifier | None = None
    key: Annotated[tuple[Identifier, ...], Field(min_length=1, max_length=8)] | None = None
    columns: Annotated[dict[Identifier, Identifier], Field(min_length=1, max_length=1_000)] | None = None
    options: DataSyncOptions = Field(default_factory=DataSyncOptions)
