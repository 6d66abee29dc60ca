"""The audit's function as it is deployed: asked by its schedule, and asked by an operator."""

import asyncio
from pathlib import Path

from infra.local.cloud import LocalCloud
from shared.moves import submit
from shared.runtime.settings import Settings
from shared.runtime.wiring import ports_of
from tests.unit.test_audit import job

TEMPLATE = Path(__file__).resolve().parents[3] / "template.yaml"
SCHEDULED = {"source": "aws.events", "detail-type": "Scheduled Event", "detail": {}}


def test_the_schedule_gets_one_audit_a_day_and_an_operator_as_many_as_he_wants() -> None:
    async def scenario() -> None:
        async with LocalCloud(TEMPLATE) as cloud:
            settings = Settings(endpoint_url=cloud.endpoint_url, region="us-east-1", credentials=("local", "local"))
            async with ports_of(settings) as ports:
                await ports.jobs.apply(submit(job(type="gone", due_at=1)))
            scheduled = (await cloud.invoke("longshore-audit", SCHEDULED))["report"]
            assert (scheduled["rows"], scheduled["problems"], scheduled["not_repaired"]) == (1, {"lost": 1}, 1)
            assert await cloud.invoke("longshore-audit", SCHEDULED) == {"report": None}
            asked = (await cloud.invoke("longshore-audit", {"late_s": 0}))["report"]
            assert asked["started_at"] > scheduled["started_at"]

    asyncio.run(scenario())
