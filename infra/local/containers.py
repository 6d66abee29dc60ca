"""Functions of the local cloud: each runs in child processes that are started when needed and reused, as in Lambda.

Rules of this file:
1. One event at a time per container; another event at the same time means another container.
2. A container that ran out of time, died or spoke nonsense is killed with all its children and never used again.
3. The caller bounds how many run at once (an event source's concurrency); an idle one goes after `IDLE_S`.

https://docs.aws.amazon.com/lambda/latest/dg/lambda-runtime-environment.html
"""

import asyncio
import json
import os
import signal
import socket
import sys
import time
import uuid
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import structlog

from infra.local.events import InvocationFailed
from infra.local.specs import FunctionSpec

IDLE_S: Final = 60
INIT_MAX_S: Final = 60
KILLED_WITHIN_S: Final = 3
LINE_BYTES_MAX: Final = 40_000_000
"""Lambda's 6 MB for an event or an answer, every byte of it as one of JSON's six-letter escapes."""

Output = Callable[[str, str], None]
"""Takes a function's name and one line that it wrote to stdout or stderr."""

log = structlog.get_logger("longshore.local")


class Function:
    """`await function.invoke(event)` → what its handler returned. `environment` is all that its processes get."""

    def __init__(
        self,
        spec: FunctionSpec,
        *,
        environment: Mapping[str, str],
        directory: Path,
        output: Output,
        idle_s: float = IDLE_S,
    ) -> None:
        self.spec = spec
        self._environment = environment
        self._directory = directory
        self._output = output
        self._idle_s = idle_s
        self._idle: list[_Container] = []
        self._alive: set[_Container] = set()

    async def invoke(self, event: Any) -> Any:
        """Runs the handler, at most the function's timeout. Raises InvocationFailed if it raises, dies or is late."""
        container = self._reused() or await self._started()
        began_s = time.monotonic()
        try:
            answer = await container.ask(event, self.spec.timeout_s)
        except BaseException:  # a cancelled caller, too, leaves a container in the middle of something
            await self._end(container)
            raise
        self._keep(container)
        duration_ms = int((time.monotonic() - began_s) * 1000)
        log.debug("invoked", function=self.spec.name, duration_ms=duration_ms, memory_mb=answer["memory_mb"])
        if answer["memory_mb"] > self.spec.memory_mb:
            log.warning("memory_exceeded", function=self.spec.name, used_mb=answer["memory_mb"], mb=self.spec.memory_mb)
        return _result(answer)

    async def close(self) -> None:
        """Kills every container, busy or idle, and waits until they are gone."""
        await asyncio.gather(*(self._end(container) for container in [*self._alive]))

    def _reused(self) -> "_Container | None":
        while self._idle:
            container = self._idle.pop()
            if container.retirement is not None:
                container.retirement.cancel()
            if container.is_running:
                return container
        return None

    async def _started(self) -> "_Container":
        container = await _Container.start(self.spec, self._environment, self._directory, self._output)
        self._alive.add(container)
        container.ended.add_done_callback(lambda _: self._alive.discard(container))
        try:
            _result(await container.hear(INIT_MAX_S))
        except BaseException as error:
            await self._end(container)
            if isinstance(error, InvocationFailed):
                log.error("import_failed", function=self.spec.name, reason=str(error))
            raise
        return container

    def _keep(self, container: "_Container") -> None:
        self._idle.append(container)
        container.retirement = asyncio.get_running_loop().call_later(self._idle_s, self._retire, container)

    def _retire(self, container: "_Container") -> None:
        self._idle.remove(container)
        container.hang_up()

    async def _end(self, container: "_Container") -> None:
        """Whoever left the container's process group may hold its output for as long as it lives: not our wait."""
        container.kill()
        _, held = await asyncio.wait({container.ended}, timeout=KILLED_WITHIN_S)
        if held:
            log.warning("output_held", function=self.spec.name)
            container.stop_listening()
            await asyncio.wait(held)


class _Container:
    """A child process and the socket to it."""

    def __init__(
        self,
        process: asyncio.subprocess.Process,
        streams: tuple[asyncio.StreamReader, asyncio.StreamWriter],
        output: Callable[[str], None],
    ) -> None:
        self._process = process
        self._reader, self._writer = streams
        self.ended = asyncio.ensure_future(self._until_end(output))
        self.retirement: asyncio.TimerHandle | None = None

    @classmethod
    async def start(
        cls, spec: FunctionSpec, environment: Mapping[str, str], directory: Path, output: Output
    ) -> "_Container":
        ours, theirs = socket.socketpair()
        with theirs:
            process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "infra.local.container", str(theirs.fileno()), spec.handler,
                cwd=directory, env=environment, pass_fds=[theirs.fileno()], start_new_session=True,
                stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
            )  # fmt: skip
        streams = await asyncio.open_connection(sock=ours, limit=LINE_BYTES_MAX)
        return cls(process, streams, lambda line: output(spec.name, line))

    @property
    def is_running(self) -> bool:
        return self._process.returncode is None

    async def ask(self, event: Any, timeout_s: float) -> dict[str, Any]:
        request = {"event": event, "timeout_s": timeout_s, "request_id": str(uuid.uuid4())}
        self._writer.write(json.dumps(request).encode() + b"\n")
        return await self.hear(timeout_s)

    async def hear(self, timeout_s: float) -> dict[str, Any]:
        try:
            async with asyncio.timeout(timeout_s):
                line = await self._reader.readline()
        except TimeoutError:
            raise InvocationFailed("Sandbox.Timedout", f"Task timed out after {timeout_s:.2f} seconds") from None
        except (ConnectionError, ValueError) as error:
            raise InvocationFailed("Runtime.ExitError", f"the container's answer could not be read: {error}") from error
        if not line:
            raise InvocationFailed("Runtime.ExitError", "the container exited during the invocation")
        heard: dict[str, Any] = json.loads(line)
        return heard

    def hang_up(self) -> None:
        """The child ends itself, and its children, when its socket closes."""
        self._writer.close()

    def kill(self) -> None:
        self.hang_up()
        with suppress(ProcessLookupError, PermissionError):  # the latter is macOS's word for a zombie
            os.killpg(self._process.pid, signal.SIGKILL)

    def stop_listening(self) -> None:
        """Close our end of its output: asyncio takes no process for ended before that."""
        self._process._transport.close()  # type: ignore[attr-defined]  # not in its public interface

    async def _until_end(self, output: Callable[[str], None]) -> None:
        stdout = self._process.stdout
        while stdout is not None:
            try:
                line = await stdout.readline()
            except ValueError:
                line = b"(a line of more than 64 KiB is left out)\n"
            if not line:
                break
            output(line.decode(errors="replace").rstrip())
        await self._process.wait()
        self._writer.close()


def _result(answer: dict[str, Any]) -> Any:
    if error := answer.get("error"):
        raise InvocationFailed(error["kind"], error["message"])
    return answer.get("result")
