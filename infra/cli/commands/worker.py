"""`longshore worker`: run jobs here, in a process that stays."""

import asyncio
import os
import re
import signal
import socket
from typing import TYPE_CHECKING

import click

from infra.cli.options import Command, Options, options
from shared.errors import InvalidInput

if TYPE_CHECKING:
    from shared.payloads.base import Payload
    from shared.runtime.definition import JobType
    from shared.runtime.process import Assignment


@click.command("worker", cls=Command)
@click.option(
    "--types", "served", metavar="TYPE[:N],...", help="The types to serve, each with a concurrency of its own."
)
@click.option("--concurrency", type=click.IntRange(1, 1000), default=4, show_default=True, help="Where none is given.")
def command(served: str | None, concurrency: int) -> None:
    """Run jobs in a process that stays.

    It serves the queues instead of Lambda, or beside it.

    SIGTERM or Ctrl-C ends it gracefully: nothing more is taken, running jobs have 25 s to end, the others are queued
    again without losing an attempt. A second signal ends it at once.

    \b
    Examples:
      longshore worker
      longshore worker --types extract,generic:8 --concurrency 2
      longshore --endpoint aws --stack longshore worker --types backup:1
    """
    from shared.runtime.context import OPEN_DATABASES
    from shared.runtime.logs import configure_logs

    configure_logs(pretty=os.isatty(2) and not options().json)
    if options().endpoint == "aws":  # as in Lambda: this machine's files are no tenant's, unless somebody says so
        os.environ.setdefault(OPEN_DATABASES, "0")
    asyncio.run(_serve(options(), _assignments(served, concurrency)))


def job_type_named(name: str) -> "JobType[Payload]":
    """The handler of a job type. Raises InvalidInput if there is none."""
    import importlib

    from infra.cli.fields import payload_model

    payload_model(name)
    found: JobType[Payload] = getattr(importlib.import_module(f"handlers.jobs.{name}"), name)
    return found


def who() -> str:
    """Of this process, for the history of the jobs it runs."""
    return f"{socket.gethostname()}-{os.getpid()}"


def _assignments(served: str | None, concurrency: int) -> list["Assignment"]:
    from shared.payloads import TYPES
    from shared.runtime.process import Assignment

    assignments = []
    for text in served.split(",") if served else TYPES:
        found = re.fullmatch(r"([a-z0-9_]+)(?::([1-9]\d{0,2}))?", text.strip())
        if found is None:
            raise InvalidInput("types", f"TYPE or TYPE:CONCURRENCY was expected, not {text!r}", field="--types")
        assignments.append(Assignment(job_type_named(found[1]), int(found[2] or concurrency)))
    return assignments


async def _serve(where: Options, assignments: list["Assignment"]) -> None:
    from infra.cli.connect import ports_at
    from shared.runtime.beats import HeartThread
    from shared.runtime.process import serve

    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, _stop_or_die, stop, number)
    async with ports_at(where, polling=True) as ports, HeartThread(lambda: ports_at(where)) as beats:
        await serve(assignments, ports, beats, stack=where.stack, who=who(), stop=stop)


def _stop_or_die(stop: asyncio.Event, number: signal.Signals) -> None:
    if stop.is_set():
        signal.signal(number, signal.SIG_DFL)
        signal.raise_signal(number)
    stop.set()
