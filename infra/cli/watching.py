"""Following jobs until they are over: bars on a terminal, lines in a pipe, JSON lines for programs."""

import asyncio
import sys
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractContextManager
from typing import Final, Protocol, Self

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn
from rich.table import Column
from rich.text import Text

from infra.cli.options import Options
from infra.cli.render import STYLES, counted, duration, error_text, print_json, stderr, took
from shared.job import Job
from shared.ports import Ports
from shared.runtime.service import Service
from shared.status import Status
from shared.view import JobView, view_of

POLL_S: Final = 0.5

GOOD: Final = frozenset({Status.SUCCESS, Status.PARTIAL_SUCCESS})


class Viewer(AbstractContextManager["Viewer"], Protocol):
    def see(self, job: Job, now: int) -> None:
        """Told of a job whenever its row has changed, and once a poll while it runs."""
        ...


async def watch(options: Options, ports: Ports, job_ids: Sequence[str]) -> list[Job]:
    """Show these jobs until every one is over; → their rows. Raises NotFound for one that does not exist."""
    service = Service(ports)
    jobs = [await service.get(options.tenant, job_id) for job_id in job_ids]
    with viewer_for(options, ports) as viewer:
        async for job in changes(ports, jobs):
            viewer.see(job, ports.now())
            jobs = [job if job.job_id == old.job_id else old for old in jobs]
    return jobs


async def changes(ports: Ports, jobs: Sequence[Job]) -> AsyncIterator[Job]:
    """Each job now, and again at every look until it is over."""
    alive = list(jobs)
    for job in alive:
        yield job
    service = Service(ports)
    while alive := [job for job in alive if not job.status.is_terminal]:
        await asyncio.sleep(POLL_S)
        alive = list(await asyncio.gather(*(service.get(job.tenant_id, job.job_id) for job in alive)))
        for job in alive:
            yield job


def all_good(jobs: Sequence[Job]) -> bool:
    return all(job.status in GOOD for job in jobs)


def viewer_for(options: Options, ports: Ports) -> Viewer:
    if options.json:
        return Lines(lambda job, _: print_json(view_of(job, bucket=ports.objects.bucket), line=True))
    return Bars(stderr()) if sys.stderr.isatty() else Lines(lambda job, now: print(_line(job, now), file=sys.stderr))


class Lines(Viewer):
    """One line for each change."""

    def __init__(self, write: Callable[[Job, int], None]) -> None:
        self._write = write
        self._seen: dict[str, Job] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Nothing to put away."""

    def see(self, job: Job, now: int) -> None:
        if self._seen.get(job.job_id) != job:
            self._seen[job.job_id] = job
            self._write(job, now)


class Bars(Viewer):
    """One live bar for each job, and under it what it is doing or why it failed."""

    def __init__(self, console: Console) -> None:
        self._names: dict[str, TaskID] = {}
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
        for job_id, words in self._failures.items():
            self._progress.console.print(Text.assemble(job_id, "  ", words))

    def call(self, job: Job, name: str) -> None:
        """Give a job's bar a name of its own."""
        self._names[job.job_id] = self._new(name)

    def see(self, job: Job, now: int) -> None:
        if job.job_id not in self._names:
            self.call(job, f"{job.type} …{job.job_id[-6:]}")
        view = view_of(job, bucket="")
        progress = view.progress
        if view.error is not None and job.status.is_terminal:
            self._failures[job.job_id] = error_text(view.error)
        over = job.status.is_terminal
        share = 100.0 if job.status in GOOD else progress.percent if progress else None
        self._progress.update(
            self._names[job.job_id],
            total=100 if share is not None or over else None,
            completed=share or 0,
            status=f"[{STYLES[job.status]}]{job.status}[/]",
            share="" if share is None else f"{share:.0f}%",
            words=_words(view, job, now),
        )

    def _new(self, name: str) -> TaskID:
        return self._progress.add_task("", total=None, name=name, status="", share="", words="")


def _words(view: JobView, job: Job, now: int) -> str:
    """Why it failed, or when it is due, or how it gets on."""
    if view.error is not None and job.status is not Status.RUNNING:
        parts = [error_text(view.error).plain, _due(job, now)]
    elif view.progress is None or job.status is Status.QUEUED:
        parts = [_attempt(job), _due(job, now) or took(job, now)]
    else:
        saying = "" if job.status.is_terminal else view.progress.message
        parts = [_attempt(job), counted(view.progress), _rate(view, job), took(job, now), saying]
    return "  ".join(part for part in parts if part)


def _due(job: Job, now: int) -> str:
    soon = job.status is not Status.QUEUED or job.due_at <= now
    return "" if soon else f"due in {duration((job.due_at - now) / 1000)}"


def _attempt(job: Job) -> str:
    return f"attempt {job.attempts + 1} of {job.attempts_max}" if job.attempts and not job.status.is_terminal else ""


def _rate(view: JobView, job: Job) -> str:
    """How many a second, up to when the row was written."""
    if view.progress is None or job.started_at is None or (ran_ms := job.updated_at - job.started_at) < 500:
        return ""
    return f"{view.progress.current * 1000 / ran_ms:,.0f}/s"


def _line(job: Job, now: int) -> str:
    words = _words(view_of(job, bucket=""), job, now)
    return f"{job.job_id}  {job.type}  {job.status}  {words}".rstrip()
