"""The clients of AWS."""

import asyncio

import pytest

from shared.aws.clients import Clients
from shared.runtime.beats import LEASE_MS
from shared.runtime.run import BEAT_EVERY_MS


@pytest.mark.parametrize(
    ("service", "at_least_s", "at_most_s"),
    [("dynamodb", 5, (LEASE_MS - BEAT_EVERY_MS) / 4_000), ("sqs", 21, 60), ("s3", 30, 120)],
)
def test_no_client_waits_longer_than_what_hangs_on_it_can(service: str, at_least_s: float, at_most_s: float) -> None:
    """Four attempts of a beat that is due fit into what is left of its lease; a long poll is not cut off."""

    async def read_timeout_s() -> float:
        clients = Clients(region="eu-central-1", credentials=("key", "secret"))
        client = await clients.get(service)
        await clients.close()
        return float(client.meta.config.read_timeout)

    assert at_least_s <= asyncio.run(read_timeout_s()) <= at_most_s
