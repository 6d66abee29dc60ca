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
from shared.databases.progress import Meter
from shared.databases.schema import Schema, Table
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
    format_, packing, encryption = payload.format, _PACKINGS[payload.options.compress], payload.options.encryption
    files: dict[str, Artifact] = {}
    async with reading(await context.database_url(payload.database)) as database:
        schema, tables = await database.run(_chosen, payload)
        snapshot_at = await database.run(lambda reader: reader.snapshot_at())
        tell = database.in_loop(Meter(context.progress, await database.run(rows_expected, tables)))
        names = file_names((table.name for table in tables), extension(format_, packing))
        for table in tables:
            async with context.artifacts.create(names[table.name], encryption) as upload:
                outlet = database.outlet(upload.write)
                rows = await database.run(export, outlet, table, format_, packing, exact=True, tell=tell)
            files[table.name] = stored(upload, rows)

    async def document(name: str, body: bytes) -> Artifact:
        async with context.artifacts.create(name, encryption) as upload:
            await upload.write(body)
        return stored(upload)

    schema_file = await document(SCHEMA, schema_json(schema)) if payload.options.include_schema else None
    manifest = Manifest(
        kind=schema.kind,
        snapshot_at=snapshot_at,
        format=format_,
        compression="none" if format_ == "parquet" else packing,
        tables=tuple(_table_file(table, names.get(table.name), files.get(table.name)) for table in schema.tables),
        schema=_file(SCHEMA, schema_file) if schema_file else None,
        left_out=schema.left_out,
    )
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


def _table_file(table: Table, name: str | None, stored: Artifact | None) -> TableFile:
    file = _file(name, stored) if name and stored else None
    return TableFile(table.name, table.columns, (stored and stored.records) or 0, file)


def _file(name: str, artifact: Artifact) -> File:
    return File(name, artifact.size_bytes, artifact.sha256 or "")


handler = backup.lambda_handler
