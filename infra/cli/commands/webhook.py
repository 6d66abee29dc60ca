"""`longshore webhook`: have a URL told of what becomes of jobs."""

from typing import TYPE_CHECKING

import click

from infra.cli import asking
from infra.cli.operating import plain
from infra.cli.options import Command
from infra.cli.selecting import complete_type

if TYPE_CHECKING:
    from shared.runtime.api.webhooks import Deliveries, Webhooks, WebhookSecret
    from shared.webhooks import Subscription


@click.group("webhook")
def command() -> None:
    """Have a URL told of what becomes of jobs."""


@command.command("add", cls=Command)
@click.argument("url")
@click.option(
    "--event",
    "events",
    multiple=True,
    metavar="EVENT",
    help="waiting, queued, active, progress, completed, failed, cancelled. [default: the last three]",
)
@click.option("--type", "types", multiple=True, shell_complete=complete_type, help="Of these types' jobs alone.")
def add(url: str, events: tuple[str, ...], types: tuple[str, ...]) -> None:
    """Tell URL of events, from now on. Prints the secret that its deliveries are signed with, this once.

    \b
    Examples:
      longshore webhook add https://example.org/hook
      longshore webhook add https://example.org/hook --event failed --type extract --json | jq -r .secret
    """
    from shared.runtime.api.webhooks import WebhookSecret

    document = {"url": url, "types": [*types]} | ({"events": [*events]} if events else {})
    asking.run(lambda jobs: jobs.ask(WebhookSecret, "POST", "/webhooks", document=document), _with_secret)


@command.command("list", cls=Command)
def list_webhooks() -> None:
    """List the webhooks of a tenant.

    \b
    Examples:
      longshore webhook list
    """
    from shared.runtime.api.webhooks import Webhooks

    asking.run(lambda jobs: jobs.ask(Webhooks, "GET", "/webhooks"), _table)


@command.command("show", cls=Command)
@click.argument("webhook_id", metavar="ID")
def show(webhook_id: str) -> None:
    """Show a webhook, and why it is disabled if it is.

    \b
    Examples:
      longshore webhook show wh_0f3bce47cc4a9b23
    """
    _tell("GET", webhook_id)


@command.command("log", cls=Command)
@click.argument("webhook_id", metavar="ID")
def log(webhook_id: str) -> None:
    """Show the last 50 attempts of a week to deliver, newest first.

    A delivery is a job: one that was given up is run again by its id.

    \b
    Examples:
      longshore webhook log wh_0f3bce47cc4a9b23
      longshore redrive job_5d2f0c1e7a9b4f3d8c6e
    """
    from shared.runtime.api.webhooks import Deliveries

    path = asking.path_of("webhook", webhook_id, "deliveries")
    asking.run(lambda jobs: jobs.ask(Deliveries, "GET", path), _log)


@command.command("ping", cls=Command)
@click.argument("webhook_id", metavar="ID")
def ping(webhook_id: str) -> None:
    """Send it an event that means nothing, and print the delivery's id.

    \b
    Examples:
      longshore webhook ping wh_0f3bce47cc4a9b23
    """
    from shared.runtime.api.webhooks import Pinged

    path = asking.path_of("webhook", webhook_id, "ping")
    asking.run(lambda jobs: jobs.ask(Pinged, "POST", path), lambda found: click.echo(found.delivery_id))


@command.command("rotate", cls=Command)
@click.argument("webhook_id", metavar="ID")
def rotate(webhook_id: str) -> None:
    """Give it a new secret, and print it this once. The old one signs beside it for 24 hours.

    \b
    Examples:
      longshore webhook rotate wh_0f3bce47cc4a9b23
    """
    from shared.runtime.api.webhooks import WebhookSecret

    path = asking.path_of("webhook", webhook_id, "rotate")
    asking.run(lambda jobs: jobs.ask(WebhookSecret, "POST", path), _with_secret)


@command.command("enable", cls=Command)
@click.argument("webhook_id", metavar="ID")
def enable(webhook_id: str) -> None:
    """Tell it again, after it was disabled.

    \b
    Examples:
      longshore webhook enable wh_0f3bce47cc4a9b23
    """
    _tell("POST", webhook_id, "enable")


@command.command("remove", cls=Command)
@click.argument("webhook_id", metavar="ID")
def remove(webhook_id: str) -> None:
    """Tell it nothing more, and forget its secret.

    \b
    Examples:
      longshore webhook remove wh_0f3bce47cc4a9b23
    """
    from infra.cli.client import Nothing

    path = asking.path_of("webhook", webhook_id)
    asking.run(lambda jobs: jobs.ask(Nothing, "DELETE", path), lambda _: None)


# --- asking and showing -----------------------------------------------------------------------------------------------


def _tell(method: str, webhook_id: str, *below: str) -> None:
    from shared.webhooks import Subscription

    path = asking.path_of("webhook", webhook_id, *below)
    asking.run(lambda jobs: jobs.ask(Subscription, method, path), _facts)


def _table(found: "Webhooks") -> None:
    from infra.cli.render import stdout, table_of

    table = table_of("WEBHOOK", "STATE", "EVENTS", "TYPES", "URL")
    for one in found.webhooks:
        state = "disabled" if one.disabled_reason else "active"
        cells = (one.webhook_id, state, ",".join(one.events), ",".join(one.types) or "all", one.url)
        table.add_row(*map(plain, cells))
    if found.webhooks:
        stdout().print(table)
    else:
        click.echo("there are no webhooks; `longshore webhook add --help` shows how to add one", err=True)


def _log(found: "Deliveries") -> None:
    from infra.cli.render import stdout, table_of

    table = table_of("AT", "DELIVERY", "EVENT", "JOB", "ATTEMPT", "ANSWER", "MS", right=("ATTEMPT", "MS"))
    for one in found.deliveries:
        answer = one.error or str(one.status_code or "")
        cells = (one.at, one.delivery_id, one.event, one.job_id or "", str(one.attempt), plain(answer))
        table.add_row(*cells, str(one.duration_ms))
    if found.deliveries:
        stdout().print(table)
    else:
        click.echo("nothing was delivered in the last week", err=True)


def _with_secret(found: "WebhookSecret") -> None:
    _facts(found, ("secret", found.secret))
    click.echo("the secret is shown this once: keep it where the receiver finds it", err=True)


def _facts(found: "Subscription", *more: tuple[str, str]) -> None:
    from infra.cli.render import print_facts

    named: dict[str, str | None] = {
        "webhook": found.webhook_id,
        "url": found.url,
        "events": ", ".join(found.events),
        "types": ", ".join(found.types) or "all",
        "created": f"{found.created_at} by {found.created_by}",
        "failures": str(found.failures) if found.failures else None,
        "disabled": f"{found.disabled_at}: {found.disabled_reason}" if found.disabled_reason else None,
    }
    print_facts([*((name, value) for name, value in named.items() if value), *more])
