"""A database in a thread of its own, for a handler in the event loop.

Work is a plain function in the thread. It gets the database, and files whose other ends are in the loop: an `Outlet` to
write to, an `Inlet` to read from. When the handler is cancelled, the files break, the running statement is interrupted,
and the thread is waited for: nothing goes on behind a cancelled job's back.
"""

import asyncio
import concurrent.futures
import hashlib
import io
import threading
from collections.abc import AsyncIterator, Callable, Coroutine
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import asynccontextmanager
from functools import partial
from typing import Concatenate, Final, Generic, ParamSpec, TypeVar, cast

from typing_extensions import Buffer

from shared.databases.engine import Database

P = ParamSpec("P")
T = TypeVar("T")
D = TypeVar("D", bound=Database)

CHUNK_BYTES: Final = 1 << 20
INTERRUPT_EVERY_S: Final = 0.2


@asynccontextmanager
async def session(connect: Callable[[], D]) -> AsyncIterator["Session[D]"]:
    """Connect, and disconnect at the end of the block; what is not committed by then is given up."""
    executor = _OneThread(1, thread_name_prefix="database")
    connected, connecting = executor.begin(connect)
    try:
        database = await connected
    except BaseException:
        connecting.add_done_callback(_close_if_connected)
        executor.shutdown(wait=False)
        raise
    try:
        yield Session(database, executor, _Bridge(asyncio.get_running_loop()))
    finally:
        executor.submit(database.close)
        await asyncio.to_thread(executor.shutdown)


class Session(Generic[D]):
    """Made by `session`. One piece of work at a time."""

    def __init__(self, database: D, executor: "_OneThread", bridge: "_Bridge") -> None:
        self._database = database
        self._executor = executor
        self._bridge = bridge

    async def run(self, work: Callable[Concatenate[D, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """`work(database, …)` in the thread. The engine's own errors come out as Permanent or Transient."""
        done, future = self._executor.begin(partial(work, self._database, *args, **kwargs))
        try:
            return await done
        except asyncio.CancelledError:
            self._bridge.close()
            await asyncio.to_thread(self._interrupt, future)
            raise
        except Exception as error:
            fault = self._database.fault(error)
            if fault is None:
                raise
            raise fault from None
        finally:
            await self._bridge.settled()

    def outlet(self, write: Callable[[bytes], Coroutine[object, object, None]]) -> "Outlet":
        return Outlet(self._bridge, write)

    def inlet(self, chunks: AsyncIterator[bytes]) -> "Inlet":
        return Inlet(self._bridge, chunks)

    def in_loop(self, tell: Callable[P, None]) -> Callable[P, None]:
        """`tell` for use in the thread: it is called in the loop, soon."""

        def post(*args: P.args, **kwargs: P.kwargs) -> None:
            self._bridge.post(partial(tell, *args, **kwargs))

        return post

    def _interrupt(self, future: Future[T]) -> None:
        """Again and again: an interrupt that comes between two statements is lost."""
        while not future.done():
            self._database.interrupt()
            concurrent.futures.wait([future], INTERRUPT_EVERY_S)


class Outlet(io.RawIOBase):
    """A file whose contents go to a coroutine function in the loop, by the megabyte and at its pace."""

    def __init__(self, bridge: "_Bridge", write: Callable[[bytes], Coroutine[object, object, None]]) -> None:
        self._bridge = bridge
        self._write = write
        self._held = bytearray()

    def writable(self) -> bool:
        return True

    def write(self, data: Buffer, /) -> int:
        self._held += data
        if len(self._held) >= CHUNK_BYTES:
            self.finish()
        return memoryview(data).nbytes

    def finish(self) -> None:
        """Hand over what is left. Not done by `close`, which also ends a file that was given up."""
        if self._held:
            chunk, self._held = bytes(self._held), bytearray()
            self._bridge.call(self._write(chunk))


class Inlet(io.RawIOBase):
    """A file of what an asynchronous iterator yields in the loop; `sha256` and `size_bytes` of what was read so far."""

    def __init__(self, bridge: "_Bridge", chunks: AsyncIterator[bytes]) -> None:
        self.sha256 = hashlib.sha256()
        self.size_bytes = 0
        self._bridge = bridge
        self._chunks = chunks
        self._held = memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Buffer, /) -> int:
        target = memoryview(buffer).cast("B")
        if not self._held:
            chunk = self._bridge.call(self._next())
            self.sha256.update(chunk)
            self.size_bytes += len(chunk)
            self._held = memoryview(chunk)
        size = min(len(target), len(self._held))
        target[:size], self._held = self._held[:size], self._held[size:]
        return size

    def break_off(self) -> None:
        """From any thread: whoever waits for more gets CancelledError."""
        self._bridge.break_off()

    async def _next(self) -> bytes:
        """An empty chunk would look like the end."""
        async with self._bridge.reading:
            async for chunk in self._chunks:
                if chunk:
                    return chunk
        return b""


class _Bridge:
    """From the thread into the loop. `reading` is held by whoever is in the middle of an iterator's next."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.reading = asyncio.Lock()
        self._loop = loop
        self._lock = threading.Lock()
        self._pending: Future[object] | None = None
        self._closed = False

    def call(self, coroutine: Coroutine[object, object, T]) -> T:
        """In the thread: wait for the coroutine, which runs in the loop."""
        with self._lock:
            if self._closed:
                coroutine.close()
                raise concurrent.futures.CancelledError
            future = asyncio.run_coroutine_threadsafe(coroutine, self._loop)
            self._pending = cast("Future[object]", future)
        return future.result()

    def post(self, tell: Callable[[], None]) -> None:
        self._loop.call_soon_threadsafe(tell)

    def break_off(self) -> None:
        self._loop.call_soon_threadsafe(self.close)

    async def settled(self) -> None:
        """In the loop: until what was broken off has cleaned up, though whoever waits is cancelled meanwhile."""
        cancelled = False
        while self.reading.locked():
            try:
                async with self.reading:
                    pass
            except asyncio.CancelledError:
                cancelled = True
        if cancelled:
            raise asyncio.CancelledError

    def close(self) -> None:
        """In the loop: break what is waited for, and refuse what comes."""
        with self._lock:
            self._closed = True
            if self._pending is not None:
                self._pending.cancel()


class _OneThread(ThreadPoolExecutor):
    """It is given its work by the loop, so that a loop in virtual time knows that somebody is at work."""

    def begin(self, work: Callable[[], T]) -> tuple[asyncio.Future[T], Future[T]]:
        """→ the end of the work for whoever awaits it, and as the thread has it."""
        done = asyncio.get_running_loop().run_in_executor(self, work)
        return done, cast("Future[T]", self._given)

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        future = super().submit(fn, *args, **kwargs)
        self._given = cast("Future[object]", future)
        return future


def _close_if_connected(connecting: Future[D]) -> None:
    if not connecting.cancelled() and connecting.exception() is None:
        connecting.result().close()
