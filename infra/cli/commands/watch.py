"""`longshore watch`: follow jobs until they are over."""

import asyncio

import click

from infra.cli.options import Command, Options, options
from infra.cli.trouble import FAILED


@click.command("watch", cls=Command)
@click.argument("job_ids", metavar="JOB...", nargs=-1, required=True)
def command(job_ids: tuple[str, ...]) -> int:
    """Follow jobs until they are over.

    The exit code is 1 if one of them failed.

    \b
    Examples:
      longshore watch job_0199f0c2a1b87c3e9d4f5a6b7c8d9e0f
      longshore watch $(longshore submit backup database=shop.db) && echo saved
      longshore watch --json job_0199f0c2a1b87c3e9d4f5a6b7c8d9e0f | jq -c .progress
    """
    return asyncio.run(_watch(options(), job_ids))


async def _watch(where: Options, job_ids: tuple[str, ...]) -> int:
    from infra.cli.connect import ports_at
    from infra.cli.watching import all_good, watch

    async with ports_at(where) as ports:
        return 0 if all_good(await watch(where, ports, list(dict.fromkeys(job_ids)))) else FAILED
