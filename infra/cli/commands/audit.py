"""`longshore audit`: is every accepted job finished, or visibly alive?"""

import asyncio
from collections.abc import Iterator
from typing import TYPE_CHECKING

import click

from infra.cli.commands.submit import read_delay_s
from infra.cli.options import Command, Options, options

if TYPE_CHECKING:
    from rich.table import Table

    from shared.audit import Books, Report
    from shared.ports import Ports


@click.command("audit", cls=Command)
@click.option("--repair", is_flag=True, help="Wake what was forgotten. Harmless: a wake-up too many is refused.")
@click.option(
    "--late",
    "late_s",
    metavar="TIME",
    default="1h",
    show_default=True,
    callback=read_delay_s,
    help="Forgotten is what is overdue for this long: 10m, 2h; 0 after a purge.",
)
def command(*, repair: bool, late_s: float) -> int:
    """Count every job, and find those that nobody comes for.

    Reads the whole jobs table, of all tenants ($0.016 per million rows), and compares it, by hour of creation, with an
    independent count of the accepted jobs. The exit code is 0 if the books balance and nobody was
    forgotten, 1 otherwise. A deployed stack audits itself every day.

    \b
    Examples:
      longshore audit
      longshore audit --repair --late 10m
      longshore audit --json | jq '.differences'
    """
    return asyncio.run(_audit(options(), repair=repair, late_ms=round(late_s * 1000)))


async def _audit(where: Options, *, repair: bool, late_ms: int) -> int:
    from infra.cli.connect import ports_at
    from infra.cli.render import print_json
    from shared.audit import Books, balance
    from shared.runtime.tally import read_tally

    async with ports_at(where) as ports:
        books = Books(started_at=ports.now())
        await _read(ports, books, repair=repair, late_ms=late_ms)
        report = balance(books, *await read_tally(ports))
    if where.json:
        print_json(report)
    else:
        _show(report, repair=repair)
    return 0 if report.is_clean else 1


async def _read(ports: "Ports", books: "Books", *, repair: bool, late_ms: int) -> None:
    from infra.cli.render import stderr
    from shared.runtime.audit import audited

    with stderr().status("reading the jobs table …") as line:
        async for _ in audited(ports, books, repair=repair, late_ms=late_ms):
            line.update(f"{books.rows:,} rows read, {sum(books.problems.values()):,} overdue")


def _show(report: "Report", *, repair: bool) -> None:
    from rich.text import Text

    from infra.cli.render import Facts, print_facts, stdout

    facts: Facts = [("rows", f"{report.rows:,}")]
    facts += [("", f"{count:,} {status}") for status, count in report.statuses.items()]
    facts.append(("accepted", f"{report.accepted:,} in the {report.hours_compared} hours compared"))
    facts.append(
        ("", f"= {report.finished:,} finished + {report.alive:,} alive" + ", but for:" * bool(report.differences))
    )
    young = sum(hour.accepted for hour in report.open_hours)
    rows = sum(hour.finished + hour.alive for hour in report.open_hours)
    facts += [("too young", f"{young:,} accepted, {rows:,} rows: hours are compared an hour after their end")]
    facts += [(str(problem), Text(f"{count:,}", style="bold red")) for problem, count in report.problems.items()]
    facts += [("unreadable", Text(f"{report.unreadable:,}", style="bold red"))] if report.unreadable else []
    facts += [("repaired", f"{report.repaired:,} woken, {report.not_repaired:,} could not be")] if repair else []
    good, bad = Text("yes", style="green"), Text("no", style="bold red")
    print_facts([*facts, ("balanced", good if report.is_clean else bad)])
    for table in _tables(report):
        stdout().print("", table)


def _tables(report: "Report") -> Iterator["Table"]:
    from rich.table import Table

    differences = [
        (d.hour, f"{d.accepted:,}", f"{d.finished:,}", f"{d.alive:,}", d.meaning) for d in report.differences
    ]
    jobs = [(found.problem, found.job_id, found.tenant_id, found.type, found.since) for found in report.examples]
    for titles, rows in (
        (("HOUR", "ACCEPTED", "FINISHED", "ALIVE", "MEANING"), differences),
        (("PROBLEM", "JOB", "TENANT", "TYPE", "SINCE"), jobs),
        (("NOT A JOB",), [(key,) for key in report.unreadable_keys]),
    ):
        if rows:
            table = Table(*titles, box=None, pad_edge=False, header_style="bold")
            for row in rows:
                table.add_row(*row)
            yield table
