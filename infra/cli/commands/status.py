"""`longshore status`: one job, as it is now."""

import asyncio
from typing import TYPE_CHECKING

import click
from pydantic import JsonValue

from infra.cli.options import Command, Options, options

if TYPE_CHECKING:
    from infra.cli.client import Jobs


@click.command("status", cls=Command)
@click.argument("job_id", metavar="JOB")
def command(job_id: str) -> None:
    """Show everything about one job.

    Its status, progress, attempts, errors, payload and history; of a flow all its steps.

    \b
    Examples:
      longshore status job_0199f0c2a1b87c3e9d4f5a6b7c8d9e0f
      longshore status job_0199f0c2a1b87c3e9d4f5a6b7c8d9e0f --json | jq -r .status
    """
    asyncio.run(_status(options(), job_id))


async def _status(where: Options, job_id: str) -> None:
    from infra.cli.connect import jobs_at
    from infra.cli.flow_lines import Flows, step_table
    from infra.cli.render import as_json, job_facts, print_facts, print_json, stdout
    from infra.cli.watching import now_ms

    async with jobs_at(where) as jobs:
        view = await jobs.get(job_id)
        payload, flow = await _payload(jobs, job_id), await Flows(jobs).of(view)
        if where.json:
            more = {"payload": payload} | ({"flow": flow.model_dump(mode="json", exclude_none=True)} if flow else {})
            print_json({**view.model_dump(mode="json", exclude_none=True), **more})
            return
        failures = await jobs.failures(job_id) if view.error is not None else ()
        words = payload if isinstance(payload, str) else as_json(payload)
        print_facts(job_facts(view, now_ms(), failures, words))
        if flow is not None:
            stdout().print("", step_table(flow, now_ms()))


async def _payload(jobs: "Jobs", job_id: str) -> JsonValue:
    """What it was asked to do, where it lies if that is much, or why it is not told."""
    from shared.errors import NotFound

    try:
        found = await jobs.payload(job_id)
    except NotFound as gone:
        return gone.message
    return found.href or found.payload
