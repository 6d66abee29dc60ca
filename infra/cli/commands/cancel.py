"""`longshore cancel`: end jobs that are not over."""

import asyncio

import click

from infra.cli.operating import operator, told
from infra.cli.options import Command, Options, options
from infra.cli.trouble import FAILED


@click.command("cancel", cls=Command)
@click.argument("job_ids", metavar="JOB...", nargs=-1, required=True)
@click.option("--wait", is_flag=True, help="Until those that run have stopped.")
def command(job_ids: tuple[str, ...], wait: bool) -> int:
    """Cancel jobs.

    What waits or is queued is over at once. What runs is asked to stop, at its next sign of life: up to 15 s later.
    A job that has ended already is refused. With --wait, the exit code is 1 if one of them ended otherwise.

    \b
    Examples:
      longshore cancel job_0199f0c2a1b87c3e9d4f5a6b7c8d9e0f
      longshore cancel --wait job_0199f0c2a1b87c3e9d4f5a6b7c8d9e0f
      longshore list --status queued --json | jq -r '.jobs[].job_id' | xargs longshore cancel
    """
    return asyncio.run(_cancel(options(), list(dict.fromkeys(job_ids)), wait=wait))


async def _cancel(where: Options, job_ids: list[str], *, wait: bool) -> int:
    from infra.cli.connect import ports_at
    from infra.cli.render import print_json
    from infra.cli.watching import watch
    from shared.errors import Conflict, NotFound
    from shared.runtime.service import Service
    from shared.status import Status
    from shared.view import view_of

    async with ports_at(where) as ports:
        jobs, problems = [], []
        for job_id in job_ids:
            try:
                jobs.append(await Service(ports).cancel(where.tenant, job_id, who=operator()))
            except (Conflict, NotFound) as problem:
                problems.append(type(problem)(problem.code, problem.message, field=job_id))
        if where.json and not wait:
            views = [view_of(job, bucket=ports.objects.bucket) for job in jobs]
            print_json({"jobs": [view.model_dump(mode="json", exclude_none=True) for view in views]})
        for job in jobs if not where.json else ():
            click.echo(f"{job.job_id}  {job.status if job.status.is_terminal else 'asked to stop'}")
        over = await watch(where, ports, [job.job_id for job in jobs]) if wait else []
    as_wanted = all(job.status is Status.CANCELLED for job in over)
    return told(problems, as_json=where.json) or (0 if as_wanted else FAILED)
