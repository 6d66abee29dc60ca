"""`longshore up`: the whole system on this machine."""

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from infra.cli.options import Command, Options, options_of_a_new_cloud

if TYPE_CHECKING:
    from infra.local.cloud import LocalCloud

EXAMPLES: Final = (
    "longshore submit generic operation=count parameters.to:=20 --watch{flags}",
    "longshore submit extract database={shop} tables=orders output_format=parquet --watch{flags}",
    "longshore list{flags}",
)


@click.command("up", cls=Command)
@click.option(
    "--port", type=click.IntRange(0, 65_535), default=4599, show_default=True, help="Where to listen; 0: any."
)
@click.option(
    "--api-port",
    type=click.IntRange(0, 65_535),
    default=4600,
    show_default=True,
    help="Where the API and the dashboard are; 0: any.",
)
@click.option(
    "--data",
    type=click.Path(file_okay=False, path_type=Path),
    help="Keep everything in this directory, of yours alone.",
)
@click.option(
    "--template", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="By default the one here."
)
def command(*, port: int, api_port: int, data: Path | None, template: Path | None) -> None:
    """Start the local cloud on this machine.

    Everything in template.yaml runs here: queues, tables, bucket, functions, API, dashboard. The printed URL opens
    the dashboard and signs you in. Ctrl-C ends it. Nothing is kept:
    the next start is empty, unless --data names a directory. With --endpoint localstack (or a URL) the stack is
    made there, and only the functions run here.

    \b
    Examples:
      longshore up
      longshore up --port 0 --api-port 0
      longshore up --data .longshore/data
      longshore up --endpoint localstack
    """
    asyncio.run(_up(options_of_a_new_cloud(), port, api_port, data, template))


async def _up(where: Options, port: int, api_port: int, data: Path | None, template: Path | None) -> None:
    from infra.cli.cloud import HOME, local_cloud, until_signalled

    log = (HOME / "up.log").absolute()
    async with local_cloud(where, log, port=port, api_port=api_port, template=template, data=data) as cloud:
        if cloud.is_resumed:
            await _audit(where, cloud)
        _welcome(where, cloud, log, data)
        await until_signalled(cloud.serve())
        click.echo("Ending what runs …", err=True)


async def _audit(where: Options, cloud: "LocalCloud") -> None:
    """Whatever was on its way when the last life ended is sent on its way again."""
    from infra.cli.connect import ports_at
    from shared.audit import Books
    from shared.runtime.audit import audited

    async with ports_at(replace(where, endpoint=cloud.endpoint_url)) as ports:
        books = Books(started_at=ports.now())
        async for _ in audited(ports, books, repair=True, late_ms=0):
            pass
    alive = sum(count for status, count in books.statuses.items() if not status.is_terminal)
    click.echo(f"Going on with {books.rows:,} jobs: {alive:,} alive, {books.repaired:,} of them woken", err=True)


def _welcome(where: Options, cloud: "LocalCloud", log: Path, data: Path | None) -> None:
    from rich.text import Text

    from infra.cli.cloud import token_for
    from infra.cli.connect import PORT
    from infra.cli.render import print_json, stdout

    token = token_for(where, cloud.template)
    dashboard = f"{cloud.api_url}/#token={token}"
    if where.json:
        print_json(
            {
                "endpoint": cloud.endpoint_url,
                "api": cloud.api_url,
                "token": token,
                "dashboard": dashboard,
                "log": str(log),
            },
            line=True,
        )
        return
    if where.endpoint == "local" and cloud.endpoint_url != f"http://127.0.0.1:{PORT}":
        where = replace(where, endpoint=cloud.endpoint_url)
    console = stdout()
    console.print(Text.assemble(("Longshore is up", "bold green"), ". Open it, signed in for a day:\n"))
    console.print(dashboard, soft_wrap=True, style="bold")
    console.print("\nIn another terminal:\n")
    for example in EXAMPLES:
        console.print("  " + example.format(shop=_shop(), flags=where.flags), soft_wrap=True)
    console.print(f"\nCtrl-C ends it, and {'forgets everything' if data is None else f'{data} keeps everything'}.")
    console.print(f"What functions say: {log}", style="bright_black", soft_wrap=True)


def _shop() -> Path:
    """Something to try it on."""
    from infra.cli.cloud import HOME
    from infra.demo.sample import make_sample

    path = (HOME / "shop.db").absolute()
    if not path.exists():
        make_sample(path, scale=0.25)
    return path
