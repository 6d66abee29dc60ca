"""The audit's Lambda entry: looked in on every hour, one audit a day, continued where the last invocation ended."""

from collections.abc import Mapping

from shared.ports import Ports
from shared.runtime.audit import daily_audit
from shared.runtime.container import LambdaContext, container

SPARE_MS = 30_000
"""For the page under way, the tally, and saving the state."""


def handler(event: Mapping[str, object], context: LambdaContext) -> dict[str, object]:
    """`{"late_s": 0}` begins an audit at once and takes all that is due for forgotten: after an outage or a purge.

    → `{"report": …}`, None while there is none to give.
    """
    here, late_s = container(), event.get("late_s")
    late_ms = max(0, round(late_s * 1000)) if isinstance(late_s, int | float) else None

    async def invocation(ports: Ports) -> dict[str, object]:
        ends_at = ports.now() + context.get_remaining_time_in_millis() - SPARE_MS
        report = await daily_audit(ports, stack=here.settings.stack, ends_at=ends_at, late_ms=late_ms)
        return {"report": None if report is None else report.model_dump(mode="json")}

    return here.run(invocation)
