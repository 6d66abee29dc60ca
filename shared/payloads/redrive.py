"""`redrive`: failures of one kind, run again in growing waves. Made for an operator alone (`POST /bulk/redrive`)."""

from typing import Annotated, ClassVar, Final, Literal

from pydantic import Field, StringConstraints

from shared.payloads.base import Name, Payload, shaped
from shared.retry import Policy

WAVE_MAX: Final = 1_000
"""Jobs that are run again before it is looked how they ended."""


class RedrivePayload(Payload):
    """`fingerprint`: of the failure, or its code alone. Times in milliseconds. `who` goes into each job's
    history."""

    policy: ClassVar[Policy] = Policy(attempts_max=5, timeout_s=60)
    internal: ClassVar[bool] = True

    type: Literal["redrive"] = "redrive"
    fingerprint: Annotated[str, StringConstraints(min_length=1, max_length=200)]
    job_type: Name | None = None
    created_since: int | None = None
    ended_since: int | None = None
    stages: Annotated[tuple[Annotated[int, Field(ge=1, le=WAVE_MAX)], ...], Field(max_length=10)] = (1, 10)
    """Sizes of the first waves. All that are left come after them, in waves of `WAVE_MAX`."""
    rate_per_s: Annotated[float, Field(gt=0, le=1_000, allow_inf_nan=False)] = 10.0
    who: Annotated[str, shaped(r"^[\w.@|:-]+$", "up to 64 letters, digits and _ . @ | : -", max_length=64)]
