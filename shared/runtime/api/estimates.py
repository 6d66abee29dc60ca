"""The route of estimates: what a submission would come to. Nothing is kept, nothing begins."""

from typing import Annotated, Final

from pydantic import Field

from shared.estimate import Estimate, Facts, estimate
from shared.runtime.api.app import Call, Route
from shared.runtime.api.filters import Query
from shared.runtime.api.jobs import payload_in
from shared.runtime.api.messages import Answer, Role, answer_json
from shared.runtime.stats import memory_mb, read_stats


class EstimateQuery(Query):
    """`assume_items`: of each list that is known only when it runs. `assume_at_once`: jobs of one step that run at the
    same time, which is up to its type's MaximumConcurrency in the template, times its batch."""

    assume_items: Annotated[int, Field(ge=0, le=100_000)] = 1
    assume_at_once: Annotated[int, Field(ge=1, le=10_000)] = 100


async def create_estimate(call: Call) -> Answer:
    """By the tenant's own last 24 hours."""
    query, payload = call.query(EstimateQuery), payload_in(call)
    types = (await read_stats(call.ports, call.caller.tenant_id)).types
    run_s = {one.type: one.p50_s for one in types if one.p50_s is not None}
    facts = Facts(run_s, memory_mb, items=query.assume_items, at_once=query.assume_at_once)
    return answer_json(200, estimate(payload, facts))


ROUTES: Final = (
    Route(
        method="POST",
        path="/estimates",
        summary="What a job would come to: jobs, price, time",
        role=Role.VIEWER,
        act=create_estimate,
        query=EstimateQuery,
        body="AnyPayload",
        answers={200: Estimate},
    ),
)
