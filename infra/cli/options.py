"""The options that every command takes, before its name or after it: where the jobs are, whose, and in which form."""

from dataclasses import dataclass, fields, replace
from typing import Any, Final  # Any: what click hands to callbacks, and takes as a parameter's settings

import click
from click.core import ParameterSource

from shared.errors import InvalidInput

PREFIX: Final = "longshore."
SAID: Final = "longshore said"


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """`endpoint` is `local`, `localstack`, `aws` or a URL. With `api`, a deployed API's URL, none of it is used but
    `token`, which says whose jobs."""

    api: str | None = None
    token: str | None = None
    endpoint: str = "local"
    stack: str = "longshore"
    region: str | None = None
    tenant: str = "default"
    json: bool = False

    @property
    def flags(self) -> str:
        """What to type again in a command that should mean the same place, e.g. ` --tenant acme`. Never the token."""
        names = ("api",) if self.api else ("endpoint", "stack", "region", "tenant")
        differing = [name for name in names if getattr(self, name) != getattr(DEFAULTS, name)]
        return "".join(f" --{name} {getattr(self, name)}" for name in differing)


DEFAULTS: Final = Options()

_SHARED: Final[dict[str, dict[str, Any]]] = {
    "api": {
        "metavar": "URL",
        "envvar": "LONGSHORE_API",
        "help": "A deployed API, instead of AWS credentials: for the commands about jobs.",
    },
    "token": {"metavar": "TEXT", "envvar": "LONGSHORE_TOKEN", "help": "Opens the API; better said in the environment."},
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
    """What was said, by the command running now. Raises InvalidInput for a tenant beside a token that names one."""
    found, said = _said()
    if found.api and "endpoint" in said and "api" not in said:
        return replace(found, api=None)
    if found.api and "tenant" in said:
        raise InvalidInput("tenant", "with --api, the token says whose jobs they are", field="--tenant")
    return found


def options_of_a_new_cloud() -> Options:
    """The same; but what the environment says is where jobs go, not where a cloud should be made."""
    found, said = _said()
    return replace(found, api=None, endpoint=found.endpoint if "endpoint" in said else DEFAULTS.endpoint)


def _said() -> tuple[Options, set[str]]:
    """All of it, and which of it stands on the command line."""
    meta = click.get_current_context().meta
    return Options(**{field.name: meta[PREFIX + field.name] for field in fields(Options)}), meta[SAID]


def _keep(ctx: click.Context, param: click.Parameter, value: Any) -> None:
    """The command line goes before the environment; what follows the command's name before what precedes it."""
    name, said = str(param.name), ctx.meta.setdefault(SAID, set())
    if ctx.get_parameter_source(name) is ParameterSource.COMMANDLINE:
        said.add(name)
        ctx.meta[PREFIX + name] = value
    ctx.meta.setdefault(PREFIX + name, value)
