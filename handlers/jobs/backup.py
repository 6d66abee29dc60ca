"""`backup`: a whole database, or some tables: a file per table, the schema, and last of all the manifest.

Without a manifest there is no backup: a job that is killed leaves nothing that looks like one.
"""

from typing import Final

from shared.databases import reading
from shared.databases.engine import Reader
from shared.databases.export import Packing, export, extension, rows_expected, stored
from shared.databases.manifest import (
    MANIFEST,
    SCHEMA,
    File,
    Manifest,
    TableFile,
    file_names,
    manifest_json,
    schema_json,
)
from shared.databases.plan import file_name
from shared.databases.progress import Meter
from shared.databases.schema import Schema, Table
from shared.databases.session import Session
from shared.payloads.backup import BackupPayload
from shared.payloads.results import Artifact, ProcessResult
from shared.runtime.context import Context
from shared.runtime.definition import job

_PACKINGS: Final[dict[str | bool, Packing]] = {
    True: "gzip",
    False: "none",
    "none": "none",
    "gzip": "gzip",
    "zstd": "zstd",
}


@job(BackupPayload)
async def backup(payload: BackupPayload, context: Context) -> ProcessResult:
    """All of one snapshot; each value as `restore` gets it back."""

    async def document(name: str, body: bytes) -> Artifact:
        async with context.artifacts.create(name, payload.options.encryption) as upload:
            await upload.write(body)
        return stored(upload)

    async with reading(await context.database_url(payload.database)) as database:
        schema, tables = await database.run(_chosen, payload)
        snapshot_at = await database.run(lambda reader: reader.snapshot_at())
        files = await _write_tables(payload, context, database, tables)
    schema_file = await document(SCHEMA, schema_json(schema)) if payload.options.include_schema else None
    manifest = _manifest(payload, schema, files, schema_file, snapshot_at)
    artifact = await document(MANIFEST, manifest_json(manifest))
    everything = [artifact, *([schema_file] if schema_file else []), *files.values()]
    return ProcessResult(
        data={
            "files": [file.model_dump(mode="json", exclude_none=True) for file in everything],
            "snapshot_at": snapshot_at,
            "left_out": list(schema.left_out),
        },
        records_processed=sum(file.records or 0 for file in files.values()),
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


async def _write_tables(
    payload: BackupPayload, context: Context, database: Session[Reader], tables: list[Table]
) -> dict[str, Artifact]:
    packing = _PACKINGS[payload.options.compress]
    tell = database.in_loop(Meter(context.progress, await database.run(rows_expected, tables)))
    names = file_names((table.name for table in tables), extension(payload.format, packing))
    files = {}
    for table in tables:
        async with context.artifacts.create(names[table.name], payload.options.encryption) as upload:
            outlet = database.outlet(upload.write)
            rows = await database.run(export, outlet, table, payload.format, packing, exact=True, tell=tell)
        files[table.name] = stored(upload, rows)
    return files


def _manifest(
    payload: BackupPayload,
    schema: Schema,
    files: dict[str, Artifact],
    schema_file: Artifact | None,
    snapshot_at: str,
) -> Manifest:
    return Manifest(
        kind=schema.kind,
        snapshot_at=snapshot_at,
        format=payload.format,
        compression="none" if payload.format == "parquet" else _PACKINGS[payload.options.compress],
        tables=tuple(_table_file(table, files.get(table.name)) for table in schema.tables),
        schema=_file(schema_file) if schema_file else None,
        left_out=schema.left_out,
    )


def _table_file(table: Table, artifact: Artifact | None) -> TableFile:
    if artifact is None:
        return TableFile(table.name, table.columns, 0, None)
    return TableFile(table.name, table.columns, artifact.records or 0, _file(artifact))


def _file(artifact: Artifact) -> File:
    return File(file_name(artifact.url), artifact.size_bytes, artifact.sha256 or "")


handler = backup.lambda_handler
