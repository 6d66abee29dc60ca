"""Jobs run by their own handlers: real databases, artefacts in memory."""

import asyncio
import itertools
import json
import sqlite3
from collections.abc import Iterable
from contextlib import closing
from pathlib import Path
from typing import Any, cast

import psycopg
import pytest
import structlog

from handlers.jobs.backup import backup
from handlers.jobs.bulk_import import bulk_import
from handlers.jobs.data_sync import data_sync
from handlers.jobs.download import download
from handlers.jobs.extract import extract
from handlers.jobs.fine_tuning import fine_tuning
from handlers.jobs.http_request import http_request
from handlers.jobs.import_note import import_note
from handlers.jobs.report import report
from handlers.jobs.restore import restore
from handlers.jobs.transcode import transcode
from handlers.jobs.upload import upload
from shared.errors import LongshoreError
from shared.job import Job
from shared.memory.objects import MemoryObjects
from shared.memory.ports import memory_ports
from shared.outcomes import Partial
from shared.payloads import read_payload
from shared.payloads.results import ProcessResult
from shared.ports import Clock
from shared.runtime.context import Context
from shared.runtime.definition import JobType
from shared.runtime.run import Run
from shared.status import Status

TYPES: dict[str, JobType[Any]] = {  # Any: of any payload
    one.type: one
    for one in (
        backup,
        data_sync,
        bulk_import,
        download,
        extract,
        fine_tuning,
        http_request,
        import_note,
        report,
        restore,
        transcode,
        upload,
    )
}


class Jobs:
    """One tenant's jobs, each run by itself. `runs` collects what their contexts write to."""

    def __init__(self, now: Clock = lambda: 0) -> None:
        self.ports = memory_ports(now)
        self.runs: list[Run] = []
        self._numbers = itertools.count(1)

    def run(self, kind: str, *, job_id: str | None = None, epoch: int = 1, **fields: object) -> ProcessResult:
        """Raises what the handler raises; a Partial is for `run_partly`."""
        outcome = asyncio.run(self.start(kind, job_id=job_id, epoch=epoch, **fields))
        assert isinstance(outcome, ProcessResult), outcome
        return outcome

    def run_partly(self, kind: str, **fields: object) -> Partial:
        outcome = asyncio.run(self.start(kind, **fields))
        assert isinstance(outcome, Partial), outcome
        return outcome

    def fail(self, kind: str, **fields: object) -> LongshoreError:
        """The error it ends with."""
        with pytest.raises(LongshoreError) as caught:
            asyncio.run(self.start(kind, **fields))
        return caught.value

    async def start(
        self,
        kind: str,
        *,
        job_id: str | None = None,
        epoch: int = 1,
        checkpoint: str | None = None,
        ends_at: int = 1 << 60,
        **fields: object,
    ) -> object:
        payload = read_payload(json.dumps({"type": kind, **fields}))
        job = job_row(job_id or f"job_{next(self._numbers)}", epoch, checkpoint)
        self.runs.append(Run(job, ends_at=ends_at, lease_until=1 << 60, began_at=0))
        return await TYPES[kind].function(payload, Context(self.runs[-1], self.ports, structlog.get_logger()))

    @property
    def bodies(self) -> dict[str, bytes]:
        """Artefacts by key, to look at or to damage."""
        return cast("MemoryObjects", self.ports.objects).bodies

    def body(self, url: str) -> bytes:
        return self.bodies[url.removeprefix("s3://memory/")]


def manifest_url(result: ProcessResult) -> str:
    assert result.artifact is not None
    return result.artifact.url


def make_sqlite(path: Path, script: str, rows: dict[str, Iterable[tuple[object, ...]]] | None = None) -> str:
    """→ its URL. `rows` by table."""
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(script)
        for table, values in (rows or {}).items():
            for row in values:
                connection.execute(f"INSERT INTO {table} VALUES ({', '.join('?' for _ in row)})", row)
        connection.commit()
    return f"sqlite:///{path}"


def ask_sqlite(url: str, query: str) -> list[tuple[Any, ...]]:  # Any: whatever the query returns
    with closing(sqlite3.connect(url.removeprefix("sqlite:///"))) as connection:
        return connection.execute(query).fetchall()


def ask_postgres(url: str, query: str) -> list[tuple[Any, ...]]:  # Any: whatever the query returns
    with psycopg.connect(url, autocommit=True) as connection:
        cursor = connection.execute(query)
        return cursor.fetchall() if cursor.description else []


def job_row(job_id: str, epoch: int, checkpoint: str | None) -> Job:
    return Job(
        tenant_id="default",
        job_id=job_id,
        type="any",
        status=Status.RUNNING,
        seq=1,
        epoch=epoch,
        token="0" * 16,
        attempts_left=3,
        attempts_max=3,
        created_at=0,
        updated_at=0,
        due_at=0,
        payload_hash="",
        checkpoint=checkpoint,
    )
