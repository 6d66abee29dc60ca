"""`longshore types`: what can be submitted."""

from typing import TYPE_CHECKING, Final

import click

from infra.cli.commands.submit import complete_type
from infra.cli.options import Command, options

if TYPE_CHECKING:
    from rich.table import Table

    from shared.payloads.base import Payload

EXAMPLES: Final = {
    "extract": (
        "database=shop.db tables=orders,customers output_format=parquet",
        "database=secret://shop query='select * from orders' output_format=csv options.compression=gzip",
    ),
    "backup": ("database=shop.db", "database=secret://shop tables=orders format=parquet options.compress=zstd"),
    "restore": ("database=copy.db backup_url=s3://BUCKET/…/manifest.json options.overwrite=true",),
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
    from infra.cli.fields import payload_model
    from infra.cli.render import print_json, stdout
    from shared.payloads import json_schema

    if options().json:
        print_json(payload_model(job_type).model_json_schema() if job_type else json_schema())
    elif job_type is None:
        stdout().print(_all())
    else:
        stdout().print(_fields(payload_model(job_type)))
        click.echo("\nExamples:")
        for example in EXAMPLES.get(job_type, ()):
            click.echo(f"  longshore submit {job_type} {example}")


def _all() -> "Table":
    from rich.table import Table

    from shared.payloads import TYPES

    table = Table(box=None, pad_edge=False, header_style="bold")
    for title in ("TYPE", "TIME PER ATTEMPT", "ATTEMPTS", "WHAT IT DOES"):
        table.add_column(title)
    for name, model in TYPES.items():
        table.add_row(name, f"{model.policy.timeout_s} s", str(model.policy.attempts_max), _about(model))
    return table


def _about(model: type["Payload"]) -> str:
    """The first line of the payload's module, without the type's name."""
    import inspect

    words = (inspect.getdoc(inspect.getmodule(model)) or "").splitlines()[0]
    return words.partition(": ")[2].rstrip(".")


def _fields(model: type["Payload"]) -> "Table":
    from rich.table import Table

    from infra.cli.schema import described

    table = Table(box=None, pad_edge=False, header_style="bold")
    for title in ("FIELD", "DEFAULT", "VALUES"):
        table.add_column(title, no_wrap=title != "VALUES", overflow="fold")
    for field in described(model):
        table.add_row(field.path, field.default, field.values)
    return table
