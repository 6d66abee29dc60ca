"""`longshore cancel`: end jobs that are not over."""

import asyncio

import click

from infra.cli.operating import told
from infra.cli.options import Command, Options, options
from infra.cli.trouble import FAILED


@click.command("cancel", cls=Command)
@click.argument("job_ids", metavar="JOB...", nargs=-1, required=True)
@click.option("--wait", is_flag=True, help="Until those that run have stopped.")
def command(job_ids: tuple[str, ...], wait: bool) -> int:
    """Cancel jobs.

    What waits or is queued is over at once. What runs is asked to stop, at its next sign of life: up to 15 s later.
    What a job has started is cancelled with it: all of a flow. A job that has ended already is refused. With --wait,
    the exit code is 1 if one of them ended otherwise.

    \b
    Examples:
      longshore cancel job_0199f0c2a1b87c3e9d4f5a6b7c8d9e0f
      longshore cancel --wait job_0199f0c2a1b87c3e9d4f5a6b7c8d9e0f
      longshore list --status queued --json | jq -r '.jobs[].job_id' | xargs longshore cancel
    """
    return asyncio.run(_cancel(options(), list(dict.fromkeys(job_ids)), wait=wait))


async def _cancel(where: Options, job_ids: list[str], *, wait: bool) -> int:
    from infra.cli.connect import jobs_at
    from infra.cli.render import documents, print_json
    from infra.cli.watching import watch
    from shared.errors import Conflict, NotFound
    from shared.status import Status

    async with jobs_at(where) as jobs:
        views, problems = [], []
        for job_id in job_ids:
            try:
                views.append(await jobs.cancel(job_id))
            except (Conflict, NotFound) as problem:
                problems.append(type(problem)(problem.code, problem.message, field=job_id))
        if where.json and not wait:
            print_json(documents(views))
        for view in views if not where.json else ():
            children = ", and so is what it has started" if view.children else ""
            click.echo(f"{view.job_id}  {view.status if view.status.is_terminal else 'asked to stop'}{children}")
        over = await watch(where, jobs, [view.job_id for view in views]) if wait else []
    as_wanted = all(view.status is Status.CANCELLED for view in over)
    return told(problems, as_json=where.json) or (0 if as_wanted else FAILED)
