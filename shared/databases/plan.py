"""From a `restore` payload and what its URL names to a plan: a backup by its manifest, or one table's file."""

import hashlib
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Final, cast, get_args
from urllib.parse import unquote, urlsplit, urlunsplit

from shared.databases.compression import EXTENSIONS
from shared.databases.engine import Form
from shared.databases.load import Plan
from shared.databases.manifest import MANIFEST, File, read_manifest, read_schema
from shared.databases.progress import Watch
from shared.databases.rows import Source
from shared.databases.schema import Schema
from shared.errors import Permanent
from shared.payloads.restore import RestorePayload

Fetch = Callable[[str], AsyncIterator[bytes]]
"""A file's name beside the one the payload names → its contents."""

DOCUMENT_BYTES_MAX: Final = 64 << 20


async def make_plan(payload: RestorePayload, fetch: Fetch) -> Plan:
    """Raises Permanent("corrupt_artifact", "no_such_table", "unknown_format")."""
    name = file_name(payload.backup_url)
    if name != MANIFEST:
        return _plan(payload, (_lone_source(name, payload),), None)
    manifest = read_manifest(await _document(fetch, MANIFEST, None))
    _check_names(payload.tables, {table.table for table in manifest.tables})
    sources = tuple(
        Source(
            table=table.table,
            name=part.name,
            format=manifest.format,
            compression=manifest.compression,
            kind=manifest.kind,
            columns=table.columns,
            rows=part.rows,
            file=part,
        )
        for table in manifest.tables
        if payload.tables is None or table.table in payload.tables
        for part in table.parts()
    )
    torn = bool(manifest.later_snapshots)
    if manifest.schema is None:
        return _plan(payload, sources, None, torn=torn)
    schema = read_schema(await _document(fetch, manifest.schema.name, manifest.schema)).chosen(payload.tables)
    _check_names([source.table for source in sources], {table.name for table in schema.tables})
    return _plan(payload, sources, schema, torn=torn)


async def verify(plan: Plan, fetch: Fetch, done: int, watch: Watch) -> int:
    """Read files once, for their checksums alone, but for the first `done`; → how many are done now.

    At least one, and no more once half of the time is over. Raises Permanent("corrupt_artifact") naming the bad one.
    """
    for place, source in enumerate(plan.sources[done:]):
        if place and watch.half_over():
            break
        if source.file:
            digest, size_bytes = hashlib.sha256(), 0
            async for chunk in fetch(source.name):
                digest.update(chunk)
                size_bytes += len(chunk)
            _check(source.file, size_bytes, digest.hexdigest())
        done += 1
    return done


def file_name(url: str) -> str:
    return unquote(urlsplit(url).path).rpartition("/")[2]


def beside(url: str, name: str) -> str:
    """The URL of another file in the same folder (`../`: in one beside that), asked for in the same way."""
    if name == file_name(url):
        return url
    parts = urlsplit(url)
    folder = parts.path.rpartition("/")[0]
    if name.startswith("../"):
        folder, name = folder.rpartition("/")[0], name.removeprefix("../")
    return urlunsplit(parts._replace(path=f"{folder}/{name}"))


def relative(url: str, to: str) -> str:
    """What `beside` makes `url` of again, from the URL `to` of another file of the same job."""
    run, name = url.split("/")[-2:]
    return name if run == to.split("/")[-2] else f"../{run}/{name}"


def _plan(payload: RestorePayload, sources: tuple[Source, ...], schema: Schema | None, *, torn: bool = False) -> Plan:
    options = payload.options
    return Plan(
        sources,
        schema,
        overwrite=options.overwrite,
        verify=options.verify,
        batch_rows=options.batch_size,
        torn=torn,
    )


def _lone_source(name: str, payload: RestorePayload) -> Source:
    """`orders.csv.gz` says what it is; the option `compression` has the last word on how it is packed."""
    if payload.tables is None or len(payload.tables) != 1:
        message = f"{name} is not a {MANIFEST}: one table's file needs exactly one table to go to"
        raise Permanent("table_missing", message, field="tables")
    packings = [packing for packing, extension in EXTENSIONS.items() if extension and name.endswith(extension)]
    bare = name.removesuffix(EXTENSIONS[packings[0]]) if packings else name
    format_ = bare.rpartition(".")[2].lower()
    if format_ not in get_args(Form):
        message = (
            f"expected {MANIFEST}, or a file .csv, .jsonl or .sql, with or without .gz, .bz2 or .zst; not {name!r}"
        )
        raise Permanent("unknown_format", message, field="backup_url")
    compression = payload.options.compression or (packings[0] if packings else "none")
    return Source(payload.tables[0], name, cast("Form", format_), compression)


def _check_names(names: Sequence[str] | None, known: set[str]) -> None:
    for place, name in enumerate(names or ()):
        if name not in known:
            raise Permanent("no_such_table", f"the backup has no table {name!r}", field=f"tables.{place}")


async def _document(fetch: Fetch, name: str, file: File | None) -> bytes:
    body = bytearray()
    async for chunk in fetch(name):
        body += chunk
        if len(body) > DOCUMENT_BYTES_MAX:
            raise Permanent("corrupt_artifact", f"{name} is larger than {DOCUMENT_BYTES_MAX} bytes", field="backup_url")
    if file:
        _check(file, len(body), hashlib.sha256(body).hexdigest())
    return bytes(body)


def _check(file: File, size_bytes: int, sha256: str) -> None:
    if (size_bytes, sha256) != (file.size_bytes, file.sha256):
        message = f"{file.name} is truncated or damaged: its checksum is not the manifest's"
        raise Permanent("corrupt_artifact", message, field="backup_url")
