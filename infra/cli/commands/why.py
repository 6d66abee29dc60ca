"""`longshore why`: why a job is not running, or has failed."""

import asyncio

import click

from infra.cli.options import Command, Options, options


@click.command("why", cls=Command)
@click.argument("job_id", metavar="JOB")
def command(job_id: str) -> None:
    """Say why a job is not running, or has failed, and what to do.

    \b
    Examples:
      longshore why job_0199f0c2a1b87c3e9d4f5a6b7c8d9e0f
      longshore why job_0199f0c2a1b87c3e9d4f5a6b7c8d9e0f --json | jq -r '.reasons[0].code'
    """
    asyncio.run(_why(options(), job_id))


async def _why(where: Options, job_id: str) -> None:
    from infra.cli.connect import jobs_at
    from infra.cli.render import print_facts, print_json, why_facts

    async with jobs_at(where) as jobs:
        found = await jobs.why(job_id)
    if where.json:
        print_json(found)
    else:
        print_facts(why_facts(found))
