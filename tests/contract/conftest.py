"""Every test here runs twice: over the ports in memory, in virtual time, and over those on AWS.

AWS is the embedded endpoint, in this process; `pytest tests/contract --endpoint URL` takes another one (LocalStack,
or `aws` with credentials in the environment), in which the stack `longshore-contract` is made and left.
"""

import asyncio
import itertools
import random
import secrets
import time
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import pytest

from infra.local.endpoint import Endpoint
from infra.local.intrinsics import Place
from infra.local.provision import provision
from infra.local.template import read_template
from shared.aws.clients import Clients
from shared.aws.ports import aws_ports, stack_bucket
from shared.lanes import LANES, queue_of, split
from shared.memory.clock import VirtualTimeLoop
from shared.memory.ports import memory_ports
from shared.memory.queues import MemoryQueues
from shared.names import Names
from shared.ports import Ports

T = TypeVar("T")

STACK = "longshore-contract"
TEMPLATE = Path(__file__).parents[2] / "template.yaml"

VISIBILITY_S = 1
RECEIVES_MAX = 2


@dataclass
class World:
    """`run(coroutine)` on the loop that the ports belong to. Names are fresh: nothing is emptied."""

    ports: Ports
    runner: asyncio.Runner
    new_queue: Callable[[str], Awaitable[None]]
    """Of a job type, or of one of its lanes."""
    dead_letters: Callable[[str], Awaitable[list[str]]]
    """→ the bodies of the messages that `job_type`'s queue gave up."""
    clients: Clients | None = None
    """Only on AWS."""
    endpoint: Endpoint | None = None
    """Only on AWS, if it is the embedded one."""
    numbers: Iterator[int] = field(default_factory=itertools.count)
    mark: str = field(default_factory=lambda: secrets.token_hex(4))

    def run(self, story: Coroutine[object, object, T]) -> T:
        return self.runner.run(story)

    def fresh(self, word: str) -> str:
        """A name that no other test, nor another run on the same endpoint, uses."""
        return f"{word}-{self.mark}-{next(self.numbers)}"

    async def queue(self) -> str:
        """A job type with an empty queue of its own: visibility 1 s, a dead letter after 2 receives."""
        job_type = self.fresh("type")
        await self.new_queue(job_type)
        return job_type

    async def laned(self) -> str:
        """A job type with an empty queue for each of its lanes, too."""
        job_type = await self.queue()
        for lane in LANES:
            await self.new_queue(queue_of(job_type, lane))
        return job_type


@pytest.fixture(params=["memory", "aws"])
def world(request: pytest.FixtureRequest) -> World:
    found: World = request.getfixturevalue(f"{request.param}_world")
    return found


@pytest.fixture
def memory_world() -> Iterator[World]:
    loop = VirtualTimeLoop()
    with asyncio.Runner(loop_factory=lambda: loop) as runner:
        known: set[str] = set()
        laned: set[str] = set()
        queues = MemoryQueues(
            loop.now, visibility_s=VISIBILITY_S, max_receives=RECEIVES_MAX, job_types=known, lanes=laned
        )

        async def new_queue(queue: str) -> None:
            job_type, lane = split(queue)
            known.add(job_type)
            laned.update({job_type} if lane else ())

        async def dead_letters(job_type: str) -> list[str]:
            return [held.body for held in queues.dead_letters.get(job_type, [])]

        yield World(memory_ports(loop.now, queues=queues), runner, new_queue, dead_letters)


@pytest.fixture(scope="module")
def aws_world(request: pytest.FixtureRequest) -> Iterator[World]:
    with pytest.MonkeyPatch.context() as environment, asyncio.Runner() as runner:
        where = request.config.getoption("--endpoint")
        if where != "aws":
            environment.setenv("AWS_ACCESS_KEY_ID", "test")
            environment.setenv("AWS_SECRET_ACCESS_KEY", "test")
            environment.setenv("AWS_DEFAULT_REGION", "us-east-1")
        endpoint = Endpoint()
        options: dict[str, Any] = {} if where == "aws" else {"endpoint_url": where}
        if where is None:
            options = {"endpoint_url": runner.run(endpoint.start()), "http_session_cls": endpoint.session}
        clients = runner.run(_clients(options))
        world = runner.run(_aws_world(runner, clients))
        world.endpoint = endpoint if where is None else None
        yield world
        runner.run(clients.close())
        runner.run(endpoint.close())


async def _clients(options: dict[str, Any]) -> Clients:
    return Clients(**options)


async def _aws_world(runner: asyncio.Runner, clients: Clients) -> World:
    bucket = await stack_bucket(clients, STACK)
    account, region = bucket.removeprefix(f"{STACK}-").split("-", 1)
    await provision(read_template(TEMPLATE.read_text(), Place(STACK, region, account)), clients)
    names = Names(stack=STACK, bucket=bucket, schedule_role_arn=f"arn:aws:iam::{account}:role/{STACK}-scheduler")

    async def new_queue(queue: str) -> None:
        await clients.call("sqs", "create_queue", QueueName=names.queue(f"{queue}-dead"))
        dead = f'{{"deadLetterTargetArn":"{names.queue_arn(queue, region)}-dead","maxReceiveCount":{RECEIVES_MAX}}}'
        attributes = {"VisibilityTimeout": str(VISIBILITY_S), "RedrivePolicy": dead}
        await clients.call("sqs", "create_queue", QueueName=names.queue(queue), Attributes=attributes)

    async def dead_letters(job_type: str) -> list[str]:
        found = await ports.queues.receive(f"{job_type}-dead", max_messages=10, wait_s=1)
        return [message.body for message in found]

    ports = aws_ports(
        clients,
        names,
        now=lambda: time.time_ns() // 1_000_000,
        dice=random.random,
        token=lambda: secrets.token_hex(8),
    )
    return World(ports, runner, new_queue, dead_letters, clients)
