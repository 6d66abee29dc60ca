"""`longshore watch`: follow jobs."""

import asyncio

import click

from infra.cli.options import Command, Options, options
from infra.cli.selecting import type_option
from infra.cli.trouble import FAILED
from shared.errors import InvalidInput


@click.command("watch", cls=Command)
@click.argument("job_ids", metavar="[JOB]...", nargs=-1)
@type_option("All of this type, also what is still to come, until Ctrl-C.")
@click.option("--all", "every", is_flag=True, help="All of the tenant, also what is still to come, until Ctrl-C.")
def command(*, job_ids: tuple[str, ...], job_type: str | None, every: bool) -> int:
    """Follow jobs until they are over, or whatever comes.

    The exit code is 1 if one of the jobs failed.

    \b
    Examples:
      longshore watch job_0199f0c2a1b87c3e9d4f5a6b7c8d9e0f
      longshore watch $(longshore submit backup database=shop.db) && echo saved
      longshore watch --type extract
      longshore watch --all --json | jq -c '[.job_id, .status]'
    """
    if bool(job_ids) + bool(job_type) + every != 1:
        raise InvalidInput("invalid_selection", "either job ids, or --type, or --all", field="JOB")
    return asyncio.run(_watch(options(), list(dict.fromkeys(job_ids)), job_type))


async def _watch(where: Options, job_ids: list[str], job_type: str | None) -> int:
    from infra.cli.connect import jobs_at
    from infra.cli.watching import all_good, follow, watch

    async with jobs_at(where) as jobs:
        if job_ids:
            return 0 if all_good(await watch(where, jobs, job_ids)) else FAILED
        await jobs.known(job_type)
        await follow(where, jobs, job_type)
    return 0
