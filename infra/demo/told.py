"""What the demonstration came to, as people and as programs read it."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import JsonValue
from rich.console import Console
from rich.table import Table
from rich.text import Text

from infra.cli.render import DIM, error_text, since, size, status_text
from shared.payloads.results import ProcessResult
from shared.view import JobView


@dataclass(frozen=True, slots=True)
class Finished:
    """One job of the demonstration: how it ended, and where what it made is now: a directory, or a database."""

    name: str
    job: JobView
    result: ProcessResult | None
    made: Path

    @property
    def url(self) -> str | None:
        return self.result.artifact.url if self.result and self.result.artifact else None

    @property
    def size_bytes(self) -> int:
        """Of all that it made, without the result document."""
        files = [self.made] if self.made.is_file() else self.made.rglob("*")
        return sum(path.stat().st_size for path in files if path.is_file() and path.name != "result.json")

    @property
    def seconds(self) -> float:
        """Of its last run; of a flow, from its submission."""
        began_at = self.job.created_at if self.job.type == "flow" else self.job.started_at
        return since(began_at, self.job.completed_at, 0) if began_at else 0.0


@dataclass(frozen=True, slots=True)
class Checked:
    """One proof: `difference` is None if it held."""

    name: str
    found: str
    difference: str | None = None


def tell(console: Console, finished: Sequence[Finished], checks: Sequence[Checked]) -> None:
    console.print()
    console.print(_results(finished))
    console.print()
    for one in finished:
        if one.job.error is not None:
            console.print(Text.assemble(("✗ ", "bold red"), (one.name, "bold"), " ", error_text(one.job.error)))
    for check in checks:
        mark = ("✓ ", "green") if check.difference is None else ("✗ ", "bold red")
        console.print(Text.assemble(mark, (check.name, "bold"), " ", check.difference or check.found))
    console.print("\nWhere the artefacts were, and what fetched them while this cloud was up:", style=DIM)
    for one in finished:
        if one.url is not None:
            console.print(f"  {one.url}", soft_wrap=True)
            fetch = f"longshore result {one.job.job_id} --download {one.made}"
            console.print(f"    {fetch}", style=DIM, soft_wrap=True)


def document(finished: Sequence[Finished], checks: Sequence[Checked]) -> dict[str, JsonValue]:
    jobs: list[JsonValue] = [
        {
            "name": one.name,
            "job_id": one.job.job_id,
            "status": str(one.job.status),
            "rows": one.result.records_processed if one.result else 0,
            "size_bytes": one.size_bytes,
            "seconds": one.seconds,
            "url": one.url,
            "made": str(one.made),
        }
        for one in finished
    ]
    proofs: list[JsonValue] = [
        {"name": check.name, "proved": check.difference is None, "found": check.difference or check.found}
        for check in checks
    ]
    return {"jobs": jobs, "proofs": proofs}


def _results(finished: Sequence[Finished]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    table.add_column("JOB")
    table.add_column("STATUS")
    for title in ("ROWS", "SIZE", "SECONDS"):
        table.add_column(title, justify="right")
    table.add_column("MADE", overflow="fold")
    for one in finished:
        rows = f"{one.result.records_processed:,}" if one.result else ""
        table.add_row(
            one.name, status_text(one.job.status), rows, size(one.size_bytes), f"{one.seconds:.1f}", str(one.made)
        )
    return table
