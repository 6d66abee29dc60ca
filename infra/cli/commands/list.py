"""`longshore list`: the newest jobs."""

import asyncio

import click

from infra.cli.options import Command, Options, options
from shared.selection import Filter
from shared.status import Status


@click.command("list", cls=Command)
@click.option("--status", type=click.Choice([*Status], case_sensitive=False), help="Only jobs that are so.")
@click.option("--type", "job_type", metavar="TYPE", help="Only jobs of this type.")
@click.option("--limit", type=click.IntRange(1, 100), default=20, show_default=True, help="At most this many.")
@click.option("--cursor", metavar="TEXT", help="Go on where an earlier list ended.")
def command(status: Status | None, job_type: str | None, limit: int, cursor: str | None) -> None:
    """List the tenant's jobs, newest first.

    \b
    Examples:
      longshore list
      longshore list --status failed --type extract --limit 5
      longshore list --json | jq -r '.jobs[].job_id'
    """
    asyncio.run(_list(options(), status, job_type, limit, cursor))


async def _list(where: Options, status: Status | None, job_type: str | None, limit: int, cursor: str | None) -> None:
    from infra.cli.connect import ports_at
    from infra.cli.render import job_table, print_json, stdout
    from shared.runtime.service import Service
    from shared.view import view_of

    async with ports_at(where) as ports:
        wanted = Filter(statuses=frozenset({status} if status else ()), type=job_type)
        page = await Service(ports).find(where.tenant, wanted, limit=limit, cursor=cursor)
        jobs, cursor = page.jobs, page.cursor
        if where.json:
            views = [view_of(job, bucket=ports.objects.bucket) for job in jobs]
            print_json({"jobs": [view.model_dump(mode="json", exclude_none=True) for view in views], "cursor": cursor})
            return
        stdout().print(job_table(jobs, ports.now()) if jobs else "no such jobs")
        if cursor is not None:
            click.echo(f"more: --cursor {cursor}", err=True)
