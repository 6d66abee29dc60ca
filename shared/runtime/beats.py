"""Signs of life while a handler runs: carry progress, extend the lease where that is ours to do, learn of a cancel.

In Lambda the lease ends with the invocation and beats don't extend it, so that a blocked loop cannot cause a double
run. In a long-running worker they do, from a thread with a loop and clients of its own (`HeartThread`), so that a
handler which blocks the worker's loop keeps its lease and is named in the log.
"""

import asyncio
import sys
import threading
import traceback
from collections.abc import AsyncIterator, Awaitable, Callable
from concurrent.futures import Future
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Final, Protocol

from shared.errors import WorldFault
from shared.moves import beat
from shared.ports import Ports, Refused
from shared.runtime.logs import get_logger
from shared.runtime.run import Run, Stop, beat_due

TICK_S: Final = 1.0
LEASE_MS: Final = 60_000
BLOCKED_AFTER_S: Final = 5.0


class Beats(Protocol):
    def during(self, run: Run, hide: Callable[[Ports], Awaitable[None]] | None) -> AbstractAsyncContextManager[None]:
        """Beat while the block runs. `hide` keeps the message invisible as long as the lease."""
        ...


class TaskBeats:
    """Beats on the worker's own loop: Lambda, tests. `lease_ms` None: the lease is not ours to extend."""

    def __init__(self, ports: Ports, *, lease_ms: int | None = None) -> None:
        self._ports = ports
        self._lease_ms = lease_ms

    @asynccontextmanager
    async def during(self, run: Run, hide: Callable[[Ports], Awaitable[None]] | None) -> AsyncIterator[None]:
        task = asyncio.create_task(keep_beating(run, self._ports, lease_ms=self._lease_ms, hide=hide))
        try:
            yield
        finally:
            task.cancel()
            await asyncio.wait({task})


class HeartThread:
    """Beats on a thread with its own loop and clients (`make_ports`); also watches the worker's loop for blocking."""

    def __init__(self, make_ports: Callable[[], AbstractAsyncContextManager[Ports]]) -> None:
        self._make_ports = make_ports
        self._ready: Future[tuple[asyncio.AbstractEventLoop, Ports, asyncio.Event]] = Future()
        self._thread = threading.Thread(target=self._main, name="longshore-heart", daemon=True)

    async def __aenter__(self) -> "HeartThread":
        self._worker_loop = asyncio.get_running_loop()
        self._worker_thread = threading.get_ident()
        self._thread.start()
        self._loop, self._ports, self._stopping = await asyncio.wrap_future(self._ready)
        return self

    async def __aexit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._stopping.set)
        await asyncio.to_thread(self._thread.join)

    @asynccontextmanager
    async def during(self, run: Run, hide: Callable[[Ports], Awaitable[None]] | None) -> AsyncIterator[None]:
        beating = keep_beating(run, self._ports, lease_ms=LEASE_MS, hide=hide)
        future = asyncio.run_coroutine_threadsafe(beating, self._loop)
        try:
            yield
        finally:
            future.cancel()

    def _main(self) -> None:
        try:
            asyncio.run(self._live())
        except Exception as error:
            if self._ready.done():
                raise
            self._ready.set_exception(error)

    async def _live(self) -> None:
        stopping = asyncio.Event()
        async with self._make_ports() as ports:
            self._ready.set_result((asyncio.get_running_loop(), ports, stopping))
            watch = asyncio.create_task(self._watch_worker_loop())
            await stopping.wait()
            watch.cancel()

    async def _watch_worker_loop(self) -> None:
        """A loop that answers nothing for 5 s is blocked by its author's code: say where it stands."""
        while True:
            answered = asyncio.Event()
            loop = asyncio.get_running_loop()
            self._worker_loop.call_soon_threadsafe(loop.call_soon_threadsafe, answered.set)
            try:
                await asyncio.wait_for(answered.wait(), BLOCKED_AFTER_S)
            except TimeoutError:
                frame = sys._current_frames().get(self._worker_thread)
                where = traceback.format_stack(frame)[-3:] if frame else []
                get_logger().error("loop_blocked", seconds=BLOCKED_AFTER_S, where="".join(where))
                await answered.wait()
            await asyncio.sleep(TICK_S)


async def keep_beating(
    run: Run, ports: Ports, *, lease_ms: int | None, hide: Callable[[Ports], Awaitable[None]] | None
) -> None:
    """Until cancelled, or until the row says that this run has lost its lease or should stop."""
    while run.stop is None:
        await asyncio.sleep(TICK_S)
        now = ports.now()
        if not beat_due(run, now):
            continue
        try:
            await _beat(run, ports, now, None if lease_ms is None else now + lease_ms)
            if hide is not None:
                await hide(ports)
        except WorldFault as fault:
            get_logger().warning("beat_failed", job_id=run.job.job_id, reason=str(fault))


async def _beat(run: Run, ports: Ports, now: int, lease_until: int | None) -> None:
    progress = run.progress
    answer = await ports.jobs.apply(beat(run.job, now, progress=progress, lease_until=lease_until))
    if isinstance(answer, Refused):
        run.halt(Stop.LOST)
        return
    run.carried, run.beat_at = progress, now
    if answer.job.cancel_requested:
        run.halt(Stop.CANCELLED)
