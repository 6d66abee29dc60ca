"""`longshore redrive`: run jobs again that are over."""

import asyncio
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import click

from infra.cli.operating import confirmed, plain, read_rate_per_s, told
from infra.cli.options import Command, Options, options
from infra.cli.selecting import REDRIVABLE, Statuses, error_option, time_option, type_option
from infra.cli.trouble import FAILED
from shared.errors import Conflict, InvalidInput, NotFound
from shared.payloads.results import Response
from shared.view import JobView

if TYPE_CHECKING:
    from infra.cli.client import Jobs
    from infra.cli.places import Document


@click.command("redrive", cls=Command)
@click.argument("job_ids", metavar="[JOB]...", nargs=-1)
@type_option("All of this type.")
@error_option("All that failed so (see `errors`), or with this error code.")
@click.option("--status", metavar="STATUS,...", type=Statuses(REDRIVABLE), help="All that ended so.  [default: failed]")
@time_option("--since", "All that ended since: 2h ago, 1d, or 2026-01-31T12:00Z.")
@click.option(
    "--rate",
    "rate_per_s",
    metavar="N/s",
    default="10/s",
    show_default=True,
    callback=read_rate_per_s,
    help="How many become due.",
)
@click.option("--canary", is_flag=True, help="One, then ten, then all of an --error; no further once it is back.")
@click.option("--dry-run", is_flag=True, help="Only count them.")
@click.option("--yes", is_flag=True, help="Don't ask, however many they are.")
def command(
    *,
    job_ids: tuple[str, ...],
    job_type: str | None,
    error: str | None,
    status: str | None,
    since: str | None,
    rate_per_s: float,
    canary: bool,
    dry_run: bool,
    yes: bool,
) -> int:
    """Run jobs again that are over.

    With all their attempts, from their last checkpoint. Either by id, or all that match every filter given; without a
    filter, none. They become due one after the other, at the rate; two and more are asked about.

    With --canary a job of its own does it, and is followed here; Ctrl-C leaves it at work. The exit code is 1 if none
    of them succeeded.

    \b
    Examples:
      longshore redrive job_0199f0c2a1b87c3e9d4f5a6b7c8d9e0f
      longshore redrive --error timeout-5f2a91c0 --dry-run
      longshore redrive --type extract --since 2h --rate 2/s --yes
      longshore redrive --error timeout-5f2a91c0 --canary
    """
    wanted = {"type": job_type, "error": error, "status": status, "ended_since": since}
    if bool(job_ids) == any(wanted.values()):
        raise InvalidInput("invalid_selection", "either job ids, or a type, error, status or time", field="filter")
    found = {name: value for name, value in wanted.items() if value} if not job_ids else {}
    if canary and not dry_run:
        if not error or status:
            raise InvalidInput("invalid_selection", "a canary is of an --error, and of no --status", field="--canary")
        return asyncio.run(_canary(options(), found, rate_per_s))
    return asyncio.run(
        _redrive(options(), list(dict.fromkeys(job_ids)), found, rate_per_s=rate_per_s, dry_run=dry_run, yes=yes)
    )


async def _canary(where: Options, wanted: "Document", rate_per_s: float) -> int:
    from infra.cli.connect import jobs_at
    from infra.cli.watching import all_good, watch

    async with jobs_at(where) as jobs:
        await jobs.known(wanted.get("type"))
        accepted = await jobs.canary(wanted, rate_per_s=rate_per_s)
        if not where.json:
            click.echo(accepted.job_id)
        good = all_good(await watch(where, jobs, [accepted.job_id]))
        if not where.json:
            _tell_report(await jobs.result(accepted.job_id))
    return 0 if good else FAILED


def _tell_report(response: Response) -> None:
    result = response.data.result
    if isinstance(result, dict) and isinstance(told := result.get("data"), dict):
        facts = ("run_again", "succeeded", "failed_same", "failed_otherwise", "moved_on", "left_alone", "stopped")
        click.echo(", ".join(f"{name.replace('_', ' ')}: {told[name]}" for name in facts if told.get(name)), err=True)


async def _redrive(
    where: Options, job_ids: list[str], wanted: dict[str, str], *, rate_per_s: float, dry_run: bool, yes: bool
) -> int:
    from infra.cli.connect import jobs_at
    from infra.cli.render import print_json

    async with jobs_at(where) as jobs:
        await jobs.known(wanted.get("type"))
        views = [await jobs.get(job_id) for job_id in job_ids]
        if wanted:
            views += [job async for job in jobs.all({"status": "failed"} | wanted)]
        if not where.json:
            click.echo(_summary(views), err=True)
        if not dry_run and len(views) > 1:
            confirmed(f"Run {len(views)} jobs again?", yes=yes)
        selected = [job.job_id for job in views]
        done = {} if dry_run else await _paced(jobs, selected, rate_per_s, quiet=where.json)
    redriven = [job_id for job_id, problem in done.items() if problem is None]
    if where.json:
        print_json({"selected": [*selected], "redriven": [*redriven]})
    for job_id in redriven if not where.json else ():
        click.echo(job_id)
    return told([problem for problem in done.values() if problem is not None], as_json=where.json)


def _summary(views: Sequence[JobView]) -> str:
    """How many of which type and failure, the most frequent first."""
    kinds = Counter((job.type, job.status, job.fingerprint or "") for job in views)
    lines = [
        f"{count:>7}  {job_type}  {status}  {plain(error)}" for (job_type, status, error), count in kinds.most_common()
    ]
    return "\n".join(line.rstrip() for line in lines) or "no such jobs"


async def _paced(
    jobs: "Jobs", job_ids: Sequence[str], rate_per_s: float, *, quiet: bool
) -> Mapping[str, Conflict | NotFound | None]:
    """Each is due 1 / `rate_per_s` seconds after the one before, however fast they are written. → who was refused"""
    from rich.progress import MofNCompleteColumn, Progress

    from infra.cli.render import stderr

    done: dict[str, Conflict | NotFound | None] = {}
    hidden = quiet or len(job_ids) == 1 or not sys.stderr.isatty()
    loop, taken = asyncio.get_running_loop(), 0
    with Progress(*Progress.get_default_columns(), MofNCompleteColumn(), console=stderr(), disable=hidden) as progress:
        bar, began_s = progress.add_task("queued again", total=len(job_ids)), loop.time()
        for job_id in job_ids:
            try:
                await jobs.redrive(job_id, delay_s=max(0.0, taken / rate_per_s - (loop.time() - began_s)))
                done[job_id], taken = None, taken + 1
            except (Conflict, NotFound) as problem:
                done[job_id] = type(problem)(problem.code, problem.message, field=job_id)
            progress.advance(bar)
    return done
