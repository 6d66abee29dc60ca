"""The program: finds the command, runs it, and turns what went wrong into a sentence and an exit code."""

import difflib
import importlib
import os
import sys
from collections.abc import Sequence
from typing import Any, Final  # Any: click's own settings

import click

from infra.cli.options import shared_options
from infra.cli.trouble import INTERRUPTED, explain
from shared.errors import LongshoreError

SECTIONS: Final = {
    "Start": ("up", "open", "token", "demo"),
    "Jobs": ("submit", "estimate", "status", "why", "watch", "list", "errors", "result", "cancel", "redrive", "types"),
    "Operation": ("schedule", "webhook", "stats", "pause", "resume", "pauses", "quarantine", "audit"),
    "Workers and settings": ("worker", "once", "secret", "new", "completion"),
}


class Program(click.Group):
    """A command's module is `infra.cli.commands.NAME`, and its command is called `command`."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002  # click's signature
        return [name for names in SECTIONS.values() for name in names]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in self.list_commands(ctx):
            return None
        module = importlib.import_module(f"infra.cli.commands.{cmd_name}")
        found: click.Command = module.command
        return found

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        names = self.list_commands(ctx)
        if args[0] not in names and (near := difflib.get_close_matches(args[0], names, n=1)):
            ctx.fail(f"there is no command {args[0]!r}; did you mean {near[0]}?")
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        for title, names in SECTIONS.items():
            found = {name: self.get_command(ctx, name) for name in names}
            with formatter.section(title):
                formatter.write_dl(
                    [(name, command.get_short_help_str(70)) for name, command in found.items() if command]
                )


def run(arguments: Sequence[str]) -> int:
    """→ the exit code. Prints what was asked for to stdout, what went wrong to stderr."""
    as_json = "--json" in arguments
    try:
        code = program(list(arguments), prog_name="longshore", standalone_mode=False)
    except BrokenPipeError:  # whoever read our output has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except (click.ClickException, LongshoreError, OSError) as error:
        return explain(error, as_json=as_json)
    except (KeyboardInterrupt, click.Abort):
        sys.stderr.write("interrupted\n")
        return INTERRUPTED
    return code if isinstance(code, int) else 0


@click.group(
    cls=Program,
    params=[*shared_options()],
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(package_name="longshore")
def program(**_settings: Any) -> None:
    """Background jobs that live natively on SQS, Lambda and DynamoDB.

    \b
    See it work:     longshore demo
    Try it out:      longshore up
                     longshore submit generic operation=count --watch
    """
