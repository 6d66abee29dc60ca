"""What the commands `pause` and `resume` have in common."""

import re

import click

from shared.errors import NotFound

everybody_option = click.option("--all-tenants", "everybody", is_flag=True, help="Everybody's. Takes an admin.")


def pause_id_of(said: str, *, everybody: bool) -> str:
    """What `pauses` calls it. Raises NotFound for what can be no such name, so that no other path is made of it."""
    pause_id = said if "." in said else f"{scope_of(everybody=everybody)}.{said}"
    if not re.fullmatch(r"(tenant|stack)\.[a-z0-9_]+", pause_id):
        raise NotFound("no_such_pause", f"nothing is paused as {said!r}", field="pause_id")
    return pause_id


def scope_of(*, everybody: bool) -> str:
    return "stack" if everybody else "tenant"


def types_of(said: str) -> str | None:
    """None: all of them."""
    return None if said == "all" else said
