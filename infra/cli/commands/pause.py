"""`longshore pause`: let no job of a type begin."""

import re

import click

from infra.cli import asking
from infra.cli.options import Command
from shared.errors import NotFound

everybody_option = click.option("--all-tenants", "everybody", is_flag=True, help="Everybody's. Takes an admin.")


@click.command("pause", cls=Command)
@click.argument("job_type", metavar="TYPE")
@everybody_option
@click.option("--reason", metavar="TEXT", help="For whoever wonders.")
def command(*, job_type: str, everybody: bool, reason: str | None) -> None:
    """Let no job of a type begin, until it is resumed. What runs goes on; what is submitted is kept.

    The type `all` stands for every type. Workers learn of it within five seconds.

    \b
    Examples:
      longshore pause extract --reason "the shop moves to another host"
      longshore pause all
    """
    from shared.runtime.api.pauses import PauseView

    asked = {"scope": scope_of(everybody=everybody), "type": None if job_type == "all" else job_type, "reason": reason}
    document = {name: value for name, value in asked.items() if value is not None}
    asking.run(
        lambda jobs: jobs.ask(PauseView, "POST", "/pauses", document=document),
        lambda found: click.echo(f"{found.pause_id}  paused by {found.who} since {found.since}"),
    )


def pause_id_of(said: str, *, everybody: bool) -> str:
    """What `pauses` calls it. Raises NotFound for what can be no such name, so that no other path is made of it."""
    pause_id = said if "." in said else f"{scope_of(everybody=everybody)}.{said}"
    if not re.fullmatch(r"(tenant|stack)\.[a-z0-9_]+", pause_id):
        raise NotFound("no_such_pause", f"nothing is paused as {said!r}", field="pause_id")
    return pause_id


def scope_of(*, everybody: bool) -> str:
    return "stack" if everybody else "tenant"
