"""Database jobs that take many invocations. No time is waited for: it passes by being looked at."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field

from shared.outcomes import Partial, Proceed
from shared.payloads.results import ProcessResult
from shared.verdict import CHECKPOINT_BYTES_MAX
from tests.databases import Jobs

FOREVER_S = 1 << 40


class Killed(BaseException):
    """Nobody may catch it."""


class GlancedAt:
    """A clock that goes on by a second whenever it is looked at; at the look `kills_at`, the one who looks dies."""

    def __init__(self) -> None:
        self.looks = 0
        self.kills_at = -1

    def __call__(self) -> int:
        self.looks += 1
        if self.looks == self.kills_at:
            raise Killed
        return self.looks * 1000


@dataclass
class LongJobs:
    """Each job is run, invocation after invocation of `invocation_s`, until it is done."""

    invocation_s: int = FOREVER_S
    clock: GlancedAt = field(default_factory=GlancedAt)
    invocations: int = 0
    """Of the last job."""
    deaths: int = 0
    between: Callable[[int], object] = lambda _: None
    """Called with the number of each invocation that proceeds, after it."""

    def __post_init__(self) -> None:
        self.jobs = Jobs(self.clock)
        self._numbers = iter(range(1, 1 << 30))

    def run(self, kind: str, *, answers_lost: bool = False, **fields: object) -> ProcessResult | Partial:
        """`answers_lost`: each invocation that proceeds dies before it can say so, and is run once more."""
        job_id, checkpoint = f"job_{next(self._numbers)}", None
        for self.invocations in range(1, 100):
            outcome = self._invoke(kind, job_id, checkpoint, fields)
            if isinstance(outcome, ProcessResult | Partial):
                return outcome
            if isinstance(outcome, Proceed) and not (answers_lost and self.invocations % 2):
                assert outcome.checkpoint != checkpoint
                assert len(outcome.checkpoint.encode()) <= CHECKPOINT_BYTES_MAX
                checkpoint = outcome.checkpoint
                self.between(self.invocations)
        raise AssertionError("it does not come to an end")

    def _invoke(self, kind: str, job_id: str, checkpoint: str | None, fields: dict[str, object]) -> object:
        run = self.jobs.start(
            kind,
            job_id=job_id,
            epoch=self.invocations,
            checkpoint=checkpoint,
            ends_at=(self.clock.looks + self.invocation_s) * 1000,
            **fields,
        )
        try:
            return asyncio.run(run)
        except BaseException as error:
            if "Killed" not in repr(error):  # Rust makes an Exception of it
                raise
            self.deaths += 1
            return None
