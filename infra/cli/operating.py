"""What commands of operators have in common: who asks, what is safe to print, and a failure among several."""

import getpass
import re
import sys
from collections.abc import Iterable
from typing import Final

import click

from infra.cli.trouble import explain
from shared.errors import InvalidInput, LongshoreError

SECONDS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86_400}


def operator() -> str:
    """For the jobs' history: one short word."""
    try:
        name = getpass.getuser()
    except (KeyError, OSError, ImportError):  # a container's user may have no name
        name = "somebody"
    return re.sub(r"[^\w.@-]", "_", f"cli-{name}", flags=re.ASCII)[:40]


def plain(text: str, *, characters_max: int | None = None) -> str:
    """On one line, and nothing in it that a terminal would obey: what cannot be printed is written as its escape."""
    cut = text if characters_max is None or len(text) <= characters_max else text[: characters_max - 1] + "…"
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in cut)


def read_rate_per_s(_ctx: click.Context, _param: click.Parameter, text: str) -> float:
    found = re.fullmatch(r"(\d+(?:\.\d+)?)(?:/([smh]))?", text)
    if found is None or not float(found[1]):
        raise click.BadParameter(f"{text!r}; a rate like 10/s, 30/m or 0.5 was expected")
    return float(found[1]) / SECONDS[found[2] or "s"]


def told(problems: Iterable[LongshoreError], *, as_json: bool) -> int:
    """Explain each on stderr; → the exit code of the first, 0 if there is none."""
    codes = [explain(problem, as_json=as_json) for problem in problems]
    return codes[0] if codes else 0


def confirmed(question: str, *, yes: bool) -> None:
    """Ask, unless it is answered. Raises Abort for a no, InvalidInput where nobody can be asked."""
    if yes:
        return
    if not sys.stdin.isatty():
        raise InvalidInput("unconfirmed", f"{question} Nobody can be asked here: say so with --yes", field="--yes")
    click.confirm(question, abort=True, err=True)
