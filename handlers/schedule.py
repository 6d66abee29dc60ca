"""The Lambda entry of schedules: each minute, fire what is due. A missed minute is nothing: the next does its work."""

from collections.abc import Mapping
from typing import Final

from shared.ports import Ports
from shared.runtime.container import LambdaContext, container
from shared.runtime.schedules import tick

SPARE_MS: Final = 10_000
"""For what is under way when the time is up."""


def handler(_event: Mapping[str, object], context: LambdaContext) -> dict[str, object]:
    """→ `{"fired": …}`: how many schedules were seen to."""

    async def invocation(ports: Ports) -> dict[str, object]:
        ends_at = ports.now() + context.get_remaining_time_in_millis() - SPARE_MS
        return {"fired": await tick(ports, ends_at=ends_at)}

    return container().run(invocation)
