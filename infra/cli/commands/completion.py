"""`longshore completion`: words for the Tab key."""

import click
from click.shell_completion import get_completion_class

from infra.cli.options import Command


@click.command("completion", cls=Command)
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def command(ctx: click.Context, shell: str) -> None:
    """Complete commands and fields in a shell.

    \b
    Examples:
      eval "$(longshore completion bash)"
      longshore completion fish > ~/.config/fish/completions/longshore.fish
    """
    kind = get_completion_class(shell)
    if kind is not None:
        click.echo(kind(ctx.find_root().command, {}, "longshore", "_LONGSHORE_COMPLETE").source())
