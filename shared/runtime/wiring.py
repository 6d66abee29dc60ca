"""Where the pieces meet: the only place that takes the time, throws dice and makes names."""

import random
import secrets
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from shared.aws.clients import Clients
from shared.aws.connections import SERVICE as CONNECTIONS
from shared.aws.ports import aws_ports, stack_bucket
from shared.names import Names
from shared.ports import Ports
from shared.runtime.settings import Settings


async def open_ports(settings: Settings) -> Ports:
    """All ports on AWS for as long as the process lives: a Lambda container."""
    return await _made(settings, _clients(settings))


@asynccontextmanager
async def ports_of(settings: Settings, *, polling: bool = False) -> AsyncIterator[Ports]:
    """All ports on AWS, closed at the end. `polling`: long polls get connections of their own."""
    clients, polls = _clients(settings), _clients(settings) if polling else None
    try:
        yield await _made(settings, clients, polls)
    finally:
        await clients.close()
        if polls is not None:
            await polls.close()


def now_ms() -> int:
    return time.time_ns() // 1_000_000


def fresh_token() -> str:
    return secrets.token_hex(8)


def _clients(settings: Settings) -> Clients:
    url = settings.connections_url
    return Clients(
        endpoint_url=settings.endpoint_url,
        region=settings.region,
        credentials=settings.credentials,
        endpoints=None if url is None else {CONNECTIONS: url},
    )


async def _made(settings: Settings, clients: Clients, polling: Clients | None = None) -> Ports:
    names = Names(
        stack=settings.stack,
        bucket=settings.bucket or await stack_bucket(clients, settings.stack),
        schedule_role_arn=settings.schedule_role_arn or "",
        lanes=settings.lanes,
        training_role_arn=settings.training_role_arn,
        training_models=settings.training_models,
    )
    return aws_ports(clients, names, now=now_ms, dice=random.random, token=fresh_token, polling=polling)
