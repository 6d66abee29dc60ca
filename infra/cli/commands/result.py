"""`longshore result`: what a job came to, and its files."""

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING

import click

from infra.cli.options import Command, Options, options
from infra.cli.trouble import FAILED

if TYPE_CHECKING:
    from infra.cli.artifacts import Stream
    from shared.runtime.api.jobs import Result


@click.command("result", cls=Command)
@click.argument("job_id", metavar="JOB")
@click.option("--download", metavar="DIR", type=click.Path(file_okay=False, path_type=Path), help="Fetch the files.")
def command(job_id: str, download: Path | None) -> int:
    """Show a job's result, fetch its files.

    The exit code is 1 if the job failed.

    \b
    Examples:
      longshore result job_0199f0c2a1b87c3e9d4f5a6b7c8d9e0f
      longshore result job_0199f0c2a1b87c3e9d4f5a6b7c8d9e0f --download out
      longshore result job_0199f0c2a1b87c3e9d4f5a6b7c8d9e0f --json | jq .data.result.artifact.url
    """
    return asyncio.run(_result(options(), job_id, download))


async def _result(where: Options, job_id: str, directory: Path | None) -> int:
    from infra.cli.connect import jobs_at
    from infra.cli.render import print_facts, print_json, result_facts

    async with jobs_at(where) as jobs:
        result = await jobs.result(job_id)
        if where.json:
            print_json(result)
        else:
            print_facts(result_facts(result))
        if directory is not None:
            for path in await _download(result, jobs.stream, directory, quiet=where.json):
                click.echo(str(path), err=where.json)
    return 0 if result.success else FAILED


async def _download(result: "Result", stream: "Stream", directory: Path, *, quiet: bool) -> list[Path]:
    from rich.progress import BarColumn, Progress, TaskID, TextColumn

    from infra.cli.artifacts import download
    from infra.cli.render import size, stderr

    columns = (TextColumn("{task.description}", markup=False), BarColumn(), TextColumn("{task.fields[arrived]}"))
    bars: dict[str, TaskID] = {}
    with Progress(*columns, console=stderr(), disable=quiet) as progress:

        def report(name: str, arrived_bytes: int, size_bytes: int | None) -> None:
            if name not in bars:
                bars[name] = progress.add_task(name, arrived="")
            progress.update(bars[name], completed=arrived_bytes, total=size_bytes, arrived=size(arrived_bytes))

        return await download(result, stream, directory, report)
