"""From what was said to the jobs, and to ports on a stack.

local        what `longshore up` started on this machine; needs no credentials
localstack   LocalStack, wherever LOCALSTACK_HOST says it is
aws          AWS itself, with the credentials and region that any AWS tool would use
URL          any endpoint; one on this machine is taken to check no credentials

With `--api`, a deployed API: then there are no ports, and no AWS credentials are needed.
"""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from infra.cli.options import Options
from shared.errors import InvalidInput, WorldFault
from shared.ports import Ports
from shared.runtime.settings import Settings

if TYPE_CHECKING:
    from infra.cli.client import Jobs

PORT: Final = 4599
"""Where `longshore up` listens, and `local` looks."""

API_PORT: Final = 4600
"""Where it serves the API and the dashboard."""

LOOPBACK: Final = ("127.0.0.1", "localhost", "::1")
PATIENCE_S: Final = 2.0


@asynccontextmanager
async def jobs_at(options: Options) -> AsyncIterator["Jobs"]:
    """The jobs, by way of the API that was named, or with what opens the stack. Raises as `ports_at`."""
    from infra.cli.client import Here, Jobs
    from infra.cli.operating import operator
    from shared.runtime.api.messages import Caller, Role

    if options.api is not None:
        from infra.cli.http_client import over_http

        async with over_http(options.api, options.token) as carrier:
            yield Jobs(carrier)
        return
    local = f"ws://127.0.0.1:{API_PORT}/live" if options.endpoint == "local" else ""
    async with ports_at(options) as ports:
        me = Caller(options.tenant, operator(), Role.OPERATOR)
        yield Jobs(Here(ports, me, live_url=os.environ.get("LONGSHORE_WEBSOCKET_URL", local)))


@asynccontextmanager
async def ports_at(options: Options, *, polling: bool = False) -> AsyncIterator[Ports]:
    """Ports on the stack. Raises WorldFault at once if nothing listens there. `polling`: for a worker's long polls."""
    from shared.runtime.wiring import ports_of

    if options.api is not None:
        raise InvalidInput("api", "this is done on the stack itself: give --endpoint instead", field="--api")
    settings = settings_of(options)
    await _somebody_listens(settings, options)
    async with ports_of(settings, polling=polling) as ports:
        yield ports


def settings_of(options: Options) -> Settings:
    """Raises InvalidInput if `endpoint` is none of the four."""
    url = _url(options.endpoint)
    if url is None or not (options.endpoint == "localstack" or urlsplit(url).hostname in LOOPBACK):
        return Settings(stack=options.stack, endpoint_url=url, region=options.region)
    os.environ.pop("AWS_PROFILE", None)  # of this process alone: botocore would look it up even if it needs none
    return Settings(
        stack=options.stack, endpoint_url=url, region=options.region or "us-east-1", credentials=("local", "local")
    )


def _url(endpoint: str) -> str | None:
    match endpoint:
        case "local":
            return f"http://127.0.0.1:{PORT}"
        case "aws":
            return None
        case "localstack":
            from infra.local.cloud import resolve_endpoint

            return resolve_endpoint(endpoint)
    if urlsplit(endpoint).scheme not in ("http", "https") or not urlsplit(endpoint).netloc:
        raise InvalidInput("endpoint", f"local, localstack, aws or a URL, not {endpoint!r}", field="--endpoint")
    return endpoint.rstrip("/")


async def _somebody_listens(settings: Settings, options: Options) -> None:
    """botocore would try for half a minute before it says so."""
    if settings.endpoint_url is None:
        return
    parts = urlsplit(settings.endpoint_url)
    port = parts.port or (443 if parts.scheme == "https" else 80)
    try:
        _, writer = await asyncio.wait_for(asyncio.open_connection(parts.hostname, port), PATIENCE_S)
    except OSError:
        how = "start it in another terminal: longshore up" if options.endpoint == "local" else "is it running?"
        raise WorldFault("unreachable", f"nothing answers at {settings.endpoint_url}; {how}") from None
    writer.close()
