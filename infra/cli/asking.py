"""A question to the API, and its answer: as it is with `--json`, else as `shown` shows it to people."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, TypeVar

from infra.cli.options import Options, options

if TYPE_CHECKING:
    from pydantic import BaseModel

    from infra.cli.client import Jobs

M = TypeVar("M", bound="BaseModel")


def run(ask: "Callable[[Jobs], Awaitable[M]]", shown: Callable[[M], None]) -> None:
    asyncio.run(_asked(options(), ask, shown))


async def _asked(where: Options, ask: "Callable[[Jobs], Awaitable[M]]", shown: Callable[[M], None]) -> None:
    from infra.cli.connect import jobs_at
    from infra.cli.render import print_json

    async with jobs_at(where) as jobs:
        found = await ask(jobs)
    if where.json:
        print_json(found)
    else:
        shown(found)
