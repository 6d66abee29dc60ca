"""A job type as its author writes it: a payload model and a function.

@job(ExtractPayload)
async def extract(payload: ExtractPayload, context: Context) -> ProcessResult: ...

handler = extract.lambda_handler
"""

from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Generic, TypeVar

from shared.errors import InvalidInput
from shared.outcomes import Partial, Proceed, Result, Snooze, WaitFor
from shared.payloads.base import Payload
from shared.retry import Policy
from shared.runtime.context import Context

if TYPE_CHECKING:
    from shared.runtime.container import LambdaContext

P = TypeVar("P", bound=Payload)

Returned = Result | Partial | Snooze | Proceed | WaitFor

Handler = Callable[[P, Context], Awaitable[Returned]] | Callable[[P, Context], Returned]


class JobType(Generic[P]):
    """`type`, `circuit`, `payload_model`, and the function, which can be called directly in a unit test."""

    def __init__(self, payload_model: type[P], function: Handler[P]) -> None:
        self.payload_model = payload_model
        self.function = function
        self.type: str = payload_model.model_fields["type"].default
        self.circuit = payload_model.policy.circuit
        self.__doc__ = function.__doc__

    def __call__(self, payload: P, context: Context) -> Awaitable[Returned] | Returned:
        return self.function(payload, context)

    def policy_of(self, payload: Payload) -> Policy:
        return payload.effective_policy()

    def checked(self, payload: Payload) -> P:
        """This type's own payload, or InvalidInput."""
        if not isinstance(payload, self.payload_model):
            raise InvalidInput("invalid_payload", f"a payload of type {self.type}", field="type")
        return payload

    def lambda_handler(self, event: Mapping[str, object], context: "LambdaContext") -> dict[str, object]:
        """The Lambda entry of this type's queue."""
        from shared.runtime.entry import handle_queue_event  # an author's unit test needs no AWS client

        return handle_queue_event(self, event, context)


def job(payload_model: type[P]) -> Callable[[Handler[P]], JobType[P]]:
    """Declare the handler of `payload_model`'s job type. `def` handlers run in a thread."""

    def declare(function: Handler[P]) -> JobType[P]:
        return JobType(payload_model, function)

    return declare
