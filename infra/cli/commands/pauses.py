"""`longshore pauses`: what is paused."""

import asyncio

import click

from infra.cli.operating import plain
from infra.cli.options import Command, Options, options


@click.command("pauses", cls=Command)
def command() -> None:
    """What is paused, by whom, since when and why.

    \b
    Examples:
      longshore pauses
      longshore pauses --json | jq -r '.pauses[].pause_id'
    """
    asyncio.run(_pauses(options()))


async def _pauses(where: Options) -> None:
    from infra.cli.connect import jobs_at
    from infra.cli.render import print_json
    from shared.runtime.api.pauses import PauseList

    async with jobs_at(where) as jobs:
        found = await jobs.ask(PauseList, "GET", "/pauses")
    if where.json:
        print_json(found)
        return
    for one in found.pauses:
        state = "resuming" if one.is_resuming else "paused"
        click.echo(f"{one.pause_id}  {state} by {one.who} since {one.since}  {plain(one.reason or '')}".rstrip())
    if not found.pauses:
        click.echo("nothing is paused", err=True)
