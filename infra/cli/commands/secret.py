"""`longshore secret set`: keep a database's URL, a token or another credential where jobs find it by name."""

import asyncio
import sys

import click

from infra.cli.options import Command, Options, options
from shared.errors import InvalidInput


@click.group("secret")
def command() -> None:
    """Keep credentials for jobs to name."""


@command.command("set", cls=Command)
@click.argument("name")
@click.option("--for", "origins", metavar="ORIGIN", multiple=True, help="Where http_request may send it: https://HOST.")
def set_secret(name: str, origins: tuple[str, ...]) -> None:
    """Keep a value as secret://NAME of this tenant. It is asked for, or read from a pipe: never an argument.

    A database's connection URL, a GitHub token, a header of http_request (with --for), or a JSON object that says where
    a GitHub, or a model, is, and who we are there: docs/jobs tells what each type reads.

    \b
    Examples:
      longshore secret set shop
      echo "$DATABASE_URL" | longshore secret set shop
      longshore submit backup database=secret://shop
      longshore secret set crm --for https://crm.example
      longshore secret set github < token.txt
      jq -Rs '{app_id: "12", private_key: .}' app.pem | longshore secret set github
    """
    value = _asked() if sys.stdin.isatty() else sys.stdin.read().rstrip("\r\n")
    if not value:
        raise InvalidInput("empty", "a value was expected on standard input", field=name)
    asyncio.run(_set(options(), name, _bound(value, origins) if origins else value))


def _bound(value: str, origins: tuple[str, ...]) -> str:
    from pydantic import ValidationError

    from shared.net.bound import BoundSecret

    try:
        return BoundSecret(origins=origins, value=value).model_dump_json()
    except ValidationError:
        message = f"origins such as https://crm.example were expected, not {', '.join(origins)}"
        raise InvalidInput("invalid_origin", message, field="--for") from None


def _asked() -> str:
    value: str = click.prompt("Value", hide_input=True, err=True)
    return value


async def _set(where: Options, name: str, value: str) -> None:
    from infra.cli.connect import ports_at
    from infra.cli.render import print_json

    async with ports_at(where) as ports:
        await ports.secrets.put(f"{where.tenant}/{name}", value)
    if where.json:
        print_json({"secret": f"secret://{name}"})
    else:
        click.echo(f"Kept. Name it in a payload as secret://{name}", err=True)
