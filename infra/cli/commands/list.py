"""`longshore list`: the newest jobs."""

import asyncio

import click

from infra.cli.options import Command, Options, options
from infra.cli.selecting import Statuses, error_option, time_option, type_option
from shared.status import Status


@click.command("list", cls=Command)
@click.option("--status", metavar="STATUS,...", type=Statuses(frozenset(Status)), help="Only jobs that are so.")
@type_option("Only jobs of this type.")
@error_option("Only what failed so (see `errors`), or with this error code.")
@click.option("--text", metavar="TEXT", help="Only where this stands: id, user, metadata, error, progress, payload.")
@time_option("--since", "Only what was made since: 2h ago, 1d, or 2026-01-31T12:00Z.")
@time_option("--until", "Only what was made until.")
@click.option("--limit", type=click.IntRange(1, 100), default=20, show_default=True, help="At most this many.")
@click.option("--cursor", metavar="TEXT", help="Go on where an earlier list ended.")
def command(*, job_type: str | None, limit: int, cursor: str | None, **wanted: str | None) -> None:
    """List the tenant's jobs, newest first.

    \b
    Examples:
      longshore list
      longshore list --status queued,running --type extract
      longshore list --status failed --since 1d --text orders
      longshore list --json | jq -r '.jobs[].job_id'
    """
    asyncio.run(_list(options(), {**wanted, "type": job_type}, limit, cursor))


async def _list(where: Options, wanted: dict[str, str | None], limit: int, cursor: str | None) -> None:
    from infra.cli.connect import jobs_at
    from infra.cli.render import documents, job_table, print_json, stdout
    from infra.cli.watching import now_ms

    async with jobs_at(where) as jobs:
        await jobs.known(wanted["type"])
        page = await jobs.list(wanted, limit=limit, cursor=cursor)
    if where.json:
        print_json(documents(page.jobs) | {"cursor": page.cursor})
        return
    stdout().print(job_table(page.jobs, now_ms()) if page.jobs else "no such jobs")
    if page.cursor is not None:
        click.echo(f"more: --cursor {page.cursor}", err=True)
