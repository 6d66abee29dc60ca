"""The processes of a soak: `longshore up` with its containers, `longshore worker`s, producers. All can be killed."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import psutil

from tests.soak import brisk, ledger

ROOT: Final = Path(__file__).parents[2]
PROGRAM: Final = str(Path(sys.executable).parent / "longshore")
HANDLERS: Final = {
    '"handlers.jobs.${Name}.handler"': '"tests.soak.jobs.handler"',
    "Handler: handlers.dead_letter.handler": "Handler: tests.soak.dead_letter.handler",
}
MARK: Final = "infra.local.container"
REACTOR: Final = "handlers.reactor.handler"


@dataclass
class Cloud:
    """`up` itself is never killed: it is AWS, and must survive all that happens around it."""

    directory: Path
    endpoint_url: str
    up: "subprocess.Popen[str]"
    environment: dict[str, str]
    workers: list["subprocess.Popen[str]"] = field(default_factory=list)
    producers: list["subprocess.Popen[str]"] = field(default_factory=list)
    started: int = 0

    @property
    def ledger(self) -> Path:
        return self.directory / "ledger"

    def logs(self) -> str:
        """What everybody logged."""
        files = [self.directory / ".longshore/up.log", *self.directory.glob("*.log")]
        return "\n".join(file.read_text(errors="replace") for file in files)

    def start_worker(self) -> None:
        arguments = ("tests.soak.worker", "--endpoint", self.endpoint_url, "--types", "generic:4")
        self.workers.append(self._start("worker", *arguments))

    def start_producer(self, seed: int, customers: int, patience_s: float) -> None:
        arguments = ("tests.soak.producer", self.endpoint_url, str(seed), str(customers), str(patience_s))
        self.producers.append(self._start("producer", *arguments))

    def containers(self, *, of_reactor: bool) -> list[int]:
        """Process ids."""
        lines = {child.pid: child.cmdline() for child in psutil.Process(self.up.pid).children() if child.is_running()}
        return sorted(pid for pid, line in lines.items() if MARK in line and (REACTOR in line) == of_reactor)

    def _start(self, name: str, *arguments: str) -> "subprocess.Popen[str]":
        self.started += 1
        log = (self.directory / f"{name}-{self.started}.log").open("w")
        with log:
            return subprocess.Popen(
                [sys.executable, "-m", *arguments], stdout=log, stderr=log, text=True,
                cwd=self.directory, env=self.environment, start_new_session=True,
            )  # fmt: skip


def kill(pid: int) -> None:
    """With everything it started, at once."""
    signalled(pid, signal.SIGKILL)


def signalled(pid: int, number: signal.Signals) -> None:
    """Who has died by himself is no error."""
    with suppress(ProcessLookupError):
        os.killpg(pid, number)


@contextmanager
def running(directory: Path, *, is_brisk: bool) -> Iterator[Cloud]:
    """A local cloud of the template, its `generic` jobs the soak's. At the end it must end well."""
    (directory / "ledger").touch()
    template = directory / "template.yaml"
    template.write_text(_template((ROOT / "template.yaml").read_text(), is_brisk=is_brisk))
    plain = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "LONGSHORE_"))}
    environment = plain | {
        "PYTHONPATH": str(ROOT), ledger.VARIABLE: str(directory / "ledger"), brisk.VARIABLE: str(int(is_brisk)),
    }  # fmt: skip
    with subprocess.Popen(
        [PROGRAM, "up", "--port", "0", "--api-port", "0", "--json", "--template", str(template)],
        stdout=subprocess.PIPE, text=True, cwd=directory, env=environment, start_new_session=True,
    ) as up:  # fmt: skip
        assert up.stdout is not None
        cloud = Cloud(directory, json.loads(up.stdout.readline())["endpoint"], up, environment)
        try:
            yield cloud
            up.send_signal(signal.SIGINT)
            assert up.wait(30) == 0, "the local cloud did not end well"
        finally:
            for process in (*cloud.workers, *cloud.producers, up):
                kill(process.pid)
                process.wait()


def _template(text: str, *, is_brisk: bool) -> str:
    before, generic, after = text.partition("    Generic:\n")
    if is_brisk:
        for name, value in brisk.NUMBERS.items():
            number = after.partition(f"{name}: ")[2].partition("\n")[0]
            after = after.replace(f"{name}: {number}\n", f"{name}: {value}\n", 1)
    changed = before + generic + after
    for ours, instead in {**HANDLERS, **(brisk.TEXTS if is_brisk else {})}.items():
        assert ours in changed
        changed = changed.replace(ours, instead)
    return changed
