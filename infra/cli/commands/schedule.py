"""`longshore schedule`: submit jobs again and again, or once later."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any  # Any: what click hands to commands

import click

from infra.cli import asking
from infra.cli.operating import plain
from infra.cli.options import Command
from infra.cli.selecting import complete_type
from shared.errors import InvalidInput

if TYPE_CHECKING:
    from infra.cli.places import Document
    from shared.runtime.api.schedules import Preview, Schedules, ScheduleView


@click.group("schedule")
def command() -> None:
    """Submit jobs again and again, or once later."""


def when(asked: Callable[..., None]) -> Callable[..., None]:
    """The options that say when."""
    zone = click.option("--timezone", metavar="NAME", default="UTC", show_default=True, help="As Europe/Berlin.")
    return zone(click.option("--at", metavar="TIME", help="Once, as 2026-12-31T12:00:00Z; instead of CRON.")(asked))


@command.command("add", cls=Command)
@click.argument("name")
@click.argument("job_type", metavar="TYPE", shell_complete=complete_type)
@click.argument("assignments", metavar="[FIELD=VALUE | FIELD:=JSON]...", nargs=-1)
@click.option("--cron", metavar="LINE", help="Five fields, or @hourly, @daily, @weekly, @monthly, @yearly.")
@when
@click.option("--id", "schedule_id", metavar="ID", help="Your own: then the same command again adds no second one.")
@click.option(
    "--missed", type=click.Choice(["skip", "once", "all"]), help="Late runs: none, one for all (default), all."
)
@click.option("--missed-max", type=int, metavar="N", help="With `all`, the last N (10).")
@click.option("--late", "late_s", type=int, metavar="SECONDS", help="A run that starts so much later is late (300).")
@click.option("--overlap", type=click.Choice(["allow", "skip", "cancel_previous"]), help="While the last still runs.")
@click.option(
    "--jitter", "jitter_s", type=int, metavar="SECONDS", help="Start up to so much later, to spread load (0)."
)
def add(job_type: str, assignments: tuple[str, ...], **terms: Any) -> None:
    """Add a schedule of jobs of TYPE.

    With fields as `longshore submit` takes them.

    \b
    Examples:
      longshore schedule add nightly backup database=secret://shop --cron '0 3 * * *' --timezone Europe/Berlin
      longshore schedule add poll generic operation=echo --cron '*/5 * * * *' --overlap skip --id poll
      longshore schedule add new-year generic operation=echo --at 2027-01-01T00:00:00Z
    """
    from infra.cli.fields import assigned, payload_model
    from infra.cli.places import absolute
    from infra.cli.secrets import hide_password
    from infra.cli.uploads import files_in

    payload = absolute(assigned(payload_model(job_type), {"type": job_type}, assignments))
    if hide_password(payload)[1]:
        raise InvalidInput("secret", "no password goes into a schedule: longshore secret set NAME", field="database")
    if files_in(payload)[1]:
        raise InvalidInput("no_upload", "an upload may be gone when a schedule needs it: give an s3:// URL", field="@")
    asked = {name: value for name, value in terms.items() if value is not None} | {"payload": payload}
    _tell("POST", "", document=asked)


@command.command("preview", cls=Command)
@click.argument("cron", required=False)
@when
def preview(**asked: Any) -> None:
    """Show the next ten times of a cron line, adding nothing.

    \b
    Examples:
      longshore schedule preview '30 2 * * *' --timezone Europe/Berlin
      longshore schedule preview '0 9 * * MON#1'
    """
    from shared.runtime.api.schedules import Preview

    document = {name: value for name, value in asked.items() if value is not None}
    asking.run(lambda jobs: jobs.ask(Preview, "POST", "/schedules/preview", document=document), _times)


@command.command("list", cls=Command)
def list_schedules() -> None:
    """List the schedules of a tenant.

    \b
    Examples:
      longshore schedule list
      longshore schedule list --json | jq -r '.schedules[].schedule_id'
    """
    from shared.runtime.api.schedules import Schedules

    asking.run(lambda jobs: jobs.ask(Schedules, "GET", "/schedules"), _table)


@command.command("show", cls=Command)
@click.argument("schedule_id", metavar="ID")
def show(schedule_id: str) -> None:
    """Show a schedule and its next ten times.

    \b
    Examples:
      longshore schedule show poll
    """
    _tell("GET", schedule_id)


@command.command("pause", cls=Command)
@click.argument("schedule_id", metavar="ID")
def pause(schedule_id: str) -> None:
    """Run nothing until it is resumed.

    \b
    Examples:
      longshore schedule pause poll
    """
    _tell("POST", schedule_id, "pause")


@command.command("resume", cls=Command)
@click.argument("schedule_id", metavar="ID")
def resume(schedule_id: str) -> None:
    """Run it from now on; what was due meanwhile is not made up for.

    \b
    Examples:
      longshore schedule resume poll
    """
    _tell("POST", schedule_id, "resume")


@command.command("remove", cls=Command)
@click.argument("schedule_id", metavar="ID")
def remove(schedule_id: str) -> None:
    """Run it no more. The jobs that it has submitted stay as they are.

    \b
    Examples:
      longshore schedule remove poll
    """
    _tell("DELETE", schedule_id)


@command.command("run", cls=Command)
@click.argument("schedule_id", metavar="ID")
def run(schedule_id: str) -> None:
    """Submit its job now, and print the job's id.

    \b
    Examples:
      longshore watch "$(longshore schedule run poll)"
    """
    from shared.runtime.api.jobs import Accepted

    path = asking.path_of("schedule", schedule_id, "run")
    asking.run(lambda jobs: jobs.ask(Accepted, "POST", path), lambda found: click.echo(found.job_id))


# --- asking and showing -----------------------------------------------------------------------------------------------


def _tell(method: str, schedule_id: str, *below: str, document: "Document | None" = None) -> None:
    from shared.runtime.api.schedules import ScheduleView

    path = asking.path_of("schedule", schedule_id, *below) if schedule_id else "/schedules"
    asking.run(lambda jobs: jobs.ask(ScheduleView, method, path, document=document), _facts)


def _table(found: "Schedules") -> None:
    from infra.cli.render import stdout, table_of

    table = table_of("SCHEDULE", "NAME", "TYPE", "WHEN", "ZONE", "STATE", "NEXT")
    for one in found.schedules:
        cells = (one.schedule_id, one.name, one.type, one.cron or one.at or "", one.timezone, one.state, one.next_at)
        table.add_row(*(plain(cell or "") for cell in cells))
    if found.schedules:
        stdout().print(table)
    else:
        click.echo("there are no schedules; `longshore schedule add --help` shows how to add one", err=True)


def _facts(found: "ScheduleView") -> None:
    from infra.cli.render import as_json, print_facts

    named: dict[str, str | None] = {
        "schedule": found.schedule_id,
        "name": found.name,
        "when": f"{found.cron or found.at} {found.timezone}",
        "state": found.state,
        "missed": f"{found.missed}; late after {found.late_s} s",
        "overlap": found.overlap,
        "last": f"{found.last.due_at} {found.last.job_id}" if found.last else None,
        "skipped": f"{found.skipped.due_at} {found.skipped.reason}" if found.skipped else None,
        "payload": as_json(found.payload) if found.payload else None,
        "next": "\n".join(one.local for one in found.next_times or ()),
    }
    print_facts([(name, value) for name, value in named.items() if value])


def _times(found: "Preview") -> None:
    for one in found.times:
        click.echo(f"{one.local}  {one.at}")
