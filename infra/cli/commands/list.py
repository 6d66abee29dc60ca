"""`longshore list`: the newest jobs."""

import asyncio
from typing import TYPE_CHECKING, Final

import click

from infra.cli.options import Command, Options, options
from shared.status import Status

if TYPE_CHECKING:
    from shared.job import Job
    from shared.runtime.service import Service

LOOKS_MAX: Final = 20
"""A filter that finds little gives up after this many pages, with a cursor to go on from."""


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
        jobs, cursor = await _matching(
            Service(ports), where.tenant, status=status, job_type=job_type, limit=limit, cursor=cursor
        )
        if where.json:
            views = [view_of(job, bucket=ports.objects.bucket) for job in jobs]
            print_json({"jobs": [view.model_dump(mode="json", exclude_none=True) for view in views], "cursor": cursor})
            return
        stdout().print(job_table(jobs, ports.now()) if jobs else "no such jobs")
        if cursor is not None:
            click.echo(f"more: --cursor {cursor}", err=True)


async def _matching(
    service: "Service", tenant: str, *, status: Status | None, job_type: str | None, limit: int, cursor: str | None
) -> tuple[list["Job"], str | None]:
    """The list is by time; what does not match is skipped here. Pages never hold more than is still wanted."""
    found: list[Job] = []
    for _ in range(LOOKS_MAX):
        page = await service.list(tenant, limit=limit - len(found), cursor=cursor)
        found += [job for job in page.jobs if status in (None, job.status) and job_type in (None, job.type)]
        cursor = page.cursor
        if cursor is None or len(found) == limit:
            break
    return found, cursor
