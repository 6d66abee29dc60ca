"""A question to the API: its path, and its answer, as it is with `--json`, else as `shown` shows it to people."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, TypeVar

from infra.cli.options import Options, options
from shared.errors import NotFound

if TYPE_CHECKING:
    from pydantic import BaseModel

    from infra.cli.client import Jobs

M = TypeVar("M", bound="BaseModel")


def run(ask: "Callable[[Jobs], Awaitable[M]]", shown: Callable[[M], None]) -> None:
    asyncio.run(_asked(options(), ask, shown))


def path_of(kind: str, its_id: str, *below: str) -> str:
    """Of one of the API's things: `job`, `schedule`, `webhook`. Raises NotFound for what can be no id, so that no other
    path is made of it."""
    from shared.runtime.api.jobs import NAME

    if not NAME.fullmatch(its_id):
        raise NotFound(f"no_such_{kind}", f"no {kind} {its_id!r}", field=f"{kind}_id")
    return "/".join((f"/{kind}s", its_id, *below))


async def _asked(where: Options, ask: "Callable[[Jobs], Awaitable[M]]", shown: Callable[[M], None]) -> None:
    from infra.cli.connect import jobs_at
    from infra.cli.render import print_json

    async with jobs_at(where) as jobs:
        found = await ask(jobs)
    if where.json:
        print_json(found)
    else:
        shown(found)
