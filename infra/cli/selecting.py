"""The options that say which jobs are meant, and their completion."""

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any, Final  # Any: what click decorates

import click
from click.shell_completion import CompletionItem

from infra.cli.operating import SECONDS
from shared.status import TERMINAL, Status

REDRIVABLE: Final = TERMINAL - {Status.SUCCESS}


def complete_type(_ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    from shared.payloads import open_types

    return [CompletionItem(name) for name in open_types() if name.startswith(incomplete)]


class Statuses(click.ParamType[str]):
    """One or more of `allowed`, by commas, in any case. → as the API takes them"""

    name = "status"

    def __init__(self, allowed: frozenset[Status]) -> None:
        self._allowed = [str(status) for status in Status if status in allowed]

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        words = str(value).upper().split(",")
        for word in words:
            if word not in self._allowed:
                self.fail(f"{word.lower()!r} is not one of {', '.join(self._allowed).lower()}", param, ctx)
        return ",".join(words)

    def shell_complete(self, _ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        before, comma, last = incomplete.rpartition(",")
        fitting = [status.lower() for status in self._allowed if status.startswith(last.upper())]
        return [CompletionItem(before + comma + status) for status in fitting]


class Moment(click.ParamType[str]):
    """`2h` ago, or a moment in RFC 3339. → RFC 3339"""

    name = "time"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        if found := re.fullmatch(r"(\d{1,6}(?:\.\d+)?)\s*([smhd])", str(value)):
            ago = timedelta(seconds=float(found[1]) * SECONDS[found[2]])
            return (datetime.now(UTC) - ago).isoformat()
        try:
            moment = datetime.fromisoformat(str(value))
        except ValueError:
            self.fail(f"{value!r}; 90s, 2h, 1d, or a moment like 2026-01-31T12:00Z was expected", param, ctx)
        return (moment if moment.tzinfo else moment.astimezone()).isoformat()


Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]


def type_option(what: str) -> Decorator:
    return click.option("--type", "job_type", metavar="TYPE", shell_complete=complete_type, help=what)


def error_option(what: str) -> Decorator:
    return click.option("--error", "--fingerprint", "error", metavar="FINGERPRINT", help=what)


def time_option(name: str, what: str) -> Decorator:
    return click.option(name, metavar="TIME", type=Moment(), help=what)
