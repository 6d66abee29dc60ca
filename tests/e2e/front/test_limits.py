"""A tenant's limit holds over all containers, costs a write per batch, and is felt by that tenant alone."""

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field, replace

import pytest

from shared.bucket import Limit
from shared.memory.clock import EPOCH_MS
from shared.memory.ports import memory_ports
from shared.ports import Ports
from shared.runtime.api.limiting import Limiter
from shared.runtime.api.messages import Caller, Role
from shared.runtime.api.problems import Refusal
from tests.bench.meter import Tally
from tests.bench.stack import metered_stack
from tests.e2e.front.served import claims_of, served

LIMIT = Limit(rate=50, burst=200)
"""What the template gives a tenant by default."""

ACME, EVIL = Caller("acme", "ann", Role.VIEWER), Caller("evil", "eve", Role.VIEWER)


@dataclass
class Clock:
    now: int = EPOCH_MS

    def __call__(self) -> int:
        return self.now


@dataclass
class Containers:
    """Several, in front of one bucket. `granted` and `refused` by caller."""

    clock: Clock
    limiters: list[Limiter]
    granted: dict[Caller, int] = field(default_factory=dict)
    refused: dict[Caller, int] = field(default_factory=dict)

    async def ask(self, caller: Caller, times: int) -> None:
        for number in range(times):
            limiter = self.limiters[number % len(self.limiters)]
            try:
                await limiter(caller)
            except Refusal:
                self.refused[caller] = self.refused.get(caller, 0) + 1
            else:
                self.granted[caller] = self.granted.get(caller, 0) + 1

    async def ask_for(self, caller: Caller, seconds: int, *, a_second: int) -> None:
        for _ in range(seconds * 10):
            self.clock.now += 100
            await self.ask(caller, a_second // 10)


Story = Callable[[Containers], Coroutine[object, object, None]]


def _in_memory(story: Story) -> None:
    asyncio.run(story(_containers(memory_ports(Clock()))))


def _on_dynamodb(story: Story) -> None:
    asyncio.run(_metered(story))


async def _metered(story: Story) -> Tally:
    async with metered_stack({}) as stack:
        await story(_containers(stack.ports))
        return stack.endpoint.tally


def _containers(ports: Ports) -> Containers:
    clock = Clock()
    mine = replace(ports, now=clock)
    return Containers(clock, [Limiter(mine, LIMIT), Limiter(mine, LIMIT)])


@pytest.mark.parametrize("world", [_in_memory, _on_dynamodb], ids=["memory", "dynamodb"])
def test_two_containers_together_grant_no_more_than_one_bucket_holds(world: Callable[[Story], None]) -> None:
    async def story(containers: Containers) -> None:
        await containers.ask_for(ACME, 10, a_second=200)
        most = LIMIT.burst + LIMIT.rate * 10
        assert most - 2 * LIMIT.batch <= containers.granted[ACME] <= most
        assert containers.refused[ACME] > 1_000
        await containers.ask(EVIL, 50)
        assert (containers.granted[EVIL], EVIL in containers.refused) == (50, False), "another tenant feels nothing"

    world(story)


def test_a_write_lets_twenty_five_requests_in() -> None:
    """Two containers, just under the limit."""

    async def story(containers: Containers) -> None:
        await containers.ask_for(ACME, 20, a_second=40)
        assert (containers.granted, containers.refused) == ({ACME: 800}, {})

    tally = asyncio.run(_metered(story))
    assert tally.write_units == tally.requests["dynamodb GetItem"] == 800 / LIMIT.batch == 32


def test_a_flood_is_refused_without_a_look_at_its_bucket_and_nobody_else_waits_for_it() -> None:
    with served("acme", "evil", limit=LIMIT) as house:
        claims = {tenant_id: claims_of(tenant_id) for tenant_id in ("acme", "evil")}
        house.calls.clear()
        assert house.ask("GET", "/types", claims=claims["acme"]).status == 200
        alone = [*house.calls]
        house.calls.clear()
        statuses = [house.ask("GET", "/types", claims=claims["evil"]).status for _ in range(1_000)]
        assert statuses.count(429) > 700
        assert len(house.calls) < 30, "a look and a write for each batch of 25, and then no more"
        house.calls.clear()
        assert house.ask("GET", "/types", claims=claims["acme"]).status == 200
        assert house.calls in ([], alone)
