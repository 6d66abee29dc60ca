"""`longshore pauses`: what is paused."""

from typing import TYPE_CHECKING

import click

from infra.cli import asking
from infra.cli.operating import plain
from infra.cli.options import Command

if TYPE_CHECKING:
    from shared.runtime.api.pauses import PauseList


@click.command("pauses", cls=Command)
def command() -> None:
    """What is paused, by whom, since when and why.

    \b
    Examples:
      longshore pauses
      longshore pauses --json | jq -r '.pauses[].pause_id'
    """
    from shared.runtime.api.pauses import PauseList

    asking.run(lambda jobs: jobs.ask(PauseList, "GET", "/pauses"), _show)


def _show(found: "PauseList") -> None:
    for one in found.pauses:
        state = "resuming" if one.is_resuming else "paused"
        click.echo(f"{one.pause_id}  {state} by {one.who} since {one.since}  {plain(one.reason or '')}".rstrip())
    if not found.pauses:
        click.echo("nothing is paused", err=True)
