"""`longshore types`: what can be submitted."""

import asyncio
import inspect
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Final

import click

from infra.cli.options import Command, Options, options
from infra.cli.selecting import complete_type

if TYPE_CHECKING:
    from pydantic import JsonValue
    from rich.table import Table

    from shared.payloads.base import Payload
    from shared.runtime.api.system import TypeView

EXAMPLES: Final = {
    "flow": ("--file flow.yaml --watch",),
    "extract": (
        "database=shop.db tables=orders,customers output_format=parquet",
        "database=secret://shop query='select * from orders' output_format=csv options.compression=gzip",
    ),
    "backup": ("database=shop.db", "database=secret://shop tables=orders format=parquet options.compress=zstd"),
    "restore": ("database=copy.db backup_url=s3://BUCKET/…/manifest.json options.overwrite=true",),
    "bulk_import": (
        "database=shop.db table=people source=s3://BUCKET/…/people.csv.gz create=true columns.id.type=integer",
        "--file import.yaml",
    ),
    "data_sync": ("source=secret://shop target=secret://copy table=orders options.dry_run:=true",),
    "report": ("title=Orders database=secret://shop query='select * from orders' output_format=xlsx",),
    "import_note": ("database=kitchen.db --file note.yaml", "database=kitchen.db url=s3://BUCKET/…/note.html"),
    "parse_ingredient": ("text='1 1/2 cups flour, sifted'",),
    "format_instruction": ("text='Bake for 20 minutes'",),
    "categorize": ("database=kitchen.db note_id=5f2a91c04be84d0e9a7c3d1f60b2e8aa",),
    "download": ("url=https://example.com/film.mp4 media_types=video/*",),
    "fine_tuning": ("model_id=new:text dataset_path=s3://BUCKET/…/tickets.csv",),
    "transcode": ("source=s3://BUCKET/…/film.mp4 height=480", "source=s3://BUCKET/…/film.mp4 height=720 codec=vp9"),
    "upload": ("sources=s3://BUCKET/…/film-480p.mp4 destination=films",),
    "comment_on_issue": ("repo_full_name=acme/shop issue_number:=12 model=secret://model",),
    "resolve_issue": ("repo_full_name=acme/shop issue_number:=12 create_pr:=true",),
    "auto_resolve_issue": ("repo_full_name=acme/shop issue_number:=12 options.max_attempts:=5",),
    "http_request": (
        "url=https://example.com/rates",
        "method=POST url=https://crm.example/contacts json:='{\"name\": \"Ann\"}' headers.Authorization='Bearer secret://crm'",
    ),
    "send_email": ("to=ann@example.com subject='Hello {{ name }}' text='Dear {{ name }}' values.name=Ann",),
    "mail_event": ("--file event.yaml",),
    "generic": ("operation=count parameters.to:=20", 'operation=echo parameters:=\'{"hello": "world"}\''),
}


@click.command("types", cls=Command)
@click.argument("job_type", metavar="[TYPE]", required=False, shell_complete=complete_type)
def command(job_type: str | None) -> None:
    """Show the job types, or the fields of one with an example.

    \b
    Examples:
      longshore types
      longshore types extract
      longshore types extract --json       # its JSON Schema
    """
    asyncio.run(_types(options(), job_type))


async def _types(where: Options, job_type: str | None) -> None:
    from infra.cli.fields import unknown_type
    from infra.cli.render import print_json, stdout

    known = {one.type: one for one in await _known(where)}
    if job_type is not None and job_type not in known:
        raise unknown_type(job_type, known)
    if where.json and job_type == "generic":
        print_json(known[job_type].payload_schema | {"operations": _operations()})
    elif where.json:
        print_json(known[job_type].payload_schema if job_type else {name: known[name].payload_schema for name in known})
    elif job_type is None:
        stdout().print(_all(known.values()))
    else:
        stdout().print(_fields(known[job_type]))
        click.echo("\nExamples:")
        for example in EXAMPLES.get(job_type, ()):
            click.echo(f"  longshore submit {job_type} {example}")
        if job_type == "generic":
            click.echo("\nOperations that are installed here:")
            stdout().print(_table_of_operations())


def _operations() -> "dict[str, dict[str, JsonValue]]":
    """Each with its package, what it does and its parameters, or with why it cannot be used."""
    from shared.errors import InvalidInput
    from shared.runtime import operations

    told: dict[str, dict[str, JsonValue]] = {}
    for name in operations.names():
        try:
            one = operations.find(name)
            told[name] = {"package": one.package, "description": one.about, "parameters_schema": one.schema}
        except InvalidInput as refusal:
            told[name] = {"problem": refusal.message}
    return told


def _table_of_operations() -> "Table":
    from infra.cli.render import table_of

    table = table_of("OPERATION", "PACKAGE")
    for title in ("PARAMETERS", "WHAT IT DOES"):
        table.add_column(title, overflow="fold")
    for name, one in _operations().items():
        schema = one.get("parameters_schema")
        fields = schema.get("properties") if isinstance(schema, dict) else None
        about = str(one.get("description") or one.get("problem", ""))
        table.add_row(name, str(one.get("package", "")), ", ".join(fields if isinstance(fields, dict) else ()), about)
    return table


async def _known(where: Options) -> Sequence["TypeView"]:
    """An API's own, or those that are installed here: nothing need run to ask for them."""
    from infra.cli.connect import jobs_at

    if where.api is None:
        return _installed()
    async with jobs_at(where) as jobs:
        return (await jobs.types()).types


def _installed() -> list["TypeView"]:
    from shared.payloads import open_types
    from shared.runtime.api.system import TypeView

    return [
        TypeView(
            type=name,
            description=_about(model),
            attempts_max=model.policy.attempts_max,
            timeout_s=model.policy.timeout_s,
            payload_schema=model.model_json_schema(),
        )
        for name, model in open_types().items()
    ]


def _about(model: type["Payload"]) -> str:
    """The first line of the payload's module, without the type's name."""
    words = (inspect.getdoc(inspect.getmodule(model)) or "").splitlines()[0]
    return words.partition(": ")[2].rstrip(".")


def _all(types: Iterable["TypeView"]) -> "Table":
    from infra.cli.render import table_of

    table = table_of("TYPE", "TIME PER ATTEMPT", "ATTEMPTS")
    table.add_column("WHAT IT DOES")
    for one in types:
        about, *_ = [*one.description.splitlines(), ""]
        table.add_row(one.type, f"{one.timeout_s} s", str(one.attempts_max), about)
    return table


def _fields(one: "TypeView") -> "Table":
    from infra.cli.render import table_of
    from infra.cli.schema import described

    table = table_of("FIELD", "DEFAULT")
    table.add_column("VALUES", overflow="fold")
    for field in described(one.payload_schema):
        table.add_row(field.path, field.default, field.values)
    return table
