"""`extract`: tables or one query out of a database into files that other programs read."""

from dataclasses import replace
from typing import cast

from shared.databases import reading
from shared.databases.engine import Reader
from shared.databases.export import Packing, export, export_zip, extension, rows_expected, stored
from shared.databases.manifest import SCHEMA, file_names, schema_json
from shared.databases.progress import Meter, Tell
from shared.databases.schema import Schema
from shared.databases.session import Session
from shared.payloads.extract import ExtractPayload
from shared.payloads.results import Artifact, ProcessResult
from shared.runtime.context import Context
from shared.runtime.definition import job


@job(ExtractPayload)
async def extract(payload: ExtractPayload, context: Context) -> ProcessResult:
    """One file per table, or one archive of them all; of one snapshot of the database."""
    async with reading(await context.database_url(payload.database)) as database:
        schema = await database.run(_chosen, payload)
        tell = database.in_loop(Meter(context.progress, await database.run(rows_expected, schema.tables)))
        write = _write_archive if payload.options.compression == "zip" else _write_files
        files = await write(payload, context, database, schema, tell)
    rows = sum(file.records or 0 for file in files)
    if payload.options.include_schema and payload.output_format != "sql":
        async with context.artifacts.create(SCHEMA) as upload:
            await upload.write(schema_json(schema))
        files.append(stored(upload))
    return ProcessResult(
        data={"files": [file.model_dump(mode="json", exclude_none=True) for file in files]},
        records_processed=rows,
        tables_processed=len(schema.tables),
        artifact=files[0],
    )


def _chosen(database: Reader, payload: ExtractPayload) -> Schema:
    """What to read. SQL files begin with what makes their table, if the schema is asked for."""
    if payload.query is not None:
        return Schema(database.kind, (database.query(payload.query),))
    schema = database.schema().chosen(payload.tables)
    database.hold(schema.tables)
    if payload.options.include_schema:
        return schema
    return replace(schema, tables=tuple(replace(table, create=()) for table in schema.tables))


async def _write_files(
    payload: ExtractPayload, context: Context, database: Session[Reader], schema: Schema, tell: Tell
) -> list[Artifact]:
    format_, packing = payload.output_format, cast("Packing", payload.options.compression)
    names = _file_names(payload, schema, extension(format_, packing))
    files = []
    for table in schema.tables:
        async with context.artifacts.create(names[table.name]) as upload:
            outlet = database.outlet(upload.write)
            rows = await database.run(export, outlet, table, format_, packing, exact=False, tell=tell)
        files.append(stored(upload, rows))
    return files


async def _write_archive(
    payload: ExtractPayload, context: Context, database: Session[Reader], schema: Schema, tell: Tell
) -> list[Artifact]:
    members = file_names((table.name for table in schema.tables), extension(payload.output_format, "none"))
    name = f"{(payload.output_path or 'extract').removesuffix('.zip')}.zip"
    async with context.artifacts.create(name) as upload:
        pairs = [(members[table.name], table) for table in schema.tables]
        rows = await database.run(export_zip, database.outlet(upload.write), pairs, payload.output_format, tell)
    return [stored(upload, sum(rows))]


def _file_names(payload: ExtractPayload, schema: Schema, suffix: str) -> dict[str, str]:
    """`output_path` is the file's name if there is one file, else a folder."""
    names = file_names((table.name for table in schema.tables), suffix)
    if payload.output_path is None:
        return names
    if len(names) == 1:
        return dict.fromkeys(names, payload.output_path.removesuffix(suffix) + suffix)
    return {table: f"{payload.output_path}/{name}" for table, name in names.items()}


handler = extract.lambda_handler
