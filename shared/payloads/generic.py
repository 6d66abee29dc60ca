"""`generic`: one of the operations registered by name, with parameters of its own."""

from dataclasses import replace
from typing import Annotated, ClassVar, Literal

from pydantic import Field, JsonValue

from shared.payloads.base import Name, Payload, Strict
from shared.retry import Policy


class GenericOptions(Strict):
    """`timeout` in seconds for one attempt; `retries` after the first attempt; `async`: queue it (the default)."""

    timeout: Annotated[int, Field(ge=1, le=60)] | None = None
    retries: Annotated[int, Field(ge=0, le=20)] | None = None
    queued: bool = Field(default=True, validation_alias="async", serialization_alias="async")


class GenericPayload(Payload):
    policy: ClassVar[Policy] = Policy(timeout_s=60, inline_result=True)

    type: Literal["generic"] = "generic"
    operation: Name
    parameters: dict[str, JsonValue] = Field(default_factory=dict)
    options: GenericOptions = Field(default_factory=GenericOptions)

    def effective_policy(self) -> Policy:
        retries = self.options.retries
        return replace(
            self.policy,
            timeout_s=self.options.timeout or self.policy.timeout_s,
            attempts_max=self.policy.attempts_max if retries is None else retries + 1,
        )
