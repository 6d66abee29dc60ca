"""One function's containers: kept, retired, and honest about what went wrong."""

import asyncio
import os
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from infra.local.containers import Function
from infra.local.events import InvocationFailed
from infra.local.specs import FunctionSpec
from tests.e2e.local.harness import eventually, is_alive

HANDLERS = """
import os, subprocess, sys

def who(event, context):
    return {"pid": os.getpid(), "name": context.function_name, "memory": context.memory_limit_in_mb,
            "arn": context.invoked_function_arn, "left_ms": context.get_remaining_time_in_millis()}

def echo(event, context):
    return event

def loud(event, context):
    sys.stdout.write("x" * 100_000 + "\\n")
    print("after", file=sys.stderr)

def unspeakable(event, context):
    return {1, 2}

def daemon(event, context):
    print(subprocess.Popen(["sleep", "60"], start_new_session=True).pid)
    os._exit(1)

def leave(event, context):
    sys.exit(1)
"""


@asynccontextmanager
async def function(directory: Path, handler: str, *, idle_s: float = 60) -> AsyncIterator[tuple[Function, list[str]]]:
    (directory / "jobs.py").write_text(HANDLERS)
    lines: list[str] = []
    environment = {
        "PATH": os.environ["PATH"],
        "AWS_LAMBDA_FUNCTION_NAME": "f",
        "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "128",
        "AWS_LAMBDA_LOG_GROUP_NAME": "/aws/lambda/f",
        "AWS_LAMBDA_LOG_STREAM_NAME": "local",
        "LONGSHORE_LOCAL_FUNCTION_ARN": "arn:aws:lambda:us-east-1:1:function:f",
        "PYTHONUNBUFFERED": "1",
    }
    spec = FunctionSpec("f", f"jobs.{handler}", timeout_s=20, memory_mb=128, environment={}, sources=())
    made = Function(
        spec, environment=environment, directory=directory, output=lambda _, line: lines.append(line), idle_s=idle_s
    )
    try:
        yield made, lines
    finally:
        await made.close()


def test_a_handler_sees_lambdas_context(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with function(tmp_path, "who") as (made, _):
            seen = await made.invoke({})
            assert seen["name"] == "f"
            assert seen["memory"] == "128"
            assert seen["arn"] == "arn:aws:lambda:us-east-1:1:function:f"
            assert 0 < seen["left_ms"] <= 20_000

    asyncio.run(scenario())


def test_an_idle_container_is_retired_and_the_next_event_gets_a_new_one(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with function(tmp_path, "who", idle_s=0.1) as (made, _):
            first = (await made.invoke({}))["pid"]
            await eventually(lambda: not is_alive(first))
            assert (await made.invoke({}))["pid"] != first

    asyncio.run(scenario())


def test_a_container_that_died_while_idle_fails_no_event(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with function(tmp_path, "who") as (made, _):
            first = (await made.invoke({}))["pid"]
            os.kill(first, 9)
            await eventually(lambda: not made._alive)  # the loop hears of a death a moment after the process is gone
            assert (await made.invoke({}))["pid"] != first

    asyncio.run(scenario())


def test_events_at_the_same_time_run_in_containers_of_their_own(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with function(tmp_path, "who") as (made, _):
            answers = await asyncio.gather(*(made.invoke({}) for _ in range(3)))
            assert len({answer["pid"] for answer in answers}) == 3

    asyncio.run(scenario())


def test_an_event_of_lambdas_largest_size_passes_both_ways(tmp_path: Path) -> None:
    async def scenario() -> None:
        event: Any = {"text": "é" * 3_000_000, "nothing": None}
        async with function(tmp_path, "echo") as (made, _):
            assert await made.invoke(event) == event

    asyncio.run(scenario())


def test_an_overlong_line_is_left_out_and_the_next_one_is_heard(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with function(tmp_path, "loud") as (made, lines):
            assert await made.invoke({}) is None
            await eventually(lambda: "after" in lines)
            assert all(len(line) < 70_000 for line in lines)

    asyncio.run(scenario())


@pytest.mark.parametrize(
    ("handler", "message"),
    [
        ("unspeakable", "TypeError: .*set"),
        ("leave", "Runtime.ExitError: the container exited"),
        ("nothing", "'nothing'"),
    ],
)
def test_a_failure_says_what_went_wrong(tmp_path: Path, handler: str, message: str) -> None:
    async def scenario() -> None:
        async with function(tmp_path, handler) as (made, _):
            with pytest.raises(InvocationFailed, match=message):
                await made.invoke({})

    asyncio.run(scenario())


def test_what_a_handler_leaves_behind_holds_nobody_up(tmp_path: Path) -> None:
    """A process of a session of its own outlives its container, with the container's output in its hands."""

    async def scenario() -> None:
        async with function(tmp_path, "daemon") as (made, lines):
            async with asyncio.timeout(30):
                with pytest.raises(InvocationFailed, match="exited"):
                    await made.invoke({})
            os.kill(int(lines[0]), signal.SIGKILL)

    asyncio.run(scenario())


def test_a_parent_that_dies_in_the_middle_of_an_event_leaves_no_container_behind() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        command = [sys.executable, "-m", "infra.local.container", str(theirs.fileno()), "os.path.join"]
        with subprocess.Popen(command, pass_fds=[theirs.fileno()], start_new_session=True) as container:
            theirs.close()
            assert b"ready" in ours.recv(100)
            ours.sendall(b'{"event": ')
            ours.close()
            try:
                assert container.wait(20) == -signal.SIGKILL
            finally:
                container.kill()
