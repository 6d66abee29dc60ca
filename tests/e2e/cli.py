"""The program as people run it, against a real local cloud in a process of its own; pipes instead of a terminal.

Commands are called in this process, since starting Python for each would be most of the tests' time.
"""

import inspect
import io
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import chdir, contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import structlog

from infra.cli.app import run

PROGRAM = str(Path(sys.executable).parent / "longshore")


@dataclass(frozen=True)
class Answer:
    code: int
    out: str
    err: str

    @property
    def document(self) -> Any:
        return json.loads(self.out)

    @property
    def lines(self) -> list[Any]:
        return [json.loads(line) for line in self.out.splitlines()]


@dataclass(frozen=True)
class Longshore:
    """`longshore(*arguments)` against a running local cloud, from a directory of its own."""

    endpoint: str
    directory: Path
    api: str
    token: str

    def over_http(self, *arguments: str, stdin: str = "", **environment: str) -> Answer:
        """The same by way of the API, for somebody who has a token and knows no endpoint."""
        opened = {"LONGSHORE_API": self.api, "LONGSHORE_TOKEN": self.token, "LONGSHORE_ENDPOINT": "aws"}
        return self(*arguments, stdin=stdin, **opened | environment)

    def __call__(self, *arguments: str, stdin: str = "", **environment: str) -> Answer:
        out, err = io.StringIO(), io.StringIO()
        with pytest.MonkeyPatch.context() as patch, chdir(self.directory), redirect_stdout(out), redirect_stderr(err):
            patch.setattr(os, "environ", self.environment | environment)
            patch.setattr(sys, "stdin", io.StringIO(stdin))
            code = run(arguments)
        structlog.reset_defaults()  # `once` logs to a stderr that ends here
        return Answer(code, out.getvalue(), err.getvalue())

    @property
    def environment(self) -> dict[str, str]:
        """Of a person without AWS credentials, whose AWS_PROFILE names nothing."""
        plain = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "LONGSHORE_"))}
        return plain | {"LONGSHORE_ENDPOINT": self.endpoint, "AWS_PROFILE": "none-such"}


@contextmanager
def up(directory: Path, *arguments: str) -> Iterator[Longshore]:
    """`longshore up`, ended by Ctrl-C; it must end well, and take everything with it."""
    with subprocess.Popen(
        [PROGRAM, "up", "--port", "0", "--api-port", "0", "--json", *arguments], stdout=subprocess.PIPE, text=True,
        cwd=directory, env=os.environ | {"AWS_PROFILE": "none-such"}, start_new_session=True,
    ) as process:  # fmt: skip
        try:
            assert process.stdout is not None
            told = json.loads(process.stdout.readline())
            yield Longshore(told["endpoint"], directory, told["api"], told["token"])
            process.send_signal(signal.SIGINT)
            assert process.wait(30) == 0
            assert process.stdout.read() == ""
        finally:
            process.kill()


def eventually(look: Callable[[], Any], deadline_s: float = 60) -> Any:
    """The first truthy value of `look`: what other processes bring about takes its time. Fails after the deadline."""
    ends_s = time.monotonic() + deadline_s
    while not (value := look()):
        assert time.monotonic() < ends_s, f"not within {deadline_s} s: {inspect.getsource(look).strip()}"
        time.sleep(0.05)
    return value
