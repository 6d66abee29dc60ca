"""`longshore up --data`: killed without a word in the middle of its work, it goes on, and the books balance."""

import asyncio
import json
import os
import signal
import subprocess
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from shared.audit import Books, Report, balance
from shared.payloads.generic import GenericPayload
from shared.ports import Outgoing, Ports
from shared.runtime.audit import audited
from shared.runtime.service import Service
from shared.runtime.settings import Settings
from shared.runtime.tally import read_tally
from shared.runtime.wiring import ports_of
from tests.e2e.cli import PROGRAM

ROOT = Path(__file__).resolve().parents[2]
SUBMITTED, BARE = 150, 50
LATER, LATER_S = 10, 10
"""So many of the submitted ones are not due at once: however fast the machine is, some are left when it is killed."""

DEADLINE_S = 180

QUICK = """
from dataclasses import replace
from handlers.jobs.generic import handler
from shared.payloads.generic import GenericPayload

GenericPayload.policy = replace(GenericPayload.policy, timeout_s=1)
"""
"""Generic jobs that need a second at most, so that the leases of the dead are soon over."""


@pytest.fixture
def template(tmp_path: Path) -> Path:
    (tmp_path / "quick.py").write_text(QUICK)
    text = (ROOT / "template.yaml").read_text()
    for old, new in (
        ("FunctionTimeout: 75", "FunctionTimeout: 15"),
        ('"handlers.jobs.${Name}.handler"', '"quick.handler"'),
    ):
        assert old in text
        text = text.replace(old, new)
    (tmp_path / "template.yaml").write_text(text)
    return tmp_path / "template.yaml"


def test_a_cloud_that_is_killed_in_the_middle_loses_no_job_and_its_books_balance(template: Path) -> None:
    async def scenario() -> None:
        async with up(template) as (ports, process):
            await submit(ports)
            await until(ports, lambda counts: counts["SUCCESS"] >= 40)
            process.send_signal(signal.SIGKILL)
            process.wait()
        async with up(template) as (ports, process):
            before = await books_of(ports)
            assert before.statuses.get("SUCCESS", 0) < SUBMITTED + BARE, "killed too late to show anything"
            counts = await until(ports, lambda counts: counts["SUCCESS"] == SUBMITTED + BARE, repair=True, every_s=3)
            assert counts == {"SUCCESS": SUBMITTED + BARE}
            report = await counted(ports)
            assert report.is_clean
            process.send_signal(signal.SIGINT)
            _, told = process.communicate(timeout=30)
            assert process.returncode == 0
            assert "Going on with" in told

    asyncio.run(scenario())


@asynccontextmanager
async def up(template: Path) -> AsyncIterator[tuple[Ports, "subprocess.Popen[str]"]]:
    command = [PROGRAM, "up", "--port", "0", "--api-port", "0", "--json", "--data", "data"]
    with subprocess.Popen(  # noqa: ASYNC220  # nothing else runs here meanwhile
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=template.parent,
        env=os.environ | {"AWS_PROFILE": "none-such"}, start_new_session=True,
    ) as process:  # fmt: skip
        try:
            assert process.stdout is not None
            endpoint = json.loads(await asyncio.to_thread(process.stdout.readline))["endpoint"]
            settings = Settings(endpoint_url=endpoint, region="us-east-1", credentials=("local", "local"))
            async with ports_of(settings) as ports:
                yield ports, process
        finally:
            process.kill()


async def submit(ports: Ports) -> None:
    """Some by the front door, some as messages of another program's."""
    service = Service(ports)
    delays = [0.0] * (SUBMITTED - LATER) + [float(LATER_S)] * LATER
    await asyncio.gather(*(service.submit(GenericPayload(operation="echo"), delay_s=delay_s) for delay_s in delays))
    body = json.dumps({"type": "generic", "operation": "echo"})
    assert not await ports.queues.send([Outgoing("generic", body)] * BARE)


async def books_of(ports: Ports, *, repair: bool = False) -> Books:
    books = Books(started_at=ports.now())
    async for _ in audited(ports, books, repair=repair, late_ms=0):
        pass
    return books


async def until(ports: Ports, check: Any, *, repair: bool = False, every_s: float = 0.25) -> Counter[str]:
    """`repair`: have those that ran woken when their leases end, instead of waiting for their messages to come back."""
    ends_s = time.monotonic() + DEADLINE_S
    while True:
        counts = Counter(
            {str(status): count for status, count in (await books_of(ports, repair=repair)).statuses.items()}
        )
        if check(counts):
            return counts
        assert not counts["FAILED"]
        assert time.monotonic() < ends_s, counts
        await asyncio.sleep(every_s)


async def counted(ports: Ports) -> Report:
    """The audit of tomorrow: today's hours are closed by then, and the tally has caught up."""
    ends_s = time.monotonic() + DEADLINE_S
    while True:
        books = await books_of(ports)
        tally, opened = await read_tally(ports)
        report = balance(books.model_copy(update={"started_at": books.started_at + 86_400_000}), tally, opened)
        if report.accepted >= SUBMITTED + BARE or time.monotonic() > ends_s:
            assert report.accepted == report.finished == SUBMITTED + BARE
            return report
        await asyncio.sleep(0.1)
