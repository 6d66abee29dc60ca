"""`extract`: tables or one query out of a database into files that other programs read."""

from dataclasses import replace
from typing import cast

from shared.databases import reading
from shared.databases.engine import Reader
from shared.databases.export import Packing, export_zip, extension, stored
from shared.databases.manifest import SCHEMA, file_names, schema_json
from shared.databases.pace import TimeIsShort
from shared.databases.progress import Meter, Tell, Watch
from shared.databases.schema import Schema
from shared.databases.session import Session
from shared.databases.unload import Unload, keep_ledger, read_ledger
from shared.errors import Permanent
from shared.outcomes import Proceed
from shared.payloads.extract import ExtractPayload
from shared.payloads.results import Artifact, ProcessResult
from shared.runtime.context import Context
from shared.runtime.definition import job


@job(ExtractPayload)
async def extract(payload: ExtractPayload, context: Context) -> ProcessResult | Proceed:
    """One file per table, more if it takes more than one invocation; or one archive of them all."""
    watch = Watch(lambda: context.time_left_s)
    ledger = await read_ledger(context.checkpoint, context.artifacts.read)
    async with reading(await context.database_url(payload.database)) as database:
        schema = await database.run(_chosen, payload)
        await database.run(ledger.begin, schema, schema.tables)
        tell = database.in_loop(Meter(context.progress, ledger.rows_expected, ledger.rows))
        if payload.options.compression == "zip":
            files = [await _write_archive(payload, context, database, schema, tell=tell, watch=watch)]
        elif await _unload(payload, context, schema, tell, watch).write(database, ledger, schema.tables):
            files = [part.file for part in ledger.parts]
        else:
            return Proceed(await keep_ledger(ledger, context.artifacts.create))
    rows = sum(file.records or 0 for file in files)
    if payload.options.include_schema and payload.output_format != "sql":
        async with context.artifacts.create(SCHEMA) as upload:
            await upload.write(schema_json(schema))
        files.append(stored(upload))
    return ProcessResult(
        data={
            "files": [file.model_dump(mode="json", exclude_none=True) for file in files],
            "snapshots": len(ledger.snapshots),
        },
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
    return replace(schema, tables=tuple(table.made() for table in schema.tables))


def _unload(payload: ExtractPayload, context: Context, schema: Schema, tell: Tell, watch: Watch) -> Unload:
    packing = cast("Packing", payload.options.compression)
    suffix = extension(payload.output_format, packing)
    names = _file_names(payload, schema, suffix)
    return Unload(
        names=names,
        suffix=suffix,
        format=payload.output_format,
        packing=packing,
        exact=False,
        create=context.artifacts.create,
        tell=tell,
        watch=watch,
    )


async def _write_archive(
    payload: ExtractPayload, context: Context, database: Session[Reader], schema: Schema, *, tell: Tell, watch: Watch
) -> Artifact:
    """One upload, which can't outlive its run."""
    members = file_names((table.name for table in schema.tables), extension(payload.output_format, "none"))
    pairs = [(members[table.name], table) for table in schema.tables]
    name = f"{(payload.output_path or 'extract').removesuffix('.zip')}.zip"
    try:
        async with context.artifacts.create(name) as upload:
            outlet = database.outlet(upload.write)
            rows = await database.run(export_zip, outlet, pairs, payload.output_format, tell=tell, watch=watch)
    except TimeIsShort:
        why = "an archive must be done within one invocation: take gzip or zstd, or fewer tables"
        raise Permanent("too_large", why, field="options.compression") from None
    return stored(upload, sum(rows))


def _file_names(payload: ExtractPayload, schema: Schema, suffix: str) -> dict[str, str]:
    """`output_path` is the file's name if there is one file, else a folder."""
    names = file_names((table.name for table in schema.tables), suffix)
    if payload.output_path is None:
        return names
    if len(names) == 1:
        return dict.fromkeys(names, payload.output_path.removesuffix(suffix) + suffix)
    return {table: f"{payload.output_path}/{name}" for table, name in names.items()}


handler = extract.lambda_handler
