"""Two hundred jobs, whole, through the real adapters on AWS's worst day: slower, and all is as it should be."""

import asyncio
import json
import secrets
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from random import Random
from typing import cast

import pytest
from botocore.retries.standard import ExponentialBackoff

from infra.local.endpoint import Answer, Endpoint
from infra.local.in_process import InProcessSession
from shared.aws.clients import Clients
from shared.aws.ports import aws_ports
from shared.aws.streams import read_record
from shared.job import read_history_entry
from shared.names import Names
from shared.payloads.base import Payload
from shared.payloads.generic import GenericPayload
from shared.payloads.results import ProcessResult
from shared.runtime.context import Context
from shared.runtime.definition import JobType, job
from shared.runtime.reactor import react
from shared.status import Event, Status
from tests.bench.stack import CREDENTIALS, REGION, STACK, Stack, metered_stack
from tests.contract.test_bad_weather import Request, Sky, Weather, answer_lost, fine, refused_with, reset

JOBS = 200
SHARE = 0.3


class StormyStack(Stack):
    """The stream is read in peace, what follows from it is carried out in the storm: again, until it is."""

    async def _react(self) -> None:
        records = [read_record(record) for record in await self._records()]
        while records:
            failed = await react(records, self.ports, stack=STACK)
            records = [record for record in records if failed is not None and int(record.sequence) >= int(failed)]


def storm(dice: Random, struck: Counter[str]) -> Weather:
    """Three requests of ten that write to a table or a queue meet a mishap; deletions and polls go through."""
    mishaps = {
        "throttled": refused_with("ProvisionedThroughputExceededException"),
        "asked too often": refused_with("ThrottlingException"),
        "broken": refused_with("InternalServerError"),
        "answer lost": answer_lost,
        "reset": reset,
    }

    async def weather(request: Request) -> Answer:
        if request.operation == "SendMessageBatch" and dice.random() < SHARE:
            struck["partly sent"] += 1
            return await half_sent(request, dice)
        if request.operation in {"UpdateItem", "PutItem", "SendMessageBatch"} and dice.random() < SHARE:
            name = dice.choice([*mishaps])
            struck[name] += 1
            return await mishaps[name](request)
        return await fine(request)

    return weather


async def half_sent(request: Request, dice: Random) -> Answer:
    asked = json.loads(request.body)
    refused = [entry["Id"] for entry in asked["Entries"] if dice.random() < 0.5]
    taken = [entry for entry in asked["Entries"] if entry["Id"] not in refused]
    body: dict[str, object] = {"Successful": []}
    if taken:
        answer = await request.forward(json.dumps(asked | {"Entries": taken}).encode())
        assert isinstance(answer.body, bytes)
        body = json.loads(answer.body)
    failed = [{"Id": name, "Code": "InternalError", "Message": "no", "SenderFault": False} for name in refused]
    return Answer(200, {}, json.dumps(body | {"Failed": failed}).encode())


@asynccontextmanager
async def stack_under(weather: Weather, job_type: JobType[Payload]) -> AsyncIterator[tuple[StormyStack, Sky]]:
    async with metered_stack({"generic": job_type}) as calm:
        sky = Sky(calm.endpoint, weather)
        clients = Clients(
            endpoint_url=calm.endpoint.url,
            region=REGION,
            http_session_cls=partial(InProcessSession, cast("Endpoint", sky)),
            credentials=CREDENTIALS,
        )
        names = Names(stack=STACK, bucket=calm.ports.objects.bucket)
        ports = aws_ports(
            clients,
            names,
            now=lambda: time.time_ns() // 1_000_000,
            dice=lambda: 0.0,
            token=lambda: secrets.token_hex(8),
        )
        try:
            yield StormyStack(calm.endpoint, calm.clients, ports, calm.job_types, calm.iterator), sky
        finally:
            await clients.close()


def test_a_table_that_throttles_slows_everything_and_loses_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ExponentialBackoff, "delay_amount", lambda *_: 0.0)
    ran, struck = Counter[str](), Counter[str]()

    @job(GenericPayload)
    async def counted(payload: GenericPayload, context: Context) -> ProcessResult:
        ran[context.job_id] += 1
        return ProcessResult(data={"text": "x" * 300})

    async def story() -> None:
        job_type = cast("JobType[Payload]", counted)
        async with stack_under(storm(Random(8), struck), job_type) as (stack, sky):
            jobs = await asyncio.gather(*(stack.submit(GenericPayload(operation="x")) for _ in range(JOBS)))
            await stack.drain("generic")
            for accepted in jobs:
                row = await stack.ports.jobs.get(accepted.tenant_id, accepted.job_id)
                assert row is not None
                events = [read_history_entry(entry).event for entry in row.history]
                assert (row.status, row.attempts, row.epoch) == (Status.SUCCESS, 0, 1)
                assert events == [Event.SUBMIT, Event.CLAIM, Event.SUCCEED]
                assert await stack.ports.objects.get(row.result or "") is not None
            assert sky.seen.count("UpdateItem") > 3 * JOBS * (1 + SHARE)

    asyncio.run(story())
    assert ran == Counter(ran.keys())
    assert len(ran) == JOBS
    assert min(struck.values()) > 2
    assert len(struck) == 6
