"""A Lambda container: one event loop and one set of clients, made at the first invocation and kept.

Never `asyncio.run` per invocation: it closes the loop that cached clients live on. Light on purpose: this much every
function imports, the reactor no more of the runtime.
"""

import asyncio
from collections.abc import Callable, Coroutine
from functools import cache
from typing import Protocol, TypeVar

from shared.ports import Ports
from shared.runtime.logs import configure_logs
from shared.runtime.settings import Settings, read_settings
from shared.runtime.wiring import open_ports

T = TypeVar("T")


class LambdaContext(Protocol):
    """https://docs.aws.amazon.com/lambda/latest/dg/python-context.html"""

    function_name: str
    aws_request_id: str

    def get_remaining_time_in_millis(self) -> int: ...


class Container:
    """What lives as long as the container does."""

    def __init__(self) -> None:
        configure_logs()
        self.settings: Settings = read_settings()
        self._runner = asyncio.Runner()
        self._ports: Ports | None = None

    def run(self, invocation: Callable[[Ports], Coroutine[object, object, T]]) -> T:
        return self._runner.run(self._with_ports(invocation))

    async def _with_ports(self, invocation: Callable[[Ports], Coroutine[object, object, T]]) -> T:
        if self._ports is None:
            self._ports = await open_ports(self.settings)
        return await invocation(self._ports)


@cache
def container() -> Container:
    return Container()
