"""`longshore status`: one job, as it is now."""

import asyncio

import click

from infra.cli.options import Command, Options, options


@click.command("status", cls=Command)
@click.argument("job_id", metavar="JOB")
def command(job_id: str) -> None:
    """Show a job: status, progress, attempts, errors, history.

    \b
    Examples:
      longshore status job_0199f0c2a1b87c3e9d4f5a6b7c8d9e0f
      longshore status job_0199f0c2a1b87c3e9d4f5a6b7c8d9e0f --json | jq -r .status
    """
    asyncio.run(_status(options(), job_id))


async def _status(where: Options, job_id: str) -> None:
    from infra.cli.connect import ports_at
    from infra.cli.render import job_facts, print_facts, print_json
    from shared.runtime.service import Service
    from shared.view import view_of

    async with ports_at(where) as ports:
        service = Service(ports)
        job = await service.get(where.tenant, job_id)
        view = view_of(job, bucket=ports.objects.bucket)
        failures = await service.failures(job) if job.error is not None else ()
        if where.json:
            print_json(view)
        else:
            print_facts(job_facts(view, job, ports.now(), failures))
