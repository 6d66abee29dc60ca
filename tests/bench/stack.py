"""A whole Longshore on the metered endpoint: producer, reactor and Lambda batches, driven step by step.

What AWS does by itself is done here by hand: it reads the stream (free), polls the queue and deletes what is done (SQS
requests), and invokes. Time stands still and the dice show 0, so that every count is exact.
"""

import secrets
import time
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeVar

from infra.local.endpoint import ACCOUNT
from infra.local.events import stream_record
from infra.local.intrinsics import Place
from infra.local.provision import provision
from infra.local.template import read_template
from shared.aws.clients import Clients
from shared.aws.ports import aws_ports
from shared.aws.streams import read_record
from shared.job import Job
from shared.names import Names, default_bucket
from shared.payloads.base import Payload
from shared.ports import Outgoing, Ports
from shared.runtime.batch import run_batch
from shared.runtime.definition import JobType
from shared.runtime.entry import container_name, worker_of
from shared.runtime.reactor import react
from shared.runtime.service import Service
from tests.bench.meter import MeteredEndpoint, Tally

T = TypeVar("T")

STACK: Final = "longshore"
REGION: Final = "us-east-1"
CREDENTIALS: Final = ("local", "local")
TEMPLATE: Final = Path(__file__).parents[2] / "template.yaml"
STREAM_ARN: Final = f"arn:aws:dynamodb:{REGION}:{ACCOUNT}:table/{STACK}-jobs/stream/label"

WHO: Final = container_name("2026/01/31/[$LATEST]0123456789abcdef0123456789abcdef")

INVOCATION_MS: Final = 900_000
STREAM_BATCH: Final = 100


@dataclass
class Stack:
    """`batch`: how many messages an invocation takes; 1 stands for a trickle, in which nothing can be batched."""

    endpoint: MeteredEndpoint
    clients: Clients
    ports: Ports
    job_types: Mapping[str, JobType[Payload]]
    iterator: str
    batch: int = 10

    async def submit(self, payload: Payload) -> Job:
        return await Service(self.ports).submit(payload)

    async def send(self, job_type: str, bodies: Sequence[str]) -> None:
        """Producers of their own: each message is a request."""
        for body in bodies:
            assert not await self.ports.queues.send([Outgoing(job_type, body)])

    @contextmanager
    def uncounted(self) -> Iterator[None]:
        tally = self.endpoint.tally.copy()
        yield
        self.endpoint.tally = tally

    async def drain(self, job_type: str) -> None:
        """React and invoke until nothing moves any more."""
        await self._react()
        while await self._invoke(job_type):
            await self._react()

    async def _react(self) -> None:
        for records in _batches(await self._records(), STREAM_BATCH if self.batch > 1 else 1):
            self.count("lambda reactor")
            assert await react([read_record(record) for record in records], self.ports, stack=STACK) is None

    async def _records(self) -> list[dict[str, Any]]:
        """What the stream has had since the last time."""
        records: list[dict[str, Any]] = []
        while True:
            answer = await self.clients.call("dynamodbstreams", "get_records", ShardIterator=self.iterator)
            self.iterator = answer["NextShardIterator"]
            if not answer["Records"]:
                return records
            records += [stream_record(record, STREAM_ARN) for record in answer["Records"]]

    async def _invoke(self, job_type: str) -> bool:
        """One invocation of the type's function; False: its queue was empty, and that poll is not counted."""
        before = self.endpoint.tally.copy()
        messages = await self.ports.queues.receive(job_type, max_messages=self.batch, wait_s=0)
        if not messages:
            self.endpoint.tally = before
            return False
        self.count("lambda worker")
        worker = worker_of(self.job_types[job_type], self.ports, STACK)
        ends_at = self.ports.now() + INVOCATION_MS
        failed = await run_batch(worker, messages, self.ports, queue=job_type, ends_at=ends_at, who=WHO)
        done = [message.receipt for message in messages if message.message_id not in failed]
        await self.ports.queues.delete(job_type, done)
        return True

    def count(self, what: str) -> None:
        self.endpoint.tally.requests[what] += 1


@asynccontextmanager
async def metered_stack(job_types: Mapping[str, JobType[Payload]]) -> AsyncIterator[Stack]:
    """The template's stack, warm: queue addresses are known, nothing is counted yet."""
    endpoint = MeteredEndpoint()
    url = await endpoint.start()
    clients = Clients(endpoint_url=url, region=REGION, http_session_cls=endpoint.session, credentials=CREDENTIALS)
    try:
        await provision(read_template(TEMPLATE.read_text(), Place(STACK, REGION, ACCOUNT, url)), clients)
        now = time.time_ns() // 1_000_000
        role = f"arn:aws:iam::{ACCOUNT}:role/{STACK}-scheduler"
        names = Names(stack=STACK, bucket=default_bucket(STACK, ACCOUNT, REGION), schedule_role_arn=role)
        ports = aws_ports(clients, names, now=lambda: now, dice=lambda: 0.0, token=lambda: secrets.token_hex(8))
        for job_type in job_types:
            await ports.queues.receive(job_type, max_messages=1, wait_s=0)
        stack = Stack(endpoint, clients, ports, job_types, await first_iterator(clients))
        endpoint.tally = Tally()
        yield stack
    finally:
        await clients.close()
        await endpoint.close()


async def first_iterator(clients: Clients) -> str:
    """Of the jobs table's stream, from its beginning."""
    table = (await clients.call("dynamodb", "describe_table", TableName=f"{STACK}-jobs"))["Table"]
    arn = table["LatestStreamArn"]
    stream = await clients.call("dynamodbstreams", "describe_stream", StreamArn=arn)
    shard = stream["StreamDescription"]["Shards"][0]["ShardId"]
    answer = await clients.call(
        "dynamodbstreams", "get_shard_iterator", StreamArn=arn, ShardId=shard, ShardIteratorType="TRIM_HORIZON"
    )
    return str(answer["ShardIterator"])


def _batches(items: Sequence[T], size: int) -> Iterator[Sequence[T]]:
    return (items[start : start + size] for start in range(0, len(items), size))
