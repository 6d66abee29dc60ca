"""`longshore quarantine`: what could not be read, and why."""

import asyncio
from typing import TYPE_CHECKING, Final

import click

from infra.cli.operating import plain, told
from infra.cli.options import Command, Options, options
from shared.errors import Conflict, InvalidInput, NotFound

if TYPE_CHECKING:
    from pydantic import JsonValue

    from shared.runtime.quarantined import Item

PREVIEW_CHARACTERS: Final = 100


@click.group("quarantine")
def command() -> None:
    """What could not be read, and why: for the stack's operator.

    It belongs to no tenant: what can't be read does not say whose it is. Whoever may read the stack's side table sees
    all of it.
    """


@command.command("list", cls=Command)
@click.option("--source", metavar="NAME", help="Of one job type's queue, of `stream` or of `dead-letters`.")
@click.option("--limit", type=click.IntRange(1, 1000), default=100, show_default=True, help="At most this many.")
def list_items(source: str | None, limit: int) -> None:
    """List what is in quarantine.

    The reason, then what it is and how it begins.

    \b
    Examples:
      longshore quarantine list
      longshore quarantine list --source generic --json | jq -r '.items[].id'
    """
    asyncio.run(_list(options(), source, limit))


@command.command("show", cls=Command)
@click.argument("item_id", metavar="ID")
def show(item_id: str) -> None:
    """Show one item whole. What a terminal would obey is written as escapes; --json gives the body as it came.

    \b
    Examples:
      longshore quarantine show generic#f3b2c9d8-2f3a-4f55-a1f0-7f0c51c7ab3e
    """
    asyncio.run(_show(options(), item_id))


@command.command("retry", cls=Command)
@click.argument("item_ids", metavar="[ID]...", nargs=-1)
@click.option("--all", "every", is_flag=True, help="All of one --source.")
@click.option("--source", metavar="NAME", help="Of one job type's queue, of `stream` or of `dead-letters`.")
def retry_items(item_ids: tuple[str, ...], every: bool, source: str | None) -> int:
    """Send it again, and take it out of quarantine.

    For what a deployment has made readable. What still can't be read stays, and is refused with the reason.

    \b
    Examples:
      longshore quarantine retry generic#f3b2c9d8-2f3a-4f55-a1f0-7f0c51c7ab3e
      longshore quarantine retry --all --source generic
    """
    if bool(item_ids) == every or every != (source is not None):
        raise InvalidInput("invalid_selection", "either ids, or --all with a --source", field="ID")
    return asyncio.run(_retry(options(), item_ids, source))


async def _list(where: Options, source: str | None, limit: int) -> None:
    from infra.cli.connect import ports_at
    from infra.cli.render import print_json
    from shared.runtime.quarantined import quarantined

    async with ports_at(where) as ports:
        items = await quarantined(ports, source=source, limit=limit)
    if where.json:
        print_json({"items": [_document(item) for item in items]})
        return
    for item in items:
        click.echo(plain(item.reason))
        body = f"in S3, {item.body_key}" if item.body is None else item.body
        click.echo(f"  {plain(item.id)}  {item.at}  {plain(body, characters_max=PREVIEW_CHARACTERS)}")
    if len(items) in (0, limit):
        click.echo("there may be more: --limit" if items else "nothing is in quarantine", err=True)


async def _show(where: Options, item_id: str) -> None:
    from infra.cli.connect import ports_at
    from infra.cli.render import print_facts, print_json
    from shared.runtime.quarantined import quarantined_item

    async with ports_at(where) as ports:
        item = await quarantined_item(ports, item_id)
    if where.json:
        print_json(_document(item))
    else:
        print_facts([(name, plain(str(value))) for name, value in _document(item).items()])


async def _retry(where: Options, item_ids: tuple[str, ...], source: str | None) -> int:
    from infra.cli.connect import ports_at
    from infra.cli.render import print_json
    from shared.runtime.quarantined import quarantined, retry

    done: dict[str, JsonValue] = {}
    problems: list[Conflict | NotFound] = []
    async with ports_at(where) as ports:
        for item_id in item_ids or [item.id for item in await quarantined(ports, source=source)]:
            try:
                done[item_id] = await retry(ports, item_id)
            except (Conflict, NotFound) as problem:
                problems.append(type(problem)(problem.code, plain(problem.message), field=plain(item_id)))
    if where.json:
        print_json({"retried": done})
    for item_id, outcome in done.items() if not where.json else ():
        click.echo(f"{plain(item_id)}  {outcome}")
    return told(problems, as_json=where.json)


def _document(item: "Item") -> dict[str, "JsonValue"]:
    named = {"reason": item.reason, "id": item.id, "source": item.source, "at": item.at, "body": item.body}
    return {name: value for name, value in (named | {"body_key": item.body_key}).items() if value is not None}
