"""`longshore estimate`: what a job would come to."""

import asyncio

import click

from infra.cli.commands.submit import document_of, payload_arguments
from infra.cli.options import Command, Options, options


@click.command("estimate", cls=Command)
@payload_arguments
@click.option("--items", default=1, show_default=True, help="Of each list that is known only when it runs.")
@click.option("--at-once", default=100, show_default=True, help="Jobs of one step that run at the same time.")
def command(
    *,
    job_type: str | None,
    assignments: tuple[str, ...],
    payload: str | None,
    file: str | None,
    items: int,
    at_once: int,
) -> None:
    """Say what a job would come to.

    How many jobs, at what price, for how long; a flow with all its steps. By how long jobs took here in the last 24
    hours. Nothing is submitted. The arguments are those of `submit`.

    \b
    Examples:
      longshore estimate --file flow.yaml
      longshore estimate --file flow.yaml --items 5000 --json | jq .price_usd
    """
    document = document_of(job_type, payload, file, assignments)
    asyncio.run(_estimate(options(), document, {"assume_items": items, "assume_at_once": at_once}))


async def _estimate(where: Options, document: dict[str, object], assumed: dict[str, int]) -> None:
    from infra.cli.connect import jobs_at
    from infra.cli.flow_lines import estimate_lines
    from infra.cli.render import print_json, stdout
    from infra.cli.secrets import hide_password
    from infra.cli.uploads import files_in

    async with jobs_at(where) as jobs:
        found = await jobs.estimate(files_in(hide_password(document)[0])[0], assumed)
    if where.json:
        print_json(found)
        return
    table, lines = estimate_lines(found)
    if found.steps:
        stdout().print(table)
    click.echo("\n".join(lines))
