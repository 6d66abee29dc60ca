"""`python -m tests.simulation 7` tells the story of one world; without a seed, many worlds are lived through and timed.

Exits with 1 if a promise was broken, and says which seed broke it.
"""

import argparse
import os
import sys
import time
from concurrent.futures import ProcessPoolExecutor

from tests.simulation.simulation import counted, simulate


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.add_argument("seed", nargs="?", type=int, help="tell the story of this world")
    parser.add_argument("--worlds", type=int, default=2_000, help="without a seed: how many (default 2000)")
    parser.add_argument("--first", type=int, default=0, help="without a seed: the first of them (default 0)")
    arguments = parser.parse_args()
    return _many(arguments.first, arguments.worlds) if arguments.seed is None else _one(arguments.seed)


def _one(seed: int) -> int:
    report = simulate(seed)
    print(*report.story, sep="\n")
    print(f"\nseed {seed}: {report.jobs} jobs, {report.runs} runs, {report.faults} faults")
    print(*report.violations or ["every promise was kept"], sep="\n")
    return 1 if report.violations else 0


def _many(first: int, worlds: int) -> int:
    began, jobs, runs, faults, verdicts = time.monotonic(), 0, 0, 0, list[str]()
    with ProcessPoolExecutor(os.cpu_count()) as pool:
        for report in pool.map(counted, range(first, first + worlds), chunksize=20):
            jobs, runs, faults = jobs + report.jobs, runs + report.runs, faults + report.faults
            if report.violations:
                verdicts.append(report.verdict)
                print(report.verdict, flush=True)
    rate = worlds / (time.monotonic() - began)
    print(
        f"{worlds} worlds ({rate:.0f} a second), {jobs} jobs, {runs} runs, {faults} faults: {len(verdicts)} went wrong"
    )
    return 1 if verdicts else 0


if __name__ == "__main__":
    sys.exit(main())
