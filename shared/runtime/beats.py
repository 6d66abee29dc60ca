"""Signs of life while a handler runs: carry progress, extend the lease where that is ours to do, learn of a cancel.

In Lambda the lease ends with the invocation and beats don't extend it, so that a blocked loop cannot cause a double
run. In a long-running worker they do, from a thread with a loop and clients of its own (`HeartThread`), so that a
handler which blocks the worker's loop keeps its lease and is named in the log.
"""

import asyncio
import sys
import threading
import traceback
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from concurrent.futures import Future
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Final, Protocol

from shared.moves import beat
from shared.ports import Ports, Refused
from shared.runtime.logs import get_logger, redacted
from shared.runtime.run import Run, Stop, beat_due

TICK_S: Final = 1.0
LEASE_MS: Final = 60_000
BLOCKED_AFTER_S: Final = 5.0

GIVE_UP_AFTER_MS: Final = 30_000
"""Beyond its time a run is stopped by its own loop. One that isn't has a loop that will never run again."""


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
        loop = asyncio.get_running_loop()
        beating: set[asyncio.Task[None]] = set()

        def begin() -> None:
            beating.add(loop.create_task(keep_beating(run, self._ports, lease_ms=self._lease_ms, hide=hide)))

        timer = loop.call_later(TICK_S, begin)  # most jobs end sooner: a timer costs less than a task
        try:
            yield
        finally:
            timer.cancel()
            for task in beating:
                task.cancel()
                await asyncio.wait({task})


class HeartThread:
    """Beats on a thread with its own loop and clients (`make_ports`); also watches the worker's loop for blocking.

    It looks for new runs every second, so that a job which ends sooner costs neither thread a wake-up.
    """

    def __init__(self, make_ports: Callable[[], AbstractAsyncContextManager[Ports]]) -> None:
        self._make_ports = make_ports
        self._ready: Future[tuple[asyncio.AbstractEventLoop, asyncio.Event]] = Future()
        self._thread = threading.Thread(target=self._main, name="longshore-heart", daemon=True)
        self._begun: deque[tuple[Run, Callable[[Ports], Awaitable[None]] | None]] = deque()

    async def __aenter__(self) -> "HeartThread":
        self._worker_loop = asyncio.get_running_loop()
        self._worker_thread = threading.get_ident()
        self._thread.start()
        self._loop, self._stopping = await asyncio.wrap_future(self._ready)
        return self

    async def __aexit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._stopping.set)
        await asyncio.to_thread(self._thread.join)

    @asynccontextmanager
    async def during(self, run: Run, hide: Callable[[Ports], Awaitable[None]] | None) -> AsyncIterator[None]:
        self._begun.append((run, hide))  # until the run is marked as finished
        yield

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
            self._ready.set_result((asyncio.get_running_loop(), stopping))
            tasks = {asyncio.create_task(self._watch_worker_loop()), asyncio.create_task(self._beat_for_all(ports))}
            await stopping.wait()
            for task in tasks:
                task.cancel()

    async def _beat_for_all(self, ports: Ports) -> None:
        beating: set[asyncio.Task[None]] = set()
        while True:
            await asyncio.sleep(TICK_S)
            while self._begun:
                run, hide = self._begun.popleft()
                if not run.finished:
                    task = asyncio.create_task(keep_beating(run, ports, lease_ms=LEASE_MS, hide=hide))
                    beating.add(task)
                    task.add_done_callback(beating.discard)

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
    """Until cancelled or the run's end, or until the row says that it has lost its lease or should stop.

    A blocked loop keeps its lease for as long as its job may run, and no longer: then somebody else takes over.
    """
    while run.stop is None and not run.finished:
        now = ports.now()
        if now > run.ends_at + GIVE_UP_AFTER_MS:
            get_logger().error("lease_given_up", job_id=run.job.job_id, late_ms=now - run.ends_at)
            return
        if beat_due(run, now):
            await _beat_patiently(run, ports, now, None if lease_ms is None else now + lease_ms, hide)
        await asyncio.sleep(TICK_S)


async def _beat_patiently(
    run: Run, ports: Ports, now: int, lease_until: int | None, hide: Callable[[Ports], Awaitable[None]] | None
) -> None:
    try:
        await _beat(run, ports, now, lease_until)
        if hide is not None:
            await hide(ports)
    except Exception as error:  # noqa: BLE001  # a run whose beats have ended would lose its lease while it lives
        get_logger().warning("beat_failed", job_id=run.job.job_id, reason=redacted(str(error)))


async def _beat(run: Run, ports: Ports, now: int, lease_until: int | None) -> None:
    progress = run.progress
    answer = await ports.jobs.apply(beat(run.job, now, progress=progress, lease_until=lease_until))
    if isinstance(answer, Refused):
        run.halt(Stop.LOST)
        return
    run.carried, run.beat_at = progress, now
    run.lease_until = lease_until or run.lease_until
    if answer.job.cancel_requested:
        run.job = answer.job  # its history tells who asked
        run.halt(Stop.CANCELLED)
