"""`backup`: a whole database, or some tables: a file per table, the schema, and last of all the manifest.

Without a manifest there is no backup: a job that is killed leaves nothing that looks like one. A table that takes more
than one invocation has a file of each.
"""

from contextlib import AbstractAsyncContextManager
from typing import Final

from shared.databases import reading
from shared.databases.engine import Reader
from shared.databases.export import Packing, extension, stored
from shared.databases.manifest import (
    MANIFEST,
    SCHEMA,
    File,
    Manifest,
    Part,
    TableFile,
    file_names,
    manifest_json,
    schema_json,
)
from shared.databases.plan import relative
from shared.databases.progress import Meter, Tell, Watch
from shared.databases.schema import Schema, Table
from shared.databases.unload import Create, Ledger, Unload, keep_ledger, read_ledger
from shared.outcomes import Proceed
from shared.payloads.backup import BackupPayload
from shared.payloads.results import Artifact, ProcessResult
from shared.runtime.context import ArtifactUpload, Context
from shared.runtime.definition import job

_PACKINGS: Final[dict[str | bool, Packing]] = {
    True: "gzip",
    False: "none",
    "none": "none",
    "gzip": "gzip",
    "zstd": "zstd",
}


@job(BackupPayload)
async def backup(payload: BackupPayload, context: Context) -> ProcessResult | Proceed:
    """All of one snapshot, or one of each invocation; each value as `restore` gets it back."""

    def create(name: str) -> AbstractAsyncContextManager[ArtifactUpload]:
        return context.artifacts.create(name, payload.options.encryption)

    async def document(name: str, body: bytes) -> Artifact:
        async with create(name) as upload:
            await upload.write(body)
        return stored(upload)

    watch = Watch(lambda: context.time_left_s)
    ledger = await read_ledger(context.checkpoint, context.artifacts.read)
    async with reading(await context.database_url(payload.database)) as database:
        schema, tables = await database.run(_chosen, payload)
        await database.run(ledger.begin, schema, tables)
        tell = database.in_loop(Meter(context.progress, ledger.rows_expected, ledger.rows))
        if not await _unload(payload, tables, create, tell, watch).write(database, ledger, tables):
            return Proceed(await keep_ledger(ledger, create))
    schema_file = await document(SCHEMA, schema_json(schema)) if payload.options.include_schema else None
    artifact = await document(MANIFEST, manifest_json(_manifest(payload, schema, ledger, schema_file)))
    everything = [artifact, *([schema_file] if schema_file else []), *(part.file for part in ledger.parts)]
    return ProcessResult(
        data={
            "files": [file.model_dump(mode="json", exclude_none=True) for file in everything],
            "snapshot_at": ledger.snapshots[0],
            "snapshots": len(ledger.snapshots),
            "left_out": list(schema.left_out),
        },
        records_processed=ledger.rows,
        tables_processed=len(schema.tables),
        artifact=artifact,
    )


def _chosen(database: Reader, payload: BackupPayload) -> tuple[Schema, list[Table]]:
    """The tables to keep, and those of them whose rows are kept."""
    schema = database.schema().chosen(payload.tables)
    database.hold(schema.tables, every_row=True)
    exclude = payload.options.exclude_data
    if isinstance(exclude, bool):
        return schema, [] if exclude else list(schema.tables)
    schema.chosen(exclude, field="options.exclude_data")
    return schema, [table for table in schema.tables if table.name not in exclude]


def _unload(payload: BackupPayload, tables: list[Table], create: Create, tell: Tell, watch: Watch) -> Unload:
    packing = _PACKINGS[payload.options.compress]
    suffix = extension(payload.format, packing)
    return Unload(
        names=file_names((table.name for table in tables), suffix),
        suffix=suffix,
        format=payload.format,
        packing=packing,
        exact=True,
        create=create,
        tell=tell,
        watch=watch,
    )


def _manifest(payload: BackupPayload, schema: Schema, ledger: Ledger, schema_file: Artifact | None) -> Manifest:
    return Manifest(
        kind=schema.kind,
        snapshot_at=ledger.snapshots[0],
        later_snapshots=tuple(ledger.snapshots[1:]),
        format=payload.format,
        compression="none" if payload.format == "parquet" else _PACKINGS[payload.options.compress],
        tables=tuple(_table_file(table, ledger) for table in schema.tables),
        schema=File(SCHEMA, schema_file.size_bytes, schema_file.sha256 or "") if schema_file else None,
        left_out=schema.left_out,
    )


def _table_file(table: Table, ledger: Ledger) -> TableFile:
    """The last part of all is beside the manifest, for the run that writes this has written it."""
    parts = [
        Part(relative(file.url, ledger.parts[-1].file.url), file.size_bytes, file.sha256 or "", file.records or 0)
        for file in ledger.files(table.name)
    ]
    first = File(parts[0].name, parts[0].size_bytes, parts[0].sha256) if parts else None
    return TableFile(table.name, table.columns, sum(part.rows for part in parts), first, tuple(parts[1:]))


handler = backup.lambda_handler
