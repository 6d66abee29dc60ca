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
from shared.view import JobView, MoveView, ProgressView, view_of

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

Facts = list[tuple[str, str | Text]]
"""Names and values; a value may have several lines."""


def stdout() -> Console:
    """As wide as the terminal; a pipe has no edge to wrap at."""
    return Console(highlight=False, width=None if sys.stdout.isatty() else PIPE_WIDTH)


def stderr() -> Console:
    return Console(highlight=False, stderr=True, width=None if sys.stderr.isatty() else PIPE_WIDTH)


def print_json(document: BaseModel | JsonValue, *, line: bool = False) -> None:
    """One JSON document on stdout; `line`: on one line of its own."""
    value = document.model_dump(mode="json", exclude_none=True) if isinstance(document, BaseModel) else document
    print(json.dumps(value, ensure_ascii=False, indent=None if line else 2), flush=line)


def print_facts(facts: Facts) -> None:
    """A line each. The terminal breaks long ones, not we: a URL can be copied whole."""
    console, width = stdout(), max(len(name) for name, _ in facts)
    for name, value in facts:
        first, *more = value.split("\n") if isinstance(value, Text) else [Text(line) for line in value.split("\n")]
        console.print(Text.assemble((f"{name:<{width}}  ", DIM), first), soft_wrap=True)
        for line in more:
            console.print(Text.assemble(" " * (width + 2), line), soft_wrap=True)


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
    table.add_column("ERROR", overflow="ellipsis")  # what a narrow terminal shortens first
    for job in jobs:
        view = view_of(job, bucket="")
        age = duration((now - job.created_at) / 1000).split(" ")
        table.add_row(
            job.job_id,
            job.type,
            status_text(job.status),
            _percent(view) or counted(view.progress),
            "".join(age[:2]),
            Text(view.fingerprint or ""),
        )
    return table


def job_facts(view: JobView, job: Job, now: int, failures: Iterable[ErrorBody] = ()) -> Facts:
    """Everything about one job."""
    progress = view.progress
    saying = f"{progress.context} {progress.message}".strip() if progress else ""
    named: dict[str, str | Text | None] = {
        "job": view.job_id,
        "type": view.type,
        "status": status_text(view.status),
        "tenant": view.tenant_id,
        "attempts": f"{view.attempts} of {view.attempts_max} failed" if view.attempts else None,
        "progress": "  ".join(part for part in (_percent(view), counted(progress), saying) if part),
        "due": view.next_attempt_at,
        "error": error_text(view.error) if view.error else None,
        "fingerprint": view.fingerprint,
        "created": view.created_at,
        "started": view.started_at,
        "completed": view.completed_at,
        "took": took(job, now),
        "result": view.result_url,
    }
    facts = [(name, value) for name, value in named.items() if value]
    facts += [(f"attempt {failure.attempt}", failure.trace or failure.message) for failure in failures]
    facts += [("history" if move is view.history[0] else "", _move_text(move)) for move in view.history]
    return facts


def _move_text(move: MoveView) -> Text:
    return Text.assemble((move.at, DIM), f"  {move.event:<10}  ", (f"{move.who} {move.note}".strip(), DIM))


def error_text(error: ErrorBody) -> Text:
    where = f" ({error.field})" if error.field else ""
    return Text.assemble((f"{error.code}{where}", "red"), f": {error.message}")


def _percent(view: JobView) -> str:
    done = view.progress.percent if view.progress else None
    return "" if done is None else f"{done:.0f}%"


# --- results ----------------------------------------------------------------------------------------------------------

ERRORS_SHOWN_MAX: Final = 20


def result_facts(response: Response) -> Facts:
    """What a job came to: counts, files, errors, and whatever else its handler told."""
    data, result = response.data, response.data.result
    told = dict(result) if isinstance(result, dict) else {}
    more = told.pop("data", None)
    told |= more if isinstance(more, dict) else {}
    facts: Facts = [("job", f"{data.job_id}  {data.type}")]
    facts.append(("success", Text("yes", style="green") if response.success else Text("no", style="bold red")))
    facts += [
        (name.replace("_", " "), _shown(name, value)) for name, value in told.items() if value not in ([], {}, None)
    ]
    facts += [("error", error_text(response.error))] if response.error else []
    errors = data.details.get("errors")
    left_out = errors[:ERRORS_SHOWN_MAX] if isinstance(errors, list) else []
    facts += [("left out", json.dumps(error, ensure_ascii=False)) for error in left_out]
    return facts


def _shown(name: str, value: JsonValue) -> str:
    match name, value:
        case "artifact", {"url": str(url)}:
            return url
        case _, [{"url": str()}, *_]:
            return "\n".join(_file(file) for file in value if isinstance(file, dict))
        case "duration", float(seconds):
            return duration(seconds)
        case _, int():
            return f"{value:,}"
        case _, str(text):
            return text
    return json.dumps(value, ensure_ascii=False, indent=2)


def _file(file: dict[str, JsonValue]) -> str:
    """Its name, size and rows."""
    size_bytes, records = file.get("size_bytes"), file.get("records")
    words = [str(file["url"]).rpartition("/")[2]]
    words += [size(size_bytes)] if isinstance(size_bytes, int) else []
    words += [f"{records:,} rows"] if isinstance(records, int) else []
    return "  ".join(words)
