"""`longshore resume`: let the jobs of a paused type begin again."""

import asyncio

import click

from infra.cli.commands.pause import everybody_option, pause_id_of
from infra.cli.options import Command, Options, options


@click.command("resume", cls=Command)
@click.argument("paused", metavar="TYPE")
@everybody_option
def command(*, paused: str, everybody: bool) -> None:
    """Let the jobs of a paused type begin again.

    Those first that are due longest. By its type, by `all`, or by its id as `pauses` and `why` show it.

    \b
    Examples:
      longshore resume extract
      longshore resume tenant.all
    """
    asyncio.run(_resume(options(), paused, everybody=everybody))


async def _resume(where: Options, paused: str, *, everybody: bool) -> None:
    from infra.cli.connect import jobs_at
    from infra.cli.render import print_json
    from shared.runtime.api.pauses import ResumeView

    pause_id = pause_id_of(paused, everybody=everybody)
    woken, left = 0, 1
    async with jobs_at(where) as jobs:
        while left:
            done = await jobs.ask(ResumeView, "DELETE", f"/pauses/{pause_id}")
            woken, left = woken + done.woken, done.left
            if left and not where.json:
                click.echo(f"{woken:,} woken, more are left", err=True)
    if where.json:
        print_json(ResumeView(pause_id=pause_id, woken=woken, left=0))
    else:
        click.echo(f"{pause_id}  resumed, {woken:,} jobs woken")
