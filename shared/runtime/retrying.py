"""Retries and error handling around any function: the policy of a job type, for one call inside a run.

    page = await context.retry(fetch, url, circuit="api.example.com")

    @context.retrying(policy=Policy(attempts_max=5), circuit="api.example.com")
    async def fetch(url: str) -> Page: ...

- What is permanent is raised at once; what is transient is tried again, as far as tries and the run's time suffice.
- A circuit that is open raises CircuitOpen: left alone, it puts the job off and costs it no attempt.
"""

import asyncio
import inspect
import math
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass
from functools import partial, wraps
from typing import ParamSpec, Protocol, TypedDict, TypeVar, Unpack, cast, overload

from structlog.stdlib import BoundLogger

from shared.ports import Ports
from shared.retry import Policy
from shared.runtime.breaker import Circuits, OutOfTime, of_host
from shared.runtime.calling import in_thread
from shared.runtime.patience import persistently

P = ParamSpec("P")
T = TypeVar("T")


class Options(TypedDict, total=False):
    policy: Policy
    """Default `Policy()`: 3 attempts, 1 s to 30 s; its `timeout_s` bounds one call, its `circuit` sets the breaker."""
    circuit: str
    """What is called, a host's name for instance: its circuit is shared by all workers, for this tenant alone."""
    operation: str
    """For the log; default: the function's name."""
    note: str
    """For the log, and for the error's stack."""
    recover: Callable[[Exception], object]
    """Given the last error, also CircuitOpen: what it returns is returned, what it raises is raised."""
    cleanup: Callable[[], object]
    """Called in the end, whatever the end is."""


class Decorator(Protocol):
    @overload
    def __call__(self, fn: Callable[P, Awaitable[T]]) -> Callable[P, Coroutine[object, object, T]]: ...
    @overload
    def __call__(self, fn: Callable[P, T]) -> Callable[P, Coroutine[object, object, T]]: ...


@dataclass(frozen=True)
class Retrying:
    """`retry` calls, `retrying` decorates; plain functions run in a thread. Nothing begins after `until` (ms)."""

    ports: Ports
    tenant_id: str
    circuits: Circuits
    log: BoundLogger
    until: float = math.inf

    @overload
    async def retry(self, fn: Callable[..., Awaitable[T]], *args: object, **options: Unpack[Options]) -> T: ...
    @overload
    async def retry(self, fn: Callable[..., T], *args: object, **options: Unpack[Options]) -> T: ...
    async def retry(self, fn: Callable[..., object], *args: object, **options: Unpack[Options]) -> object:
        """The value of `fn(*args)`, `async def` or plain, or what `recover` makes of its last error."""
        operation = options.get("operation") or getattr(fn, "__qualname__", type(fn).__name__)
        note = options.get("note", "")
        log = self.log.bind(operation=operation, note=note)
        try:
            return await self._tried(partial(fn, *args), options, log)
        except Exception as error:
            error.add_note(f"in {operation}: {note}".removesuffix(": "))
            log.error("action_failed", error=type(error).__name__, reason=str(error))
            if "recover" not in options:
                raise
            return await _value(partial(options["recover"], error))
        finally:
            if "cleanup" in options:
                await _value(options["cleanup"])

    def retrying(self, **options: Unpack[Options]) -> Decorator:
        """A decorator for `async def` and plain functions; either is awaited."""

        def decorate(fn: Callable[..., object]) -> Callable[..., Coroutine[object, object, object]]:
            named: Options = {"operation": fn.__qualname__, **options}

            @wraps(fn)
            async def again(*args: object, **kwargs: object) -> object:
                return await self.retry(partial(fn, *args, **kwargs), **named)

            return again

        return cast("Decorator", decorate)

    async def _tried(self, fn: Callable[[], object], options: Options, log: BoundLogger) -> object:
        policy = options.get("policy", Policy())

        async def call() -> object:
            left_s = (self.until - self.ports.now()) / 1000
            if left_s <= 0:
                raise OutOfTime("no time is left to begin it")
            try:
                async with asyncio.timeout(min(policy.timeout_s, left_s)) as limit:
                    return await _value(fn)
            except TimeoutError:
                if limit.expired() and left_s < policy.timeout_s:
                    raise OutOfTime("the run's own time was over") from None
                raise

        guarded = call
        if "circuit" in options:
            guarded = partial(self.circuits.guarded, of_host(self.tenant_id, options["circuit"]), call, policy)
        return await persistently(guarded, self.ports, policy, until=self.until, log=log)


async def _value(fn: Callable[[], object]) -> object:
    """Of a function that may be plain: then it runs in a thread, where it blocks nobody."""
    value = fn() if inspect.iscoroutinefunction(fn) else await in_thread(fn)
    return await value if inspect.isawaitable(value) else value
