"""`longshore submit`: make a job."""

import asyncio
import re
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Final, get_args

import click
from click.shell_completion import CompletionItem

from infra.cli.options import Command, Options, options
from infra.cli.selecting import complete_type
from infra.cli.trouble import FAILED
from shared.errors import InvalidInput
from shared.lanes import Priority

if TYPE_CHECKING:
    from infra.cli.client import Jobs
    from infra.cli.places import Document
    from shared.runtime.api.jobs import Accepted

SECONDS: Final = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86_400}


def complete_field(ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    from infra.cli.fields import paths_of
    from shared.payloads import TYPES

    model = TYPES.get(ctx.params.get("job_type", ""))
    return [CompletionItem(f"{path}=") for path in (paths_of(model) if model else ()) if path.startswith(incomplete)]


def read_delay_s(_ctx: click.Context, _param: click.Parameter, text: str) -> float:
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([smhd]?)", text)
    if found is None:
        raise click.BadParameter(f"{text!r}; a duration like 90s, 10m, 2h or 1d was expected")
    return float(found[1]) * SECONDS[found[2]]


def payload_arguments(command: Callable[..., int | None]) -> Callable[..., int | None]:
    """What a payload is made of: see `document_of`."""
    for decorator in (
        click.option("--file", metavar="FILE", help="The payload from a file, JSON or YAML."),
        click.option("--payload", metavar="JSON", help="The payload as JSON, @FILE, or - for standard input."),
        click.argument(
            "assignments", metavar="[FIELD=VALUE | FIELD:=JSON]...", nargs=-1, shell_complete=complete_field
        ),
        click.argument("job_type", metavar="[TYPE]", required=False, shell_complete=complete_type),
    ):
        command = decorator(command)
    return command


@click.command("submit", cls=Command)
@payload_arguments
@click.option("--key", metavar="TEXT", help="Idempotency key: the same key and payload is the same job.")
@click.option("--delay", "delay_s", metavar="TIME", default="0", callback=read_delay_s, help="Not before: 90s, 2h, 1d.")
@click.option("--priority", type=click.Choice(get_args(Priority)), help="Before or behind other jobs; else normal.")
@click.option("--watch", is_flag=True, help="Follow the job until it is over.")
def command(
    *,
    job_type: str | None,
    assignments: tuple[str, ...],
    payload: str | None,
    file: str | None,
    key: str | None,
    delay_s: float,
    priority: Priority | None,
    watch: bool,
) -> int:
    """Submit a job.

    A field of the payload is given as FIELD=VALUE, inside of options as options.FIELD=VALUE, a list with commas;
    FIELD:=JSON for anything else. `longshore types TYPE` shows the fields. A payload that says its type needs no TYPE.

    \b
    Examples:
      longshore submit generic operation=count parameters.to:=20 --watch
      longshore submit backup database=shop.db --watch
      longshore submit extract database=shop.db tables=orders output_format=csv
      longshore submit extract database=secret://shop query='select * from t'
      longshore submit bulk_import --file people.yaml source=@people.csv database=shop.db
      longshore submit restore --payload @restore.json --key nightly --delay 2h
      longshore submit generic operation=count parameters.to:=20 --priority urgent
      longshore submit --file flow.yaml --watch

    A database is the path of an SQLite file, postgresql://user@host/name, secret://NAME (see `longshore secret`) or
    env://NAME. A file is an s3:// URL, or @PATH of one here, which is uploaded first. The job's id is printed; with
    --watch, the exit code is 1 if the job fails.
    """
    document = document_of(job_type, payload, file, assignments) | ({"priority": priority} if priority else {})
    return asyncio.run(_submit(options(), document, key=key, delay_s=delay_s, follow=watch))


def document_of(job_type: str | None, payload: str | None, file: str | None, assignments: Sequence[str]) -> "Document":
    """The payload as it was said. Raises InvalidInput for what is none; its type's model has not seen it yet."""
    from infra.cli.fields import assigned, payload_model
    from infra.cli.places import absolute

    if payload is not None and file is not None:
        raise InvalidInput("invalid_payload", "either --payload or --file", field="--file")
    if job_type is not None and "=" in job_type:
        assignments, job_type = (job_type, *assignments), None
    model = None if job_type is None else payload_model(job_type)
    document = _read(payload) if file is None else _read(f"@{file}", "--file")
    said = document.get("type", job_type)
    if model is None or said != job_type:
        if job_type is not None:
            raise InvalidInput("another_type", f"the payload says {said!r}, not {job_type!r}", field="type")
        if not isinstance(said, str):
            raise InvalidInput("missing", "TYPE is required, unless the payload says it", field="type")
        job_type, model = said, payload_model(said)
    document = absolute(assigned(model, document | {"type": job_type}, assignments))
    says_whose = "tenantId" in document or options().api is not None
    return document if says_whose else {"tenant_id": options().tenant} | document


def _read(payload: str | None, field: str = "--payload") -> "Document":
    from pydantic_core import from_json

    if payload is None:
        return {}
    kind, read = (
        ("YAML", _yaml) if payload.startswith("@") and payload.endswith((".yaml", ".yml")) else ("JSON", from_json)
    )
    try:
        if payload.startswith("@"):
            document = read(Path(payload[1:]).read_text(encoding="utf-8"))
        else:
            document = read(sys.stdin.read() if payload == "-" else payload)
    except (ValueError, TypeError) as error:  # the latter of an argument that is not in UTF-8
        raise InvalidInput(f"not_{kind.lower()}", f"{kind} was expected ({error})", field=field) from None
    if not isinstance(document, dict):
        raise InvalidInput("not_json", f"a {kind} object was expected", field=field)
    return document


def _yaml(text: str) -> object:
    """A moment is a text again, as JSON has it."""
    from pydantic_core import from_json, to_json
    from yaml import YAMLError, safe_load  # it comes with `longshore up`

    try:
        found: object = from_json(to_json(safe_load(text)))
    except YAMLError as error:
        raise ValueError(str(error)) from None
    return found


async def _submit(where: Options, document: "Document", *, key: str | None, delay_s: float, follow: bool) -> int:
    from infra.cli.connect import jobs_at
    from infra.cli.fields import checked, payload_model
    from infra.cli.secrets import hide_password
    from infra.cli.uploads import files_in, uploaded
    from infra.cli.watching import all_good, watch

    document, secrets = hide_password(document)
    document, files = files_in(document)
    payload = checked(payload_model(document["type"]), document)
    where = where if where.api else replace(where, tenant=payload.tenant_id)
    await _keep(where, secrets)
    async with jobs_at(where) as jobs:
        document = await uploaded(jobs, document, files)
        accepted = await jobs.submit(document, key=key, delay_s=delay_s)
        await _tell(where, jobs, accepted, document["type"], follow=follow)
        return 0 if not follow or all_good(await watch(where, jobs, [accepted.job_id])) else FAILED


async def _keep(where: Options, secrets: dict[str, str]) -> None:
    from infra.cli.connect import ports_at

    if secrets and where.api:
        raise InvalidInput("secret", "no password goes over the API: keep it as a secret://NAME", field="database")
    for name, url in secrets.items():
        async with ports_at(where) as ports:
            await ports.secrets.put(f"{where.tenant}/{name}", url)
        click.echo(f"The connection URL is kept as secret://{name}; the job holds only this name.", err=True)


async def _tell(where: Options, jobs: "Jobs", accepted: "Accepted", job_type: str, *, follow: bool) -> None:
    """The id alone on stdout, for `$(…)`; a followed job's JSON comes line by line."""
    from infra.cli.render import print_json

    if not where.json:
        click.echo(accepted.job_id)
    elif not follow:
        print_json(await jobs.get(accepted.job_id))
    if not (follow or where.json):
        followed = f"longshore watch {accepted.job_id}{where.flags}"
        click.echo(f"{job_type} is {accepted.status}. Follow it: {followed}", err=True)
