"""`make soak SECONDS=300 SEED=…`: thousands of jobs on real processes, with the template's own times."""

import asyncio
import os
import secrets
import shutil
import sys
import tempfile
from pathlib import Path

from tests.soak.cloud import running
from tests.soak.judge import judge
from tests.soak.report import report
from tests.soak.storm import Plan, soak


def main() -> int:
    seed = int(os.environ.get("SEED") or secrets.randbelow(1 << 32))
    seconds = float(os.environ.get("SECONDS") or 300)
    plan = Plan(
        seed=seed,
        storm_s=seconds,
        workers=2,
        producers=2,
        customers=50,
        patience_s=10,
        act_every_s=4,
        repair_after_s=130,
        calm_s=900,
    )
    print(f"storm of {seconds:g} s, then calm until all is over; again by: make soak SECONDS={seconds:g} SEED={seed}")
    directory = Path(tempfile.mkdtemp(prefix="longshore-soak-"))
    with running(directory, is_brisk=False) as cloud:
        books = asyncio.run(soak(plan, cloud))
    print(report(plan, books))
    broken = judge(books)
    print("\n".join(broken) or "the books balance")
    if broken:
        print(f"logs and ledger are in {directory}; again by: make soak SECONDS={seconds:g} SEED={seed}")
    else:
        shutil.rmtree(directory)
    return bool(broken)


if __name__ == "__main__":
    sys.exit(main())
