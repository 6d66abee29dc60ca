"""The same system with every wait a tenth as long, so that a test of half a minute sees workers die and be replaced.

What is replaced are times, nothing else; each process of the soak does it for itself, before it begins.
"""

import os
from dataclasses import replace
from typing import Final

from shared import dead_letters, delivery
from shared.payloads.generic import GenericPayload
from shared.runtime import batch, beats, process, run, worker

VARIABLE: Final = "LONGSHORE_SOAK_BRISK"

NUMBERS: Final = {"FunctionTimeout": 8, "Visibility": 9, "MaximumConcurrency": 2}
"""Of the template, for the job type of the soak."""

TEXTS: Final = {"VisibilityTimeout: 90\n": "VisibilityTimeout: 9\n"}
"""And of the dead-letter queue."""


def _hide_s(receives: int) -> int:
    return min(3 << min(receives, 10), 9)


TIMES: Final[tuple[tuple[object, str, object], ...]] = (
    (beats, "TICK_S", 0.2),
    (beats, "LEASE_MS", 5_000),
    (process, "LEASE_MS", 5_000),
    (process, "HIDDEN_BEYOND_LEASE_S", 3),
    (run, "BEAT_EVERY_MS", 1_500),
    (batch, "LEASE_BEYOND_INVOCATION_MS", 1_000),
    (worker, "START_MARGIN_S", 1.0),
    (worker, "hide_s", _hide_s),
    (delivery, "hide_s", _hide_s),
    (dead_letters, "hide_s", _hide_s),
    (GenericPayload, "policy", replace(GenericPayload.policy, timeout_s=4)),
)


def is_asked() -> bool:
    return os.environ.get(VARIABLE) == "1"


def apply_if_asked() -> None:
    if is_asked():
        for owner, name, value in TIMES:
            setattr(owner, name, value)
