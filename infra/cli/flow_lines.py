"""A flow as a terminal shows it: a line for each step, with a bar for those that are many jobs."""

import asyncio
from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from infra.cli.operating import plain
from infra.cli.render import DIM, STYLES, duration, error_text, since, table_of
from shared.estimate import Estimate
from shared.flow_view import FlowView, StepView
from shared.view import JobView

if TYPE_CHECKING:
    from infra.cli.client import Jobs

BAR_WIDTH: Final = 16

LOOK_S: Final = 1.0
JOBS_PER_LOOK_S: Final = 10_000
"""A flow's steps are read at most so often, and the larger it is the less often."""

STEP_STYLES: Final[Mapping[str, str]] = {**STYLES, "PENDING": DIM, "SKIPPED": DIM, "BLOCKED": "red"}


class Flows:
    """The steps of the flows among the jobs that are looked at."""

    def __init__(self, jobs: "Jobs") -> None:
        self._jobs = jobs
        self._known: dict[str, tuple[float, FlowView]] = {}

    async def of(self, job: JobView) -> FlowView | None:
        """None for a job that is no flow."""
        if job.type != "flow":
            return None
        now_s, (looked_s, known) = asyncio.get_running_loop().time(), self._known.get(job.job_id, (0.0, None))
        is_fresh = known and now_s - looked_s < LOOK_S + known.counts.total / JOBS_PER_LOOK_S
        if known is None or not is_fresh or job.status.is_terminal:
            known = await self._jobs.flow(job.job_id)
            self._known[job.job_id] = now_s, known
        return known


def step_table(flow: FlowView, now: int) -> Table:
    table = table_of("STEP", "STATE", "", "DONE", "TOOK", "", right=("DONE", "TOOK"))
    for step in flow.steps:
        counts = step.counts
        bar = ProgressBar(counts.total, counts.total - counts.left, BAR_WIDTH) if step.mapped and counts else ""
        table.add_row(step.name, state_text(step), bar, done(step), _took(step, now), words(step))
    return table


def state_text(step: StepView) -> Text:
    return Text(step.state, style=STEP_STYLES[step.state])


def done(step: StepView) -> str:
    """`37/120`, of a step of many jobs."""
    return f"{step.counts.total - step.counts.left:,}/{step.counts.total:,}" if step.mapped and step.counts else ""


def words(step: StepView) -> Text:
    """What went wrong, or what it waits for."""
    failed = f"{step.counts.failed:,} failed  " if step.mapped and step.counts and step.counts.failed else ""
    if step.error is not None:
        return Text.assemble((failed, "red"), error_text(step.error))
    return Text(f"after {', '.join(step.needs)}" if step.state == "PENDING" and step.needs else failed, style=DIM)


def step_line(step: StepView, job_id: str) -> str:
    return f"{job_id}  {step.name}  {step.state}  {done(step)}  {words(step).plain}".rstrip()


def estimate_lines(found: Estimate) -> tuple[Table, list[str]]:
    """A line for each step, and the sum with what it is made of."""
    table = table_of("STEP", "TYPE", "JOBS", "PRICE", "TIME", right=("JOBS", "PRICE", "TIME"))
    for step in found.steps:
        table.add_row(step.step, step.type, f"{step.jobs:,}", f"${step.price_usd:.2g}", duration(step.duration_s))
    jobs = f"{found.jobs:,} job{'s' if found.jobs > 1 else ''}"
    total = f"about {jobs}, ${found.price_usd:.2g}, {duration(found.duration_s)}"
    return table, [total, *(f"  {plain(text)}" for text in found.assumed)]


def _took(step: StepView, now: int) -> str:
    """Of a step of many jobs, while it runs: nobody writes down when the last of them ended."""
    is_told = step.started_at and (step.completed_at or step.state == "RUNNING")
    return duration(since(step.started_at, step.completed_at, now)) if is_told and step.started_at else ""
