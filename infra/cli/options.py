"""The options that every command takes, before its name or after it: where the jobs are, whose, and in which form."""

from dataclasses import dataclass, fields, replace
from typing import Any, Final  # Any: what click hands to callbacks, and takes as a parameter's settings

import click
from click.core import ParameterSource

PREFIX: Final = "longshore."
SAID: Final = "longshore said"


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """`endpoint` is `local`, `localstack`, `aws` or a URL."""

    endpoint: str = "local"
    stack: str = "longshore"
    region: str | None = None
    tenant: str = "default"
    json: bool = False

    @property
    def flags(self) -> str:
        """What to type again in a command that should mean the same place, e.g. ` --tenant acme`."""
        names = ("endpoint", "stack", "region", "tenant")
        differing = [name for name in names if getattr(self, name) != getattr(DEFAULTS, name)]
        return "".join(f" --{name} {getattr(self, name)}" for name in differing)


DEFAULTS: Final = Options()

_SHARED: Final[dict[str, dict[str, Any]]] = {
    "endpoint": {
        "metavar": "WHERE",
        "envvar": "LONGSHORE_ENDPOINT",
        "help": "local (what `longshore up` started), localstack, aws, or a URL.",
    },
    "stack": {"metavar": "NAME", "envvar": "LONGSHORE_STACK", "help": "The stack's name."},
    "region": {"metavar": "NAME", "envvar": ["AWS_REGION", "AWS_DEFAULT_REGION"], "help": "The AWS region."},
    "tenant": {"metavar": "ID", "envvar": "LONGSHORE_TENANT", "help": "Whose jobs."},
    "json": {"is_flag": True, "help": "Machine-readable output."},
}


class Command(click.Command):
    """A command with the shared options in a section of their own, below its examples."""

    def __init__(self, *args: Any, **settings: Any) -> None:
        super().__init__(*args, **settings)
        self.params = [*self.params, *shared_options()]

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        own: list[tuple[str, str]] = []
        shared: list[tuple[str, str]] = []
        for param in self.get_params(ctx):
            if isinstance(param, click.Option) and (record := param.get_help_record(ctx)) is not None:
                (shared if param.name in _SHARED else own).append(record)
        for title, records in (("Options", own), ("Where, whose and how", shared)):
            if records:
                with formatter.section(title):
                    formatter.write_dl(records)


def shared_options() -> list[click.Option]:
    return [
        click.Option([f"--{name}"], default=getattr(DEFAULTS, name), expose_value=False, callback=_keep, **settings)
        for name, settings in _SHARED.items()
    ]


def options() -> Options:
    """What was said, by the command running now."""
    meta = click.get_current_context().meta
    return Options(**{field.name: meta[PREFIX + field.name] for field in fields(Options)})


def options_of_a_new_cloud() -> Options:
    """The same; but an endpoint in the environment is where jobs go, not where a cloud should be made."""
    said = click.get_current_context().meta[SAID]
    return options() if "endpoint" in said else replace(options(), endpoint=DEFAULTS.endpoint)


def _keep(ctx: click.Context, param: click.Parameter, value: Any) -> None:
    """The command line goes before the environment; what follows the command's name before what precedes it."""
    name, said = str(param.name), ctx.meta.setdefault(SAID, set())
    if ctx.get_parameter_source(name) is ParameterSource.COMMANDLINE:
        said.add(name)
        ctx.meta[PREFIX + name] = value
    ctx.meta.setdefault(PREFIX + name, value)
