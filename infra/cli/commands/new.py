"""`longshore new`: what an author would otherwise copy."""

from pathlib import Path

import click

from infra.cli.options import Command, options


@click.group("new")
def command() -> None:
    """Begin something of your own, in a clone of Longshore."""


@command.command("job", cls=Command)
@click.argument("name")
@click.option("--heavy", is_flag=True, help="With libraries of its own (requirements/NAME), and minutes of work.")
def new_job(name: str, heavy: bool) -> None:
    """Write a job type, small and green.

    Its payload, handler, test and page of docs, and its entries in the union, the template and the examples. Make of
    them what you need: docs/writing-a-job.md tells how.

    \b
    Examples:
      longshore new job resize_image
      longshore new job render_film --heavy
    """
    from infra.cli.render import print_json
    from infra.scaffold.job import planned, write

    root = Path.cwd()
    plan = planned(root, name, is_heavy=heavy)
    write(plan)
    written = [str(path.relative_to(root)) for path in plan.new]
    changed = [str(path.relative_to(root)) for path in plan.changed]
    if options().json:
        print_json({"written": [*written], "changed": [*changed]})
        return
    click.echo(f"written:  {' '.join(written)}")
    click.echo(f"changed:  {' '.join(changed)}")
    click.echo(f"try it:   make check && .venv/bin/pytest tests/handlers/test_{name}.py")
    if heavy:
        click.echo(f"libraries: the list `{name}` in pyproject.toml, then make lock install; docs/writing-a-job.md")
    click.echo(f"undo it:  rm {' '.join(written)} && git checkout {' '.join(changed)}")
    click.echo("          (git checkout takes other changes that are not committed with it)")
