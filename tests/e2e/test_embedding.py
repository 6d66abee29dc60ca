"""Longshore inside an application: a job run here whose process dies, and jobs in the application's own transactions.

The application is a real process; what takes over is the local cloud's own function.
"""

import asyncio
import os
import re
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from textwrap import indent
from typing import Any

import boto3  # type: ignore[import-untyped]  # the synchronous client of applications; it has no types
import pytest
from botocore.exceptions import ClientError

from shared.errors import Conflict, InvalidInput
from shared.job import Job
from shared.payloads.generic import GenericPayload
from shared.ports import Ports
from shared.runtime.service import Service
from shared.runtime.settings import Settings
from shared.runtime.transactions import is_submitted, job_id_of, submit_item
from shared.runtime.wiring import ports_of
from shared.status import Status
from tests.e2e.front.house import open_house

PATIENCE_S = 60
ECHO = GenericPayload(operation="echo", parameters={"order": "o-17"})

RUNS_A_JOB = """
import asyncio
from handlers.jobs.generic import generic
from shared.payloads.generic import GenericPayload
from shared.runtime import beats, execute

beats.LEASE_MS = execute.LEASE_MS = 2_000  # a short wait

async def main():
    async with execute.executor(generic) as jobs:
        payload = GenericPayload(job_id="here", operation="count", parameters={"to": 30, "every_s": 0.1})
        print((await jobs.execute(payload, now=True)).status, flush=True)

asyncio.run(main())
"""

ORDERS = """
import os, signal, sys
import boto3  # type: ignore[import-untyped]  # the synchronous client of applications; it has no types
from shared.payloads.generic import GenericPayload
from shared.runtime.transactions import submit_item

order = {"TableName": "orders", "Item": {"id": {"S": "o-17"}}}
item = submit_item(GenericPayload(operation="echo", parameters={"order": "o-17"}), idempotency_key="o-17")
client = boto3.client("dynamodb")
if sys.argv[1] == "before":
    os.kill(os.getpid(), signal.SIGKILL)
client.transact_write_items(TransactItems=[{"Put": order}, item])
os.kill(os.getpid(), signal.SIGKILL)
"""


@dataclass
class Stage:
    ports: Ports
    dynamodb: Any
    environment: dict[str, str]

    async def application(self, source: str, *arguments: str) -> asyncio.subprocess.Process:
        return await asyncio.create_subprocess_exec(
            sys.executable, "-c", source, *arguments, env=self.environment, stdout=asyncio.subprocess.PIPE
        )

    async def transact(self, *entries: dict[str, Any]) -> list[dict[str, Any]]:
        """→ why it was cancelled, if it was"""
        try:
            await asyncio.to_thread(self.dynamodb.transact_write_items, TransactItems=entries)
        except ClientError as error:
            return list(error.response["CancellationReasons"])
        return []

    async def orders(self) -> int:
        return int((await asyncio.to_thread(self.dynamodb.scan, TableName="orders"))["Count"])

    async def until(self, job_id: str, *statuses: Status) -> Job:
        async with asyncio.timeout(PATIENCE_S):
            while True:
                row = await self.ports.jobs.get("default", job_id)
                if row is not None and row.status in statuses:
                    return row
                await asyncio.sleep(0.05)


@asynccontextmanager
async def stage() -> AsyncIterator[Stage]:
    async with open_house() as house:
        url = house.cloud.endpoint_url
        opened = {"AWS_ACCESS_KEY_ID": "local", "AWS_SECRET_ACCESS_KEY": "local", "AWS_DEFAULT_REGION": "us-east-1"}
        settings = Settings(endpoint_url=url, region="us-east-1", credentials=("local", "local"))
        dynamodb = boto3.client(
            "dynamodb",
            endpoint_url=url,
            region_name="us-east-1",
            aws_access_key_id="local",
            aws_secret_access_key="local",  # the embedded endpoint checks none
        )
        await asyncio.to_thread(
            dynamodb.create_table,
            TableName="orders",
            BillingMode="PAY_PER_REQUEST",
            AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
            KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
        )
        async with ports_of(settings) as ports:
            yield Stage(ports, dynamodb, os.environ | opened | {"AWS_ENDPOINT_URL": url})


def order(order_id: str) -> dict[str, Any]:
    return {
        "Put": {
            "TableName": "orders",
            "Item": {"id": {"S": order_id}},
            "ConditionExpression": "attribute_not_exists(id)",
        }
    }


def test_what_an_application_was_running_when_it_died_is_finished_by_the_cloud() -> None:
    async def scenario() -> None:
        async with stage() as here:
            application = await here.application(RUNS_A_JOB)
            began = await here.until("here", Status.RUNNING)
            application.send_signal(signal.SIGKILL)
            await application.communicate()
            ended = await here.until("here", Status.SUCCESS, Status.FAILED)
            assert (ended.status, ended.epoch, ended.attempts) == (Status.SUCCESS, 2, 0)
            events = [entry.split(" ")[1] for entry in ended.history]
            assert events == ["start", "reclaim", "succeed"]
            assert began.history[0] == ended.history[0]

    asyncio.run(scenario())


def test_a_job_exists_exactly_if_its_transaction_was_committed() -> None:
    async def scenario() -> None:
        async with stage() as here:
            item = submit_item(ECHO, idempotency_key="o-17")
            application = await here.application(ORDERS, "before")
            assert await application.wait() == -signal.SIGKILL
            assert (await here.orders(), await here.ports.jobs.get("default", job_id_of(item))) == (0, None)

            application = await here.application(ORDERS, "after")
            assert await application.wait() == -signal.SIGKILL
            ended = await here.until(job_id_of(item), Status.SUCCESS, Status.FAILED)
            assert (ended.status, await here.orders()) == (Status.SUCCESS, 1)
            listed = await Service(here.ports).list("default")
            assert [job.job_id for job in listed.jobs] == [ended.job_id]

            reasons = await here.transact(order("o-18"), item)
            assert is_submitted(item, reasons)
            assert await here.orders() == 1
            other = submit_item(GenericPayload(operation="count"), idempotency_key="o-17")
            with pytest.raises(Conflict):
                is_submitted(other, await here.transact(order("o-18"), other))

            unborn = submit_item(GenericPayload(operation="echo", job_id="unborn"))
            assert not is_submitted(unborn, await here.transact(order("o-17"), unborn))
            assert await here.ports.jobs.get("default", "unborn") is None

            fine = submit_item(GenericPayload(operation="echo", parameters={"text": "y" * 3_000}))
            assert await here.transact(order("o-18"), fine) == []
            assert (await here.until(job_id_of(fine), Status.SUCCESS)).payload_place == "row"

    asyncio.run(scenario())


def test_the_examples_of_the_docs_run_as_they_stand() -> None:
    page = (Path(__file__).parents[2] / "docs" / "embedding.md").read_text()
    here_or_queued, in_a_transaction = re.findall(r"^```python\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    main = f"import asyncio\nasync def main():\n{indent(here_or_queued, '    ')}\nasyncio.run(main())"

    async def scenario() -> None:
        async with stage() as here:
            assert await (await here.application(main)).wait() == 0
            transaction = await here.application(in_a_transaction + "print(job_id)")
            told, _ = await transaction.communicate()
            assert (await here.until(told.decode().strip(), Status.SUCCESS)).attempts == 0
            assert await (await here.application(in_a_transaction)).wait() == 0, "a second time is no error"
            assert len((await Service(here.ports).list("default")).jobs) == 5

    asyncio.run(scenario())


def test_what_would_not_fit_or_is_wrong_is_refused_with_its_field() -> None:
    large = GenericPayload(operation="echo", parameters={"text": "y" * 4_100})
    for refused, options, field in (
        (large, {}, "payload"),
        (ECHO, {"idempotency_key": ""}, "idempotency_key"),
        (ECHO, {"delay_s": -1.0}, "delay_s"),
        (ECHO, {"delay_s": float("nan")}, "delay_s"),
    ):
        with pytest.raises(InvalidInput) as caught:
            submit_item(refused, **options)
        assert caught.value.field == field


def test_the_same_submission_is_one_and_the_same_entry() -> None:
    clock, tokens = (lambda: 1_000), (lambda: "0" * 16)
    one, two = (submit_item(ECHO, idempotency_key="k", delay_s=5, now=clock, token=tokens) for _ in range(2))
    assert one == two
    row = one["Put"]["Item"]
    assert (row["status"], row["due_at"], row["seq"]) == ({"S": "QUEUED"}, {"N": "6000"}, {"N": "1"})
    assert one["Put"]["TableName"] == "longshore-jobs"
