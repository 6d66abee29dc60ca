"""Calling the author's function: `async def` on the worker's loop, `def` in a thread of its own.

A thread cannot be stopped. It learns from `context.cancelled` that it should end, and is waited for as long as an
`async def` handler would be that cleans up: only then is its job somebody else's.
"""

import asyncio
import inspect
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from functools import partial
from typing import TYPE_CHECKING, Final, TypeVar

from shared.errors import Permanent
from shared.payloads.base import Payload

if TYPE_CHECKING:  # a context retries what it calls in threads
    from shared.runtime.context import Context
    from shared.runtime.definition import JobType

P = TypeVar("P", bound=Payload)
T = TypeVar("T")

THREADS_MAX: Final = 1_000

_THREADS: Final = ThreadPoolExecutor(THREADS_MAX, thread_name_prefix="longshore-job")
"""Not the loop's own, a handful that also looks up addresses: jobs would wait there while their time runs out."""


async def called(job_type: "JobType[P]", payload: P, context: "Context") -> object:
    """What the function returned. Raises what it raised, but never what would end the worker's loop."""
    try:
        if inspect.iscoroutinefunction(job_type.function):
            return await job_type.function(payload, context)
        value = await in_thread(partial(job_type.function, payload, context))
        return await value if inspect.isawaitable(value) else value
    except SystemExit as error:  # it would end the worker's loop, and its neighbours with it
        raise Permanent("handler_exited", f"the handler called exit({error.code!r})") from error


async def in_thread(function: Callable[[], T]) -> T:
    """What `function` returned. A cancelled wait lasts until the thread has ended."""
    work = asyncio.get_running_loop().run_in_executor(_THREADS, copy_context().run, _without_stop_iteration, function)
    try:
        return await asyncio.shield(work)
    except asyncio.CancelledError:
        await asyncio.wait({work})
        raise


def _without_stop_iteration(function: Callable[[], T]) -> T:
    """A future cannot hold a StopIteration: whoever awaits it would wait for ever."""
    try:
        return function()
    except StopIteration as error:
        raise RuntimeError("the handler raised StopIteration") from error
