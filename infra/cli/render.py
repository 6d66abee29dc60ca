"""How things look: colours, tables, sizes and durations in words. Nothing here asks anybody for anything.

What jobs say of themselves is a stranger's text: nothing of it reaches a terminal that the terminal would obey.
"""

import json
import sys
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Final

from pydantic import BaseModel, JsonValue
from rich.console import Console
from rich.table import Table
from rich.text import Text

from infra.cli.operating import plain
from shared.payloads.results import ErrorBody, Response
from shared.runtime.api.jobs import Why
from shared.runtime.api.many import ErrorGroup
from shared.view import JobView, MoveView, ParentView, ProgressView

LEVELS_MAX: Final = 8
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


def documents(jobs: Sequence[JobView]) -> dict[str, JsonValue]:
    return {"jobs": [job.model_dump(mode="json", exclude_none=True) for job in jobs]}


def print_facts(facts: Facts) -> None:
    """A line each. The terminal breaks long ones, not we: a URL can be copied whole."""
    console, width = stdout(), max(len(name) for name, _ in facts)
    for name, value in facts:
        lines = value.split("\n") if isinstance(value, Text) else [Text(plain(line)) for line in value.split("\n")]
        first, *more = lines
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


def ms_of(moment: str) -> int:
    """RFC 3339 → milliseconds since the epoch"""
    return round(datetime.fromisoformat(moment).timestamp() * 1000)


def since(moment: str, until: str | None, now: int) -> float:
    """Seconds between two moments; up to now where there is no second."""
    return ((ms_of(until) if until else now) - ms_of(moment)) / 1000


def took(job: JobView, now: int) -> str:
    """How long the job has run, or did run."""
    return duration(since(job.started_at, job.completed_at, now)) if job.started_at else ""


def as_json(value: JsonValue) -> str:
    return json.dumps(value, ensure_ascii=False, indent=2)


def counted(progress: ProgressView | None) -> str:
    """`12,000/410,000`; without a total, or when all is done, `12,000`."""
    if progress is None:
        return ""
    missing = progress.total is not None and progress.current != progress.total
    return f"{progress.current:,}" + (f"/{progress.total:,}" if missing else "")


# --- jobs -------------------------------------------------------------------------------------------------------------


def job_table(jobs: Sequence[JobView], now: int) -> Table:
    table = table_of("JOB", "TYPE", "STATUS", "DONE", "AGE", right=("DONE", "AGE"))
    table.add_column("ERROR", overflow="ellipsis")  # what a narrow terminal shortens first
    for job in jobs:
        table.add_row(
            job.job_id,
            job.type,
            status_text(job.status),
            _percent(job) or counted(job.progress),
            _age(job.created_at, now),
            Text(plain(job.fingerprint or "")),
        )
    return table


def error_table(groups: Sequence[ErrorGroup], now: int) -> Table:
    table = table_of("COUNT", "TYPE", "FINGERPRINT", "NEWEST", "OLDEST", right=("COUNT", "NEWEST", "OLDEST"))
    table.add_column("MESSAGE", overflow="ellipsis", no_wrap=True)
    for group in groups:
        message = Text(plain(group.error.message))
        newest, oldest = _age(group.newest_at, now), _age(group.oldest_at, now)
        table.add_row(f"{group.count:,}", group.type, Text(plain(group.fingerprint)), newest, oldest, message)
    return table


def table_of(*titles: str, right: Sequence[str] = ()) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for title in titles:
        table.add_column(title, no_wrap=True, justify="right" if title in right else "left")
    return table


def _age(moment: str, now: int) -> str:
    return "".join(duration(since(moment, None, now)).split(" ")[:2])


def saying(progress: ProgressView | None) -> str:
    """`Lasagne: 4/7 ingredients`, two blanks in for each level."""
    said = ": ".join(plain(part) for part in (progress.context, progress.message) if part) if progress else ""
    return "  " * min(LEVELS_MAX, progress.indent_level) + said if progress and said else ""


def why_facts(found: Why) -> Facts:
    """The reasons, each with what a person can do about it."""
    facts: Facts = [("job", found.job_id), ("status", status_text(found.status))]
    for reason in found.reasons:
        facts.append(("why" if reason is found.reasons[0] else "", reason.text))
        facts += [("until", reason.until)] if reason.until else []
        facts += [("do", Text(plain(reason.action), style="bold"))] if reason.action else []
    return facts


def job_facts(view: JobView, now: int, failures: Iterable[ErrorBody] = (), payload: str = "") -> Facts:
    """Everything about one job; `payload` in words."""
    progress = view.progress
    named: dict[str, str | Text | None] = {
        "job": view.job_id,
        "type": view.type,
        "status": status_text(view.status),
        "tenant": view.tenant_id,
        "user": view.user_id,
        "parent": _parent_text(view.parent) if view.parent else None,
        "priority": view.priority if view.priority != "normal" else None,
        "attempts": f"{view.attempts} of {view.attempts_max} failed" if view.attempts else None,
        "progress": "  ".join(part for part in (_percent(view), counted(progress), saying(progress)) if part),
        "due": view.next_attempt_at,
        "error": error_text(view.error) if view.error else None,
        "fingerprint": view.fingerprint,
        "created": view.created_at,
        "started": view.started_at,
        "completed": view.completed_at,
        "took": took(view, now),
        "result": view.result_url,
        "payload": payload,
        "metadata": as_json(view.metadata) if view.metadata else None,
    }
    facts = [(name, value) for name, value in named.items() if value]
    facts += [(f"attempt {failure.attempt}", failure.trace or failure.message) for failure in failures]
    facts += [("history" if move is view.history[0] else "", _move_text(move)) for move in view.history]
    return facts


def _parent_text(parent: ParentView) -> str:
    which = f" #{parent.index} of {parent.total:,}" if parent.total > 1 else ""
    return f"{parent.job_id}  {parent.step}{which}"


def _move_text(move: MoveView) -> Text:
    return Text.assemble((move.at, DIM), f"  {move.event:<10}  ", (plain(f"{move.who} {move.note}".strip()), DIM))


def error_text(error: ErrorBody) -> Text:
    where = f" ({error.field})" if error.field else ""
    return Text.assemble((plain(f"{error.code}{where}"), "red"), f": {plain(error.message)}")


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
        case _, int() if not isinstance(value, bool):
            return f"{value:,}"
        case _, str(text):
            return text
    return as_json(value)


def _file(file: dict[str, JsonValue]) -> str:
    """Its name, size and rows."""
    size_bytes, records = file.get("size_bytes"), file.get("records")
    words = [str(file["url"]).rpartition("/")[2]]
    words += [size(size_bytes)] if isinstance(size_bytes, int) else []
    words += [f"{records:,} rows"] if isinstance(records, int) else []
    return "  ".join(words)
