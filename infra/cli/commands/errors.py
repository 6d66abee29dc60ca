"""`longshore errors`: what goes wrong, in groups of the same kind."""

import asyncio

import click

from infra.cli.options import Command, Options, options
from infra.cli.selecting import time_option, type_option


@click.command("errors", cls=Command)
@type_option("Only jobs of this type.")
@time_option("--since", "Only jobs made since: 2h ago, 1d, or 2026-01-31T12:00Z.")
@click.option("--cursor", metavar="TEXT", help="Go on where earlier groups ended.")
def command(*, job_type: str | None, since: str | None, cursor: str | None) -> None:
    """Group the failed jobs by what went wrong, the most frequent first.

    Of the tenant's newest 2,000 jobs.

    \b
    Examples:
      longshore errors
      longshore errors --type extract --since 1d
      longshore redrive --error timeout-5f2a91c0 --canary       # a group, run again with care
    """
    asyncio.run(_errors(options(), {"type": job_type, "since": since, "cursor": cursor}))


async def _errors(where: Options, wanted: dict[str, str | None]) -> None:
    from infra.cli.connect import jobs_at
    from infra.cli.render import error_table, print_json, stdout
    from infra.cli.watching import now_ms

    async with jobs_at(where) as jobs:
        await jobs.known(wanted["type"])
        found = await jobs.errors(wanted)
    if where.json:
        print_json(found)
        return
    stdout().print(error_table(found.groups, now_ms()) if found.groups else "nothing has failed")
    if found.groups:
        again = f"longshore redrive --error {found.groups[0].fingerprint} --canary{where.flags}"
        click.echo(f"One, then ten, then all again: {again}", err=True)
    if found.cursor is not None:
        click.echo(f"of the newest {found.looked_at:,} jobs; older: --cursor {found.cursor}", err=True)
