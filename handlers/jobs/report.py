"""`report`: what a query says, of a database or of earlier results, as a file for people: xlsx, CSV, HTML or PDF."""

import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import asdict
from pathlib import Path
from urllib.parse import urlsplit

from shared.databases import reading, writing
from shared.databases.engine import Reader, Writer
from shared.databases.export import stored
from shared.databases.progress import Meter, Watch
from shared.databases.scratch import Room, load_file
from shared.databases.session import Session
from shared.payloads.report import ReportPayload
from shared.payloads.results import ProcessResult
from shared.reports.make import make_report
from shared.runtime.context import Context
from shared.runtime.definition import job


@job(ReportPayload)
async def report(payload: ReportPayload, context: Context) -> ProcessResult:
    """In one invocation; the same rows make the same bytes."""
    watch = Watch(lambda: context.time_left_s)
    end = f".{payload.output_format}"
    async with (
        _opened(payload, context) as database,
        context.artifacts.create(payload.name.removesuffix(end) + end) as upload,
    ):
        tell = database.in_loop(Meter(context.progress, None))
        made = await database.run(make_report, payload, database.outlet(upload.write), tell=tell, watch=watch)
    return ProcessResult(
        data=asdict(made),
        records_processed=made.rows,
        artifact=stored(upload, made.rows),
    )


@asynccontextmanager
async def _opened(payload: ReportPayload, context: Context) -> AsyncIterator[Session[Reader]]:
    """The database, or one of our own with the files as its tables."""
    if payload.database is not None:
        async with reading(await context.database_url(payload.database)) as database:
            yield database
        return
    with tempfile.TemporaryDirectory() as folder:
        url = f"sqlite:///{folder}/files.db"
        async with writing(url) as scratch:
            room = Room()
            for name, file in (payload.files or {}).items():
                inlet = scratch.inlet(context.artifacts.read(file, field=f"files.{name}"))
                await scratch.run(load_file, name, Path(urlsplit(file).path).name, inlet, room)
            await scratch.run(_commit)
        async with reading(url) as database:
            yield database


def _commit(database: Writer) -> None:
    database.commit()


handler = report.lambda_handler
