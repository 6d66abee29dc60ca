"""On real processes, with everything killed at random: what was accepted is done, and the books balance.

A tenth of the waits, half a minute; `make soak` takes the template's own times.
"""

import asyncio
import os
import secrets
from pathlib import Path

import pytest

from tests.soak.cloud import running
from tests.soak.judge import judge
from tests.soak.ledger import VARIABLE
from tests.soak.report import report
from tests.soak.storm import Plan, soak


def test_whatever_is_killed_the_books_balance(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seed = int(os.environ.get("SEED") or secrets.randbelow(1 << 32))
    monkeypatch.setenv(VARIABLE, str(tmp_path / "ledger"))
    plan = Plan(
        seed=seed,
        storm_s=8,
        workers=2,
        producers=1,
        customers=40,
        patience_s=3,
        act_every_s=0.7,
        repair_after_s=4,
        calm_s=120,
    )
    with running(tmp_path, is_brisk=True) as cloud:
        books = asyncio.run(soak(plan, cloud))
    print(report(plan, books))
    assert judge(books) == [], f"again by: SEED={seed} pytest tests/soak"
