"""`stop_training`: what a fine-tuning that failed or was cancelled has begun elsewhere. Made by the system alone."""

from typing import Annotated, ClassVar, Literal

from pydantic import StringConstraints

from shared.payloads.base import Payload
from shared.retry import Policy


class StopTrainingPayload(Payload):
    """`training`: its engine and key. `until` in milliseconds: later nobody begins it who does not know of the end."""

    policy: ClassVar[Policy] = Policy(attempts_max=20, max_delay_s=900.0, timeout_s=60, inline_result=True)
    internal: ClassVar[bool] = True

    type: Literal["stop_training"] = "stop_training"
    training: Annotated[str, StringConstraints(pattern=r"^(sagemaker|bedrock)/[0-9a-f]{32}$")]
    until: int
