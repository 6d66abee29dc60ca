"""`longshore stats`: what a tenant's jobs come to, by type."""

from typing import TYPE_CHECKING

import click

from infra.cli import asking
from infra.cli.options import Command

if TYPE_CHECKING:
    from shared.stats import Stats, TypeStats


@click.command("stats", cls=Command)
def command() -> None:
    """Show how each type does, and what it cost.

    What is alive, what ended in 24 hours, how fast, how long it took. Counts are up to half a minute old, durations
    within 5 %, dollars approximate, at list prices.

    \b
    Examples:
      longshore stats
      longshore stats --json | jq '.types[] | {type, failed_24h}'
    """
    from shared.stats import Stats

    asking.run(lambda jobs: jobs.ask(Stats, "GET", "/stats"), _show)


def _show(stats: "Stats") -> None:
    from rich.table import Table

    from infra.cli.render import stdout

    if not stats.types:
        click.echo("no job has been counted yet")
        return
    table = Table(box=None, pad_edge=False, header_style="bold")
    for title in ("TYPE", "QUEUED", "RUNNING", "DONE 24H", "FAILED", "A MINUTE", "P50", "P95", "WAIT P95", "USD 24H"):
        table.add_column(title, no_wrap=True, justify="left" if title == "TYPE" else "right")
    for one in stats.types:
        table.add_row(*_cells(one))
    stdout().print(table)
    click.echo(f"as of {stats.as_of}", err=True)


def _cells(one: "TypeStats") -> list[str]:
    from infra.cli.render import duration

    counts = (one.queued + one.waiting, one.running, one.succeeded_24h + one.partial_24h, one.failed_24h)
    spans = ("–" if span_s is None else duration(span_s) for span_s in (one.p50_s, one.p95_s, one.wait_p95_s))
    return [one.type, *(f"{count:,}" for count in counts), f"{one.rate_per_min:g}", *spans, f"{one.cost_usd_24h:.4f}"]
