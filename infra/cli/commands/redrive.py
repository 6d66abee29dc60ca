"""`longshore redrive`: run jobs again that are over."""

import asyncio
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import click

from infra.cli.operating import confirmed, operator, plain, read_duration_s, read_rate_per_s, told
from infra.cli.options import Command, Options, options
from shared.errors import Conflict, NotFound
from shared.job import Job
from shared.status import Status

if TYPE_CHECKING:
    from shared.ports import Ports
    from shared.runtime.redriving import Selection


@click.command("redrive", cls=Command)
@click.argument("job_ids", metavar="[JOB]...", nargs=-1)
@click.option("--type", "job_type", metavar="TYPE", help="All of this type.")
@click.option("--error", metavar="FINGERPRINT", help="All that failed so (see `status`), or with this error code.")
@click.option(
    "--status",
    type=click.Choice(["FAILED", "PARTIAL_SUCCESS", "CANCELLED"], case_sensitive=False),
    help="All that ended so.  [default: FAILED]",
)
@click.option("--since", "since_s", metavar="TIME", callback=read_duration_s, help="All that ended in the last 2h, 1d.")
@click.option(
    "--rate",
    "rate_per_s",
    metavar="N/s",
    default="10/s",
    show_default=True,
    callback=read_rate_per_s,
    help="How many become due.",
)
@click.option("--dry-run", is_flag=True, help="Only count them.")
@click.option("--yes", is_flag=True, help="Don't ask, however many they are.")
def command(
    *,
    job_ids: tuple[str, ...],
    job_type: str | None,
    error: str | None,
    status: str | None,
    since_s: float | None,
    rate_per_s: float,
    dry_run: bool,
    yes: bool,
) -> int:
    """Run jobs again that are over.

    With all their attempts, from their last checkpoint. Either by id, or all that match every filter given; without a
    filter, none. They become due one after the other, at the rate; two and more are asked about.

    \b
    Examples:
      longshore redrive job_0199f0c2a1b87c3e9d4f5a6b7c8d9e0f
      longshore redrive --error timeout-5f2a91c0 --dry-run
      longshore redrive --type extract --since 2h --rate 2/s --yes
    """
    from shared.runtime.redriving import Selection

    def selection(now: int) -> Selection:
        return Selection(
            job_ids=job_ids,
            type=job_type,
            error=error,
            status=Status(status) if status else None,
            ended_since=None if since_s is None else now - round(since_s * 1000),
        )

    return asyncio.run(_redrive(options(), selection, rate_per_s=rate_per_s, dry_run=dry_run, yes=yes))


async def _redrive(
    where: Options, selection: "Callable[[int], Selection]", *, rate_per_s: float, dry_run: bool, yes: bool
) -> int:
    from infra.cli.connect import ports_at
    from infra.cli.render import print_json
    from shared.runtime.redriving import selected

    async with ports_at(where) as ports:
        jobs = [job async for job in selected(ports, where.tenant, selection(ports.now()))]
        if not where.json:
            click.echo(_summary(jobs), err=True)
        if not dry_run and len(jobs) > 1:
            confirmed(f"Run {len(jobs)} jobs again?", yes=yes)
        done = [] if dry_run else await _paced(ports, jobs, rate_per_s, quiet=where.json)
    redriven = [one.job_id for one in done if isinstance(one, Job)]
    if where.json:
        print_json({"selected": [job.job_id for job in jobs], "redriven": [*redriven]})
    for job_id in redriven if not where.json else ():
        click.echo(job_id)
    return told([one for one in done if not isinstance(one, Job)], as_json=where.json)


def _summary(jobs: Sequence[Job]) -> str:
    """How many of which type and failure, the most frequent first."""
    from shared.fingerprint import fingerprint_of

    kinds = Counter((job.type, job.status, fingerprint_of(job) or "") for job in jobs)
    lines = [
        f"{count:>7}  {job_type}  {status}  {plain(error)}" for (job_type, status, error), count in kinds.most_common()
    ]
    return "\n".join(line.rstrip() for line in lines) or "no such jobs"


async def _paced(
    ports: "Ports", jobs: Sequence[Job], rate_per_s: float, *, quiet: bool
) -> list[Job | Conflict | NotFound]:
    from rich.progress import MofNCompleteColumn, Progress

    from infra.cli.render import stderr
    from shared.runtime.redriving import redrive_paced

    done: list[Job | Conflict | NotFound] = []
    hidden = quiet or len(jobs) == 1 or not sys.stderr.isatty()
    with Progress(*Progress.get_default_columns(), MofNCompleteColumn(), console=stderr(), disable=hidden) as progress:
        bar = progress.add_task("queued again", total=len(jobs))
        async for one in redrive_paced(ports, jobs, who=operator(), rate_per_s=rate_per_s):
            done.append(one)
            progress.advance(bar)
    return done
