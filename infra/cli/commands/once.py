"""`longshore once`: run the one job that the environment names, and end with its outcome."""

import asyncio
import os

import click

from infra.cli.commands.worker import job_type_named, who
from infra.cli.options import Command, Options, options


@click.command("once", cls=Command)
def command() -> int:
    """Run the one job that the environment names.

    In this process, for a container task or a batch scheduler. JOB_TYPE and JOB_PAYLOAD (JSON) name it;
    JOB_ID, TENANT_ID, USER_ID and WORKER_ID may be given. The exit code is 0
    if it is done, 1 if it failed, 75 if it is queued again.

    \b
    Examples:
      JOB_TYPE=generic JOB_PAYLOAD='{"operation": "echo"}' longshore once
      docker run -e JOB_TYPE=backup -e JOB_PAYLOAD='{"database": "secret://shop"}' IMAGE longshore --endpoint aws once
    """
    from shared.runtime.logs import configure_logs

    configure_logs(pretty=True)
    return asyncio.run(_once(options()))


async def _once(where: Options) -> int:
    from infra.cli.connect import ports_at
    from infra.cli.render import print_json
    from shared.runtime.beats import HeartThread
    from shared.runtime.one_shot import exit_code, read_environment, run_once
    from shared.view import view_of

    payload = read_environment(os.environ)
    job_type = job_type_named(payload.type)
    async with ports_at(where) as ports, HeartThread(lambda: ports_at(where)) as beats:
        job = await run_once(payload, job_type, ports, beats, who=who())
        print_json(view_of(job, bucket=ports.objects.bucket))
    return exit_code(job)
