"""`webhook`: one event, delivered to one subscription of the tenant. Made by the system alone; it names no address."""

from typing import Annotated, ClassVar, Final, Literal

from pydantic import JsonValue, StringConstraints

from shared.payloads.base import Name, Payload
from shared.retry import Policy

ATTEMPTS_MAX: Final = 8


class WebhookPayload(Payload):
    """The eighth attempt comes 5 hours after the first on average, 11 at the latest."""

    policy: ClassVar[Policy] = Policy(
        attempts_max=ATTEMPTS_MAX, base_delay_s=300.0, max_delay_s=6 * 3600.0, timeout_s=20, inline_result=True
    )
    internal: ClassVar[bool] = True

    type: Literal["webhook"] = "webhook"
    webhook_id: Name
    event: Annotated[str, StringConstraints(pattern=r"^(job|webhook)\.[a-z]+$")]
    at: Annotated[str, StringConstraints(max_length=32)]
    data: dict[str, JsonValue]
