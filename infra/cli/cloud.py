"""The local cloud as the commands start it: its log in a file, its end by a signal."""

import asyncio
import logging
import os
import signal
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

import structlog

from infra.cli.options import Options
from shared.errors import InvalidInput

if TYPE_CHECKING:
    from infra.local.cloud import LocalCloud

HOME: Final = Path(".longshore")
"""What the commands leave behind: logs, samples, downloads."""

LOCAL: Final = Path("template.yaml")
SHIPPED: Final = Path(__file__).parents[2] / "template.yaml"


@asynccontextmanager
async def local_cloud(
    where: Options, log: Path, *, port: int = 0, template: Path | None = None, data: Path | None = None
) -> AsyncIterator["LocalCloud"]:
    """`template`: by default the one here, else the one that came along. All that runs writes its lines to `log`."""
    from infra.local.cloud import LocalCloud

    external = None if where.endpoint == "local" else where.endpoint
    if external == "aws":
        raise InvalidInput(
            "endpoint", "functions run on this machine here; use `make deploy` for AWS", field="--endpoint"
        )
    path = template or (LOCAL if LOCAL.exists() else SHIPPED)
    region = where.region or "us-east-1"
    os.environ.pop("AWS_PROFILE", None)  # of this process alone: no credentials are needed, so none are looked up
    with _logging_to(log) as output:
        async with LocalCloud(
            path, port=port, stack=where.stack, region=region, endpoint=external, output=output, data=data
        ) as cloud:
            yield cloud


async def until_signalled(running: Coroutine[object, object, None]) -> None:
    """Run it until SIGINT or SIGTERM comes. Raises what it raises."""
    loop, stop = asyncio.get_running_loop(), asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    tasks = {task := asyncio.ensure_future(running), asyncio.ensure_future(stop.wait())}
    await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.remove_signal_handler(number)
    if task.done():
        task.result()
    for either in tasks:
        either.cancel()


@contextmanager
def _logging_to(path: Path) -> Iterator[Callable[[str, str], None]]:
    """Everybody's log into one file for people; → what takes a function's name and a line it wrote."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a", encoding="utf-8", buffering=1) as file:
        logging.basicConfig(stream=file, level=logging.WARNING, format="%(name)s | %(message)s", force=True)
        structlog.configure(
            processors=[
                structlog.processors.add_log_level,
                structlog.processors.TimeStamper(fmt="iso", utc=True),
                structlog.processors.format_exc_info,
                structlog.dev.ConsoleRenderer(colors=False, pad_event_to=0),
            ],
            wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
            logger_factory=structlog.WriteLoggerFactory(file),
        )
        try:
            yield lambda function, line: print(f"{function} | {line}", file=file)
        finally:
            structlog.reset_defaults()
            logging.basicConfig(force=True)
