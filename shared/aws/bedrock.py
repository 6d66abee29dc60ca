"""Amazon Bedrock's Converse: https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_Converse.html

Its client is made for one job: a model is called for seconds, and hardly any other job needs the service. What it
refuses for the moment is tried again by the job, which knows how long it may take.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Final

from shared.aws.clients import Clients
from shared.aws.faults import AwsRefusal
from shared.errors import Permanent, Transient, WorldFault

SERVICE: Final = "bedrock-runtime"
THROTTLED_PAUSE_S: Final = 30.0

_BUSY: Final = frozenset({"ModelErrorException", "ModelNotReadyException", "ModelTimeoutException"})
_THROTTLED: Final = frozenset({"ServiceQuotaExceededException", "ThrottlingException", "ServiceUnavailableException"})
_DENIED: Final = frozenset({"AccessDeniedException"})

Converse = Callable[[str, str], Awaitable[tuple[str, str, int, int]]]
"""(system, user) → text, stop reason, tokens in, tokens out"""


@asynccontextmanager
async def converse(model_id: str, *, timeout_s: int, field: str) -> AsyncIterator[Converse]:
    """Raises WorldFault, or, about `field`, Transient("rate_limited", "unavailable") or Permanent("model_denied",
    "model_refused")."""
    clients = Clients(pool=1)

    async def call(system: str, user: str) -> tuple[str, str, int, int]:
        try:
            async with asyncio.timeout(timeout_s):
                answer = await clients.call(
                    SERVICE,
                    "converse",
                    modelId=model_id,
                    system=[{"text": system}],
                    messages=[{"role": "user", "content": [{"text": user}]}],
                )
        except TimeoutError:
            raise Transient("unavailable", f"no answer within {timeout_s} s", field=field) from None
        except WorldFault as fault:
            raise _refusal(fault, field) from None
        except AwsRefusal as refusal:
            if refusal.code in _BUSY:
                raise Transient("unavailable", f"Bedrock: {refusal.code}", field=field) from None
            raise Permanent("model_refused", refusal.message, field=field) from None
        blocks = answer.get("output", {}).get("message", {}).get("content", [])
        text, usage = "".join(block.get("text", "") for block in blocks), answer.get("usage", {})
        return text, str(answer.get("stopReason", "")), usage.get("inputTokens", 0), usage.get("outputTokens", 0)

    try:
        yield call
    finally:
        await clients.close()


def _refusal(fault: WorldFault, field: str) -> Exception:
    """To be denied a model is for good: who may call which is in the template."""
    if fault.code in _DENIED:
        return Permanent("model_denied", fault.message, field=field)
    if fault.code in _THROTTLED:
        return Transient("rate_limited", fault.message, field=field, retry_after_s=THROTTLED_PAUSE_S)
    return fault
