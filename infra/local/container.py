"""One Lambda container: a process that imports a handler once and calls it for one event after another.

Rules of this file:
1. Standard library only: what it imports would be in every function's cold start.
2. It speaks lines of JSON over the socket it is given: `{"ready"}` or `{"error"}` first, then an answer per event.
3. It never outlives its parent: when the socket closes, by whatever death, its whole process group dies at once.

Run by the local cloud as `python -m infra.local.container FD HANDLER`, in a session of its own.
Context: https://docs.aws.amazon.com/lambda/latest/dg/python-context.html
"""

import importlib
import json
import os
import queue
import re
import resource
import signal
import socket
import sys
import threading
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any


class Context:
    """What Lambda passes beside the event."""

    def __init__(self, request_id: str, timeout_s: float) -> None:
        self._ends_at_s = time.monotonic() + timeout_s
        self.aws_request_id = request_id
        self.function_name = os.environ["AWS_LAMBDA_FUNCTION_NAME"]
        self.function_version = os.environ["AWS_LAMBDA_FUNCTION_VERSION"]
        self.invoked_function_arn = os.environ["LONGSHORE_LOCAL_FUNCTION_ARN"]
        self.memory_limit_in_mb = os.environ["AWS_LAMBDA_FUNCTION_MEMORY_SIZE"]
        self.log_group_name = os.environ["AWS_LAMBDA_LOG_GROUP_NAME"]
        self.log_stream_name = os.environ["AWS_LAMBDA_LOG_STREAM_NAME"]
        self.identity = None
        self.client_context = None

    def get_remaining_time_in_millis(self) -> int:
        return max(int((self._ends_at_s - time.monotonic()) * 1000), 0)


def main(descriptor: int, handler_path: str) -> None:
    channel = socket.socket(fileno=descriptor)
    requests: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()
    threading.Thread(target=_read, args=(channel, requests), daemon=True).start()
    try:
        handler = _import(handler_path)
    except Exception as error:  # whatever the author's module raises is reported, as Lambda reports it
        _send(channel, {"error": _described(error)})
        raise
    _send(channel, {"ready": True})
    while True:
        request = requests.get()
        _send(channel, _answer(handler, request) | {"memory_mb": peak_memory_mb()})


def _read(channel: socket.socket, requests: "queue.SimpleQueue[dict[str, Any]]") -> None:
    try:
        with channel.makefile("rb") as lines:
            for line in lines:
                requests.put(json.loads(line))
    finally:  # also of a parent that died in the middle of a line
        os.killpg(0, signal.SIGKILL)


def _send(channel: socket.socket, message: dict[str, Any]) -> None:
    channel.sendall(json.dumps(message).encode() + b"\n")


def _import(handler_path: str) -> Callable[[Any, Context], Any]:
    module, _, name = handler_path.rpartition(".")
    handler: Callable[[Any, Context], Any] = getattr(importlib.import_module(module), name)
    return handler


def _answer(handler: Callable[[Any, Context], Any], request: dict[str, Any]) -> dict[str, Any]:
    try:
        result = handler(request["event"], Context(request["request_id"], request["timeout_s"]))
        json.dumps(result)
    except Exception as error:  # noqa: BLE001  # an author's exception fails the invocation, not the container
        traceback.print_exc()
        return {"error": _described(error)}
    return {"result": result}


def _described(error: Exception) -> dict[str, str]:
    return {"kind": type(error).__name__, "message": str(error)}


def peak_memory_mb() -> int:
    """The process's peak. On Linux getrusage would count the parent's memory, from between fork and exec."""
    status = Path("/proc/self/status")
    if status.exists():
        peak = re.search(r"VmHWM:\s+(\d+) kB", status.read_text())
        return int(peak[1]) >> 10 if peak else 0
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 20


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2])
