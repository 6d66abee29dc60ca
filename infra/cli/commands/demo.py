"""`longshore demo`: see it work, and prove it."""

import asyncio

import click

from infra.cli.options import Command, options_of_a_new_cloud


@click.command("demo", cls=Command)
@click.option("--scale", type=click.FloatRange(0.01, 100), default=1.0, show_default=True, help="1: 410,000 rows.")
def command(scale: float) -> int:
    """See the main jobs run, and their results proved.

    On a sample shop and a local cloud of its own: extract, backup and restore into an empty database, which
    is then compared with the original row by row. The exit code is 0 only if everything is proved. Files are left
    in .longshore/demo.

    \b
    Examples:
      longshore demo
      longshore demo --scale 10
    """
    from infra.demo.run import demonstrate

    return asyncio.run(demonstrate(options_of_a_new_cloud(), scale=scale))
