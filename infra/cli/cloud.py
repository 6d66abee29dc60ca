"""The local cloud as the commands start it: its log in a file, its end by a signal."""

import asyncio
import logging
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, MutableMapping
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final  # Any: what structlog hands to processors

import structlog

from infra.cli.operating import operator, plain
from infra.cli.options import Options
from shared.errors import InvalidInput, NotFound

if TYPE_CHECKING:
    from infra.local.cloud import LocalCloud
    from infra.local.specs import Authorizer
    from infra.local.template import Template

HOME: Final = Path(".longshore")
"""What the commands leave behind: logs, samples, downloads."""

KEY: Final = HOME / "key"
"""What the tokens of the local cloud are signed with. It opens nothing else."""

DAY_S: Final = 86_400

LOCAL: Final = Path("template.yaml")
SHIPPED: Final = Path(__file__).parents[2] / "template.yaml"


@asynccontextmanager
async def local_cloud(
    where: Options,
    log: Path,
    *,
    port: int = 0,
    api_port: int = 0,
    template: Path | None = None,
    data: Path | None = None,
) -> AsyncIterator["LocalCloud"]:
    """`template`: by default the one here, else the one that came along. All that runs writes its lines to `log`."""
    from infra.local.cloud import LocalCloud
    from infra.local.tokens import development_key

    external = None if where.endpoint == "local" else where.endpoint
    if external == "aws":
        raise InvalidInput(
            "endpoint", "functions run on this machine here; use `make deploy` for AWS", field="--endpoint"
        )
    path = template or _template()
    region = where.region or "us-east-1"
    os.environ.pop("AWS_PROFILE", None)  # of this process alone: no credentials are needed, so none are looked up
    with _logging_to(log) as output:
        async with LocalCloud(
            path,
            port=port,
            stack=where.stack,
            region=region,
            endpoint=external,
            output=output,
            data=data,
            api_port=api_port,
            key=development_key(KEY),
        ) as cloud:
            yield cloud


def token_for(where: Options, template: "Template", role: str | None = None, *, life_s: int = DAY_S) -> str:
    """Opens the local cloud's API for `where.tenant`. `role`: by default one that may do everything."""
    from infra.local.tokens import development_key, signed
    from shared.runtime.api.messages import Role

    roles = [role or [*Role][-1]]
    key, authorizer = development_key(KEY), _authorizer(template)
    return signed(key, authorizer, tenant_id=where.tenant, user_id=operator(), roles=roles, life_s=life_s)


def development_token(where: Options, role: str | None = None, *, life_s: int = DAY_S) -> str:
    """The same, of a cloud that somebody started in this directory. Raises NotFound if nobody did."""
    from infra.local.endpoint import ACCOUNT
    from infra.local.intrinsics import Place
    from infra.local.template import read_template

    if not KEY.exists():
        raise NotFound("no_key", f"there is no {KEY} here: go where `longshore up` was started", field="token")
    place = Place(where.stack, where.region or "us-east-1", ACCOUNT, "http://127.0.0.1")
    return token_for(where, read_template(_template().read_text(encoding="utf-8"), place, {}), role, life_s=life_s)


def _authorizer(template: "Template") -> "Authorizer":
    from infra.local.specs import HttpSource, functions

    for source in (source for function in functions(template) for source in function.sources):
        if isinstance(source, HttpSource) and source.authorizer is not None:
            return source.authorizer
    raise InvalidInput("no_api", "the template has no HTTP API that takes tokens", field="--template")


def _template() -> Path:
    return LOCAL if LOCAL.exists() else SHIPPED


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
                _Aloud(path),
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


class _Aloud:
    """Says on stderr, once, what nobody would look for in a log: a function that cannot be imported runs no job."""

    def __init__(self, log: Path) -> None:
        self._log = log
        self._said: set[str] = set()

    def __call__(self, _logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        if event["event"] == "import_failed" and (words := f"{event['function']}: {event['reason']}") not in self._said:
            self._said.add(words)
            sys.stderr.write(f"cannot be imported: {plain(words)}\n  its jobs wait; the log is {self._log}\n")
        return event
