"""`cancel_children`: whatever the children of a job that failed or was cancelled still do. Made by the system alone."""

from typing import ClassVar, Literal

from shared.payloads.base import Name, Payload
from shared.retry import Policy


class CancelChildrenPayload(Payload):
    """`parent_id`: whose children. `redrives`: of which of its lives."""

    policy: ClassVar[Policy] = Policy(attempts_max=20, max_delay_s=900.0, timeout_s=60, inline_result=True)
    internal: ClassVar[bool] = True

    type: Literal["cancel_children"] = "cancel_children"
    parent_id: Name
    redrives: int = 0
