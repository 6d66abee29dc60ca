"""Virtual time: an event loop whose clock stands still while there is work, and jumps to the next timer when not.

`asyncio.sleep`, `timeout` and `wait` take no real time and always the same virtual one; a story of days runs in
milliseconds. Rules:

- Time stands still while work is out in a thread (`asyncio.to_thread`): its result comes first, then the clock moves.
  So a time limit cannot interrupt a thread here, and a thread must not wait for a timer.
- If nothing is ready, no timer is set and no thread is at work, nobody can ever wake up: that is an error, not a hang.
- Real sockets and other processes are not waited for: use a real loop with them.
"""

import asyncio
import selectors
from collections.abc import Callable, Coroutine
from concurrent.futures import Executor, ThreadPoolExecutor
from typing import Final, TypeVar, TypeVarTuple

from shared.ports import Clock

EPOCH_MS: Final = 1_767_225_600_000
"""Virtual time begins at 2026-01-01T00:00:00Z."""

_T = TypeVar("_T")
_Args = TypeVarTuple("_Args")


def run_virtual(main: Callable[[Clock], Coroutine[object, object, _T]]) -> _T:
    """`await main(now)` on a fresh virtual loop; `now` tells its time in milliseconds since the Unix epoch."""
    loop = VirtualTimeLoop()
    with asyncio.Runner(loop_factory=lambda: loop) as runner:
        return runner.run(main(loop.now))


async def turn() -> None:
    """Every port in memory begins with this, as a call to the world does: others get their turn before it happens."""
    await asyncio.sleep(0)


class VirtualTimeLoop(asyncio.SelectorEventLoop):
    def __init__(self) -> None:
        self._time_s = 0.0
        self._at_work = 0
        super().__init__(_JumpingSelector(self))
        self._clock_resolution = 1e-6  # asyncio's nanosecond vanishes beside a year of seconds: no timer would be due
        self._threads: ThreadPoolExecutor | None = None

    def time(self) -> float:
        return self._time_s

    def now(self) -> int:
        return EPOCH_MS + round(self._time_s * 1000)

    def pass_time(self, seconds: float | None) -> bool:
        """Called when nothing is ready. False: a thread is at work, wait for it in real time."""
        if self._at_work:
            return False
        if seconds is None:
            raise RuntimeError("deadlock: nothing is ready, no timer is set, no thread is at work")
        self._time_s += seconds
        return True

    def run_in_executor(
        self, executor: Executor | None, func: Callable[[*_Args], _T], *args: *_Args
    ) -> asyncio.Future[_T]:
        work = (executor or self._pool()).submit(func, *args)
        result = asyncio.wrap_future(work, loop=self)
        self._at_work += 1
        # Added after wrap_future's own callback: the result is delivered before the clock may move on. It counts the
        # thread's work, not the awaiting, which may be cancelled earlier.
        work.add_done_callback(lambda _: self.call_soon_threadsafe(self._landed))
        return result

    async def shutdown_default_executor(self, timeout: float | None = None) -> None:  # noqa: ARG002, ASYNC109  as asyncio's
        self._at_work += 1  # a thread of asyncio's own waits for ours
        await super().shutdown_default_executor()
        self._at_work -= 1

    def _pool(self) -> ThreadPoolExecutor:
        """Made when it is first needed: most stories need none, and to end one takes a thread."""
        if self._threads is None:
            self._threads = ThreadPoolExecutor()
            self.set_default_executor(self._threads)
        return self._threads

    def _landed(self) -> None:
        self._at_work -= 1


class _JumpingSelector(selectors.DefaultSelector):
    """asyncio asks it to wait until something happens or the next timer is due: here is where time passes."""

    def __init__(self, loop: VirtualTimeLoop) -> None:
        super().__init__()
        self._loop = loop

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        events = super().select(0)
        if events or timeout == 0:
            return events
        return events if self._loop.pass_time(timeout) else super().select(None)
