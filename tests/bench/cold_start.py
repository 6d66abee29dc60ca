"""What a cold start costs before the first job: CPU to import each Lambda entry and to make the clients it needs.

Against the least that anybody can do who uses aiobotocore: import it and make the same clients. Fresh interpreters, in
turns, bytecode warm as bundles ship it. The interpreter's own start is in neither figure.
"""

import os
import statistics
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from tests.bench.stack import REGION

ROUNDS: Final = 5
START_MAX_S: Final = 60

ENTRIES: Final[Mapping[str, tuple[str, ...]]] = {
    "handlers.reactor": ("sqs",),
    "handlers.api": ("dynamodb",),
    "handlers.jobs.generic": ("dynamodb",),
    "handlers.jobs.extract": ("dynamodb", "s3"),
    "handlers.jobs.backup": ("dynamodb", "s3"),
    "handlers.jobs.restore": ("dynamodb", "s3"),
}
"""Lambda entry → the clients that its first invocation makes. Lambda itself polls and deletes."""

LIGHT: Final = ("handlers.reactor", "handlers.api", "handlers.jobs.generic")
LIGHT_RATIO_MAX: Final = 1.3

OURS: Final = """
import importlib, os, sys, time
sys.modules["rich"] = None  # structlog would load it: a developer has it, bundles do not
began_s = time.process_time()
if sys.argv[1].startswith("handlers.jobs."):
    import shared.runtime.entry
module = importlib.import_module(sys.argv[1])
from shared.aws.clients import Clients
from shared.runtime.container import container

async def ready(ports):
    clients = Clients()
    for service in sys.argv[2:]:
        await clients.get(service)
    if sys.argv[1] == "handlers.api":
        module._api(ports)

container().run(ready)
print(time.process_time() - began_s, flush=True)
os._exit(0)
"""

BARE: Final = """
import os, sys, time
began_s = time.process_time()
import asyncio
from aiobotocore.session import get_session

async def ready():
    session = get_session()
    for service in sys.argv[2:]:
        await session.create_client(service).__aenter__()

asyncio.Runner().run(ready())
print(time.process_time() - began_s, flush=True)
os._exit(0)
"""

ENVIRONMENT: Final = {
    "AWS_ACCESS_KEY_ID": "local",
    "AWS_SECRET_ACCESS_KEY": "local",
    "AWS_DEFAULT_REGION": REGION,
    "LONGSHORE_BUCKET": "bucket",
}


@dataclass(frozen=True, slots=True)
class ColdStart:
    """Milliseconds of CPU, medians over the rounds; `ratio` is the median of the rounds' own ratios."""

    entry: str
    services: tuple[str, ...]
    ours_ms: float
    bare_ms: float
    ratio: float
    ratio_max: float | None


def measure(*, rounds: int = ROUNDS) -> list[ColdStart]:
    """Every entry in turns; a first round, which warms the bytecode, is thrown away."""
    found = [{entry: (_run(OURS, entry), _run(BARE, entry)) for entry in ENTRIES} for _ in range(rounds + 1)][1:]
    return [_summed_up(entry, [figures[entry] for figures in found]) for entry in ENTRIES]


def _summed_up(entry: str, figures: list[tuple[float, float]]) -> ColdStart:
    return ColdStart(
        entry,
        ENTRIES[entry],
        ours_ms=1000 * statistics.median(ours for ours, _ in figures),
        bare_ms=1000 * statistics.median(bare for _, bare in figures),
        ratio=statistics.median(ours / bare for ours, bare in figures),
        ratio_max=LIGHT_RATIO_MAX if entry in LIGHT else None,
    )


def _run(program: str, entry: str) -> float:
    """→ seconds of CPU"""
    ran = subprocess.run(
        [sys.executable, "-c", program, entry, *ENTRIES[entry]],
        env=os.environ | ENVIRONMENT,
        stdout=subprocess.PIPE,
        text=True,
        timeout=START_MAX_S,
        check=True,
    )
    return float(ran.stdout)
