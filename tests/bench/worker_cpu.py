"""CPU of a worker per job, ours against one written by hand, on the same endpoint and the same bytes, in turns.

Every worker is a process of its own and so is the endpoint: only the worker's own CPU counts. The job does nothing.
"""

import json
import os
import statistics
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

from tests.bench.workers import WORKERS

ROUNDS: Final = 5
JOBS: Final = 500
WORKER_MAX_S: Final = 60

PAIRS: Final = (
    ("process_ours", "process_by_hand"),
    ("process_ours", "process_by_hand_lean"),
    ("lambda_ours", "lambda_by_hand"),
    ("lambda_ours", "lambda_by_hand_lean"),
)


@dataclass(frozen=True, slots=True)
class Comparison:
    """Milliseconds of CPU per job, medians over the rounds; `ratio` is the median of the rounds' own ratios."""

    ours: str
    theirs: str
    ours_ms: float
    theirs_ms: float
    ratio: float


def measure(*, rounds: int = ROUNDS, jobs: int = JOBS) -> list[Comparison]:
    """All workers in turns, `rounds` times."""
    with _endpoint() as environment:
        found = [{name: _run(name, jobs, environment) for name in WORKERS} for _ in range(rounds)]
    return [_compared(found, ours, theirs) for ours, theirs in PAIRS]


def _compared(found: list[dict[str, float]], ours: str, theirs: str) -> Comparison:
    return Comparison(
        ours,
        theirs,
        ours_ms=statistics.median(figures[ours] for figures in found),
        theirs_ms=statistics.median(figures[theirs] for figures in found),
        ratio=statistics.median(figures[ours] / figures[theirs] for figures in found),
    )


@contextmanager
def _endpoint() -> Iterator[Mapping[str, str]]:
    """→ the environment in which clients find it."""
    serving = [sys.executable, "-m", "tests.bench.canned"]
    with subprocess.Popen(serving, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as endpoint:
        assert endpoint.stdin is not None
        assert endpoint.stdout is not None
        try:
            yield os.environ | json.loads(endpoint.stdout.readline())
        finally:
            endpoint.stdin.close()


def _run(name: str, jobs: int, environment: Mapping[str, str]) -> float:
    """→ milliseconds of CPU per job"""
    ran = subprocess.run(
        [sys.executable, "-m", "tests.bench.workers", name, str(jobs)],
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        timeout=WORKER_MAX_S,
        check=False,
    )
    if ran.returncode:
        raise RuntimeError(f"{name}: {ran.stderr}")
    return float(ran.stderr)
