"""How things look: colours, tables, sizes and durations in words. Nothing here asks anybody for anything."""

import json
import sys
from collections.abc import Iterable, Sequence
from typing import Final

from pydantic import BaseModel, JsonValue
from rich.console import Console
from rich.table import Table
from rich.text import Text

from shared.job import Job
from shared.payloads.results import ErrorBody, Response
from shared.view import JobView, ProgressView, view_of

STYLES: Final = {
    "WAITING": "yellow",
    "QUEUED": "yellow",
    "RUNNING": "cyan",
    "SUCCESS": "green",
    "PARTIAL_SUCCESS": "yellow",
    "FAILED": "bold red",
    "CANCELLED": "bright_black",
}

DIM: Final = "bright_black"

PIPE_WIDTH: Final = 240


def stdout() -> Console:
    """As wide as the terminal; a pipe has no edge to wrap at."""
    return Console(highlight=False, width=None if sys.stdout.isatty() else PIPE_WIDTH)


def stderr() -> Console:
    return Console(highlight=False, stderr=True, width=None if sys.stderr.isatty() else PIPE_WIDTH)


def print_json(document: BaseModel | JsonValue, *, line: bool = False) -> None:
    """One JSON document on stdout; `line`: on one line of its own."""
    value = document.model_dump(mode="json", exclude_none=True) if isinstance(document, BaseModel) else document
    print(json.dumps(value, ensure_ascii=False, indent=None if line else 2), flush=line)


def status_text(status: str) -> Text:
    return Text(status, style=STYLES[status])


# --- words ------------------------------------------------------------------------------------------------------------


def size(size_bytes: int) -> str:
    """12 bytes, 3.4 KB, 12 MB: powers of 1,000, two digits."""
    amount, unit = float(size_bytes), "bytes"
    for larger in ("KB", "MB", "GB", "TB"):
        if amount < 999.5:
            break
        amount, unit = amount / 1000, larger
    return f"{amount:.1f} {unit}" if unit != "bytes" and amount < 9.95 else f"{amount:.0f} {unit}"


def duration(seconds: float) -> str:
    """0.4 s, 12 s, 3 min 4 s, 2 h 5 min, 3 d 1 h."""
    if seconds < 9.95:
        return f"{max(0.0, seconds):.1f} s"
    rest = round(seconds)
    for unit, unit_s, smaller, smaller_s in (("d", 86_400, "h", 3600), ("h", 3600, "min", 60), ("min", 60, "s", 1)):
        if rest >= unit_s:
            return f"{rest // unit_s} {unit} {rest % unit_s // smaller_s} {smaller}"
    return f"{rest} s"


def took(job: Job, now: int) -> str:
    """How long the job has run, or did run."""
    if job.started_at is None:
        return ""
    return duration(((job.completed_at or now) - job.started_at) / 1000)


def counted(progress: ProgressView | None) -> str:
    """`12,000/410,000`; without a total, or when all is done, `12,000`."""
    if progress is None:
        return ""
    missing = progress.total is not None and progress.current != progress.total
    return f"{progress.current:,}" + (f"/{progress.total:,}" if missing else "")


# --- jobs -------------------------------------------------------------------------------------------------------------


def job_table(jobs: Sequence[Job], now: int) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for title in ("JOB", "TYPE", "STATUS", "DONE", "AGE"):
        table.add_column(title, no_wrap=True, justify="right" if title in ("DONE", "AGE") else "left")
    for job in jobs:
        view = view_of(job, bucket="")
        age = duration((now - job.created_at) / 1000).split(" ")
        table.add_row(job.job_id, job.type, status_text(job.status), _percent(view), "".join(age[:2]))
    return table


def job_details(view: JobView, job: Job, now: int, failures: Iterable[ErrorBody] = ()) -> Table:
    """Everything about one job, a line each."""
    table = facts()
    table.add_row("job", view.job_id)
    table.add_row("type", view.type)
    table.add_row("status", status_text(view.status))
    for name, text in _facts_of(view, job, now).items():
        if text:
            table.add_row(name, text)
    for failure in failures:
        table.add_row("attempt " + str(failure.attempt), Text(failure.trace or failure.message, style=DIM))
    for number, move in enumerate(view.history):
        words = Text.assemble((move.at, DIM), "  ", move.event, "  ", (f"{move.who} {move.note}".strip(), DIM))
        table.add_row("" if number else "history", words)
    return table


def facts() -> Table:
    """An empty table of name and value."""
    table = Table.grid(padding=(0, 2))
    table.add_column(style=DIM, no_wrap=True)
    table.add_column(overflow="fold")
    return table


def error_text(error: ErrorBody) -> Text:
    where = f" ({error.field})" if error.field else ""
    return Text.assemble((f"{error.code}{where}", "red"), f": {error.message}")


def _facts_of(view: JobView, job: Job, now: int) -> dict[str, str | Text | None]:
    progress = view.progress
    words = " ".join(part for part in (counted(progress), progress.context if progress else "") if part)
    said = f"{words} · {progress.message}" if progress and progress.message else words
    return {
        "tenant": view.tenant_id,
        "attempt": f"{view.attempts} of {view.attempts_max} failed" if view.attempts else None,
        "progress": f"{_percent(view)}  {said}".strip(),
        "next try": view.next_attempt_at if view.attempts else None,
        "due": view.next_attempt_at if not view.attempts else None,
        "error": error_text(view.error) if view.error else None,
        "created": view.created_at,
        "started": view.started_at,
        "completed": view.completed_at,
        "took": took(job, now),
        "result": view.result_url,
    }


def _percent(view: JobView) -> str:
    done = view.progress.percent if view.progress else None
    if done is None:
        return counted(view.progress)
    return f"{done:.0f}%"


# --- results ----------------------------------------------------------------------------------------------------------

ERRORS_SHOWN_MAX: Final = 20


def result_details(response: Response) -> Table:
    """What a job came to: counts, files, errors, and whatever else its handler told."""
    table = facts()
    table.add_row("job", f"{response.data.job_id}  {response.data.type}")
    table.add_row("success", Text("yes", style="green") if response.success else Text("no", style="bold red"))
    result = response.data.result
    told = dict(result) if isinstance(result, dict) else {}
    more = told.pop("data", None)
    for name, value in (told | (more if isinstance(more, dict) else {})).items():
        if value not in ([], {}, None):
            table.add_row(name.replace("_", " "), _shown(name, value))
    if response.error is not None:
        table.add_row("error", error_text(response.error))
    errors = response.data.details.get("errors")
    for error in errors[:ERRORS_SHOWN_MAX] if isinstance(errors, list) else ():
        table.add_row("left out", json.dumps(error, ensure_ascii=False))
    return table


def _shown(name: str, value: JsonValue) -> str:
    match name, value:
        case _, {"url": str(url), "size_bytes": int(size_bytes), **more}:
            return "  ".join([url, size(size_bytes), *(f"{more['records']:,} rows" if "records" in more else "",)])
        case "duration", float(seconds):
            return duration(seconds)
        case _, [{"url": str()}, *_]:
            return "\n".join(_shown("", file) for file in value)
        case _, int():
            return f"{value:,}"
        case _, str(text):
            return text
    return json.dumps(value, ensure_ascii=False, indent=2)
