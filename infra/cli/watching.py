"""Following jobs: bars on a terminal, lines in a pipe, JSON lines for programs.

Whoever is told of a change by the WebSocket API looks at the job; whoever is not told looks every half second. So
what is shown is always the row, and an event that is lost, late or told twice does no harm.
"""

import asyncio
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Final, Protocol, Self

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn
from rich.table import Column
from rich.text import Text

from infra.cli.flow_lines import STEP_STYLES, Flows, done, step_line, words
from infra.cli.options import Options
from infra.cli.render import STYLES, counted, duration, error_text, ms_of, print_json, saying, since, stderr, took
from shared.flow_view import FlowView, StepView
from shared.status import Status
from shared.view import JobView

if TYPE_CHECKING:
    from infra.cli.client import Jobs

SHOWN_MAX: Final = 5_000
"""Of as many jobs it is remembered what was shown of them."""

GOOD: Final = frozenset({Status.SUCCESS, Status.PARTIAL_SUCCESS})


class Viewer(AbstractContextManager["Viewer"], Protocol):
    def see(self, job: JobView, flow: FlowView | None = None) -> None:
        """Told of a job whenever its row has changed, and every half second while it is alive; of a flow with its
        steps."""
        ...


async def watch(options: Options, jobs: "Jobs", job_ids: Sequence[str]) -> list[JobView]:
    """Show these jobs until every one is over; → how they ended. Raises NotFound for one that does not exist."""
    ends: dict[str, JobView] = {}
    flows = Flows(jobs)
    with viewer_for(options) as viewer:
        async for job in changes(jobs, job_ids):
            viewer.see(job, await flows.of(job))
            ends[job.job_id] = job
    return [ends[job_id] for job_id in job_ids]


async def follow(options: Options, jobs: "Jobs", job_type: str | None) -> None:
    """Show what is alive and whatever comes, of one type or of the tenant, for as long as nobody stops it."""
    with viewer_for(options, follows=True) as viewer:
        async for job in all_changes(jobs, job_type):
            viewer.see(job)


async def changes(jobs: "Jobs", job_ids: Sequence[str]) -> AsyncIterator[JobView]:
    """Each job now, and again until it is over."""
    from infra.cli.hearing import listening

    alive: dict[str, JobView] = {}
    for job in await asyncio.gather(*map(jobs.get, job_ids)):
        alive[job.job_id] = job
        yield job
    async with listening(jobs, [f"job:{job_id}" for job_id in job_ids]) as ears:
        while alive := {job_id: job for job_id, job in alive.items() if not job.status.is_terminal}:
            told = await ears.told()
            ids = [job_id for job_id in alive if told is None or job_id in told]
            alive |= {job.job_id: job for job in await asyncio.gather(*map(jobs.get, ids))}
            for job in [*alive.values()]:
                yield job


async def all_changes(jobs: "Jobs", job_type: str | None) -> AsyncIterator[JobView]:
    """What is alive among the newest jobs, then every change. Without a WebSocket API, of the newest jobs alone."""
    from infra.cli.hearing import listening

    first = (await jobs.list({"type": job_type})).jobs
    shown = {job.job_id: job for job in reversed(first)}
    for job in _alive(shown.values()):
        yield job
    async with listening(jobs, [f"type:{job_type}" if job_type else "tenant"]) as ears:
        while True:
            told = await ears.told()
            for job in await _looked(jobs, told, shown, job_type):
                if job.job_id not in shown or job.version > shown[job.job_id].version:
                    shown[job.job_id] = job
                    if job.status.is_terminal:
                        yield job
            for job in _alive(shown.values()):
                yield job
            while len(shown) > SHOWN_MAX:
                del shown[next(iter(shown))]


async def _looked(
    jobs: "Jobs", told: set[str] | None, shown: dict[str, JobView], job_type: str | None
) -> list[JobView]:
    if told is not None:
        return await asyncio.gather(*map(jobs.get, told))
    newest = (await jobs.list({"type": job_type})).jobs
    older = {job.job_id for job in _alive(shown.values())} - {job.job_id for job in newest}
    return [*await asyncio.gather(*map(jobs.get, older)), *reversed(newest)]


def _alive(jobs: Iterable[JobView]) -> list[JobView]:
    return [job for job in jobs if not job.status.is_terminal]


def all_good(jobs: Sequence[JobView]) -> bool:
    return all(job.status in GOOD for job in jobs)


def viewer_for(options: Options, *, follows: bool = False) -> Viewer:
    if options.json:
        return Lines(_print_json)
    if sys.stderr.isatty():
        return Bars(stderr(), follows=follows)
    return Lines(_print_changes)


Seen = tuple[JobView, FlowView | None]


class Lines(Viewer):
    """`write(now, before)`, each time that something has changed."""

    def __init__(self, write: Callable[[Seen, Seen | None], None]) -> None:
        self._write = write
        self._seen: dict[str, Seen] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Nothing to put away."""

    def see(self, job: JobView, flow: FlowView | None = None) -> None:
        before = self._seen.get(job.job_id)
        if before == (job, flow):
            return
        self._write((job, flow), before)
        self._seen[job.job_id] = job, flow
        if len(self._seen) > 2 * SHOWN_MAX:
            del self._seen[next(iter(self._seen))]


def _print_json(now: Seen, _before: Seen | None) -> None:
    job, flow = (view and view.model_dump(mode="json", exclude_none=True) for view in now)
    print_json({**(job or {}), **({"flow": flow} if flow else {})}, line=True)


def _print_changes(now: Seen, before: Seen | None) -> None:
    """A line for the job, and one for each step that is in another state."""
    (job, flow), (job_before, flow_before) = now, before or (None, None)
    states = {step.name: step.state for step in flow_before.steps} if flow_before else {}
    lines = [_line(job)] if job != job_before else []
    changed = [step for step in flow.steps if states.get(step.name, "PENDING") != step.state] if flow else []
    for line in [*lines, *(step_line(step, job.job_id) for step in changed)]:
        print(line, file=sys.stderr)


class Bars(Viewer):
    """One live bar for each job, and under it what it is doing or why it failed. `follows`: a job that is over goes up
    to where the terminal scrolls."""

    def __init__(self, console: Console, *, follows: bool = False) -> None:
        self._follows = follows
        self._names: dict[str, TaskID] = {}
        self._steps: dict[tuple[str, str], TaskID] = {}
        self._failures: dict[str, Text] = {}
        self._progress = Progress(
            TextColumn("{task.fields[name]}", markup=False, table_column=Column(no_wrap=True)),
            TextColumn("{task.fields[status]}", table_column=Column(no_wrap=True)),
            BarColumn(bar_width=20),
            TextColumn("{task.fields[share]}", justify="right", table_column=Column(no_wrap=True)),
            TextColumn(
                "{task.fields[words]}", markup=False, table_column=Column(no_wrap=True, overflow="ellipsis", ratio=1)
            ),
            console=console,
            expand=console.is_terminal,
            refresh_per_second=8,
        )

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Bars have little room: why a job failed is told whole below them."""
        self._progress.stop()
        for job_id, failure in self._failures.items():
            self._progress.console.print(Text.assemble(job_id, "  ", failure))

    def call(self, job_id: str, name: str) -> None:
        """Give a job's bar a name of its own."""
        self._names[job_id] = self._new(name)

    def see(self, job: JobView, flow: FlowView | None = None) -> None:
        if self._follows and job.status.is_terminal:
            self._let_go(job)
            return
        if job.job_id not in self._names:
            self.call(job.job_id, f"{job.type} …{job.job_id[-6:]}")
        progress = job.progress
        if job.error is not None and job.status.is_terminal:
            self._failures[job.job_id] = error_text(job.error)
        over = job.status.is_terminal
        share = 100.0 if job.status in GOOD else progress.percent if progress else None
        self._progress.update(
            self._names[job.job_id],
            total=100 if share is not None or over else None,
            completed=share or 0,
            status=f"[{STYLES[job.status]}]{job.status}[/]",
            share="" if share is None else f"{share:.0f}%",
            words=_words(job),
        )
        for step in flow.steps if flow else ():
            self._see_step(job.job_id, step)

    def _see_step(self, job_id: str, step: StepView) -> None:
        """One that is left out, or waits, has no bar."""
        if step.counts is None and step.error is None:
            return
        if (job_id, step.name) not in self._steps:
            self._steps[job_id, step.name] = self._new(f"  {step.name}")
        total, left = (step.counts.total, step.counts.left) if step.counts else (1, 1)
        self._progress.update(
            self._steps[job_id, step.name],
            total=None if left == total == 1 and step.state == "RUNNING" else max(1, total),
            completed=total - left if total else 1,
            status=f"[{STEP_STYLES[step.state]}]{step.state}[/]",
            share=done(step),
            words=words(step).plain,
        )

    def _let_go(self, job: JobView) -> None:
        if job.job_id in self._names:
            self._progress.remove_task(self._names.pop(job.job_id))
        self._progress.console.print(Text(_line(job), style=STYLES[job.status]))

    def _new(self, name: str) -> TaskID:
        return self._progress.add_task("", total=None, name=name, status="", share="", words="")


def now_ms() -> int:
    return time.time_ns() // 1_000_000


def _words(job: JobView) -> str:
    """Why it failed, or when it is due, or how it gets on."""
    now = now_ms()
    if job.error is not None and job.status is not Status.RUNNING:
        parts = [error_text(job.error).plain, _due(job, now)]
    elif job.progress is None or job.status is Status.QUEUED:
        parts = [_attempt(job), _due(job, now) or took(job, now)]
    else:
        said = "" if job.status.is_terminal else saying(job.progress)
        parts = [_attempt(job), counted(job.progress), _rate(job), took(job, now), said]
    return "  ".join(part for part in parts if part)


def _due(job: JobView, now: int) -> str:
    left_ms = ms_of(job.next_attempt_at) - now if job.next_attempt_at else 0
    return f"due in {duration(left_ms / 1000)}" if left_ms > 0 else ""


def _attempt(job: JobView) -> str:
    return f"attempt {job.attempts + 1} of {job.attempts_max}" if job.attempts and not job.status.is_terminal else ""


def _rate(job: JobView) -> str:
    """How many a second, up to when the row was written. A flow counts in percent; who waits counts what others do."""
    if (
        job.type == "flow"
        or job.status is Status.WAITING
        or job.progress is None
        or job.started_at is None
        or (ran_s := since(job.started_at, job.updated_at, 0)) < 0.5
    ):
        return ""
    return f"{job.progress.current / ran_s:,.0f}/s"


def _line(job: JobView) -> str:
    return f"{job.job_id}  {job.type}  {job.status}  {_words(job)}".rstrip()
