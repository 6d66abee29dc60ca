"""Circuits shared by many workers: who calls, who waits, and what it costs."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import cast

import pytest

from shared.circuit import Breaker, Circuit, CircuitOpen, Standing, circuit_json, read_circuit, standing
from shared.errors import Permanent, Transient, WorldFault
from shared.memory.clock import run_virtual
from shared.memory.ports import memory_ports
from shared.memory.side import MemorySide
from shared.payloads.base import Payload
from shared.payloads.generic import GenericPayload
from shared.payloads.results import ProcessResult
from shared.ports import Clock, Ports
from shared.retry import Policy
from shared.runtime.batch import run_batch
from shared.runtime.breaker import Circuits, of_host, of_type
from shared.runtime.context import Context
from shared.runtime.worker import Worker
from shared.status import Status
from tests.world import World, in_world

POLICY = Policy(attempts_max=1, timeout_s=20)
KEY = of_host("acme", "api.example.com")
RESET_S = 30


class MeteredSide(MemorySide):
    """Counts requests; loses the answers of, or refuses, as many swaps as it is told to."""

    def __init__(self) -> None:
        super().__init__()
        self.requests: Counter[str] = Counter()
        self.lose = 0
        self.down = False

    async def get(self, pk: str, sk: str) -> str | None:
        self.requests["get"] += 1
        if self.down:
            raise WorldFault("throttled", "get")
        return await super().get(pk, sk)

    async def swap(self, pk: str, sk: str, *, old: str | None, new: str | None, expires_at: int | None = None) -> bool:
        self.requests["swap"] += 1
        assert new is not None, "a worker's role may not delete"
        if self.down:
            raise WorldFault("throttled", "swap")
        swapped = await super().swap(pk, sk, old=old, new=new, expires_at=expires_at)
        if self.lose:
            self.lose -= 1
            raise WorldFault("timeout", "the answer was lost")
        return swapped


class Host:
    """The other side: broken or not. `calls` when it was called; each takes `lasts_s`."""

    def __init__(self, now: Clock) -> None:
        self.now = now
        self.error: Exception | None = Transient("down", "no answer")
        self.lasts_s = 0.0
        self.calls: list[int] = []

    async def call(self) -> str:
        self.calls.append(self.now())
        await asyncio.sleep(self.lasts_s)
        if self.error is not None:
            raise self.error
        return "fine"


Story = Callable[[Ports, MeteredSide, Host], Awaitable[None]]


def played(story: Story) -> None:
    async def main(now: Clock) -> None:
        side = MeteredSide()
        await story(replace(memory_ports(now, seed=3), side=side), side, Host(now))

    run_virtual(main)


async def tried(circuits: Circuits, host: Host, key: tuple[str, str] = KEY, policy: Policy = POLICY) -> str:
    """→ the value, or what was raised instead: `open`, or the error's code."""
    try:
        return await circuits.guarded(key, host.call, policy)
    except CircuitOpen:
        return "open"
    except (Transient, Permanent) as error:
        return error.code


async def opened(ports: Ports, host: Host, key: tuple[str, str] = KEY) -> None:
    for _ in range(5):
        assert await tried(Circuits(ports), host, key) == "down"
    host.calls.clear()


def test_a_healthy_world_is_not_written_and_read_once_in_five_seconds() -> None:
    async def story(ports: Ports, side: MeteredSide, host: Host) -> None:
        host.error, circuits = None, Circuits(ports)
        for _ in range(20):
            assert await asyncio.gather(*(tried(circuits, host) for _ in range(50))) == ["fine"] * 50
            await asyncio.sleep(1)
        assert side.requests == {"get": 4}
        assert len(host.calls) == 1_000

    played(story)


def test_five_failures_of_different_workers_open_the_circuit_for_all_of_them() -> None:
    async def story(ports: Ports, side: MeteredSide, host: Host) -> None:
        await opened(ports, host)
        assert await tried(Circuits(ports), host) == "open"
        assert not host.calls

    played(story)


def test_an_open_circuit_says_when_to_come_back() -> None:
    async def story(ports: Ports, side: MeteredSide, host: Host) -> None:
        await opened(ports, host)
        with pytest.raises(CircuitOpen) as refusal:
            await Circuits(ports).guarded(KEY, host.call, POLICY)
        assert RESET_S < refusal.value.retry_after_s <= 2 * RESET_S + 1

    played(story)


def test_an_answer_in_between_starts_the_count_anew() -> None:
    async def story(ports: Ports, side: MeteredSide, host: Host) -> None:
        circuits, down = Circuits(ports), host.error
        for host.error in (down, down, down, down, None, down, down, down, down):
            await tried(circuits, host)
        assert await tried(circuits, host) == "down"
        assert await tried(circuits, host) == "open"

    played(story)


@pytest.mark.parametrize(
    "error", [Permanent("not_found", "no such page"), KeyError("a bug"), FileNotFoundError("a file"), TypeError()]
)
def test_what_is_not_the_worlds_fault_never_opens_it(error: Exception) -> None:
    async def story(ports: Ports, side: MeteredSide, host: Host) -> None:
        circuits, host.error = Circuits(ports), error
        for _ in range(20):
            with pytest.raises(type(error)):
                await circuits.guarded(KEY, host.call, POLICY)
        assert not side.requests["swap"]

    played(story)


@pytest.mark.parametrize(
    "error", [ConnectionResetError(), TimeoutError(), OSError("no such host"), ValueError("theirs")]
)
def test_what_comes_from_the_net_or_is_declared_as_its_fault_opens_it(error: Exception) -> None:
    async def story(ports: Ports, side: MeteredSide, host: Host) -> None:
        circuits, host.error = Circuits(ports), ExceptionGroup("of a task group", [error])
        for _ in range(5):
            with pytest.raises(ExceptionGroup):
                await circuits.guarded(KEY, host.call, replace(POLICY, retry_on=(ValueError,)))
        assert await tried(circuits, host) == "open"

    played(story)


def test_after_the_reset_one_of_fifty_workers_is_the_probe_and_its_answer_lets_all_in() -> None:
    async def story(ports: Ports, side: MeteredSide, host: Host) -> None:
        await opened(ports, host)
        workers = [Circuits(ports) for _ in range(50)]
        await asyncio.sleep(RESET_S)
        host.error, host.lasts_s = None, 3
        found = await asyncio.gather(*(tried(worker, host) for worker in workers))
        assert Counter(found) == {"fine": 1, "open": 49}
        assert len(host.calls) == 1
        await asyncio.sleep(6)
        assert await asyncio.gather(*(tried(worker, host) for worker in workers)) == ["fine"] * 50
        swaps = side.requests["swap"]
        assert await tried(workers[0], host) == "fine"
        assert side.requests["swap"] == swaps, "mended is as good as never broken"

    played(story)


def test_a_probe_that_fails_spends_nobody_s_attempt_and_opens_for_twice_as_long() -> None:
    async def story(ports: Ports, side: MeteredSide, host: Host) -> None:
        await opened(ports, host)
        circuits, began_at = Circuits(ports), ports.now()
        for _ in range(400):
            assert await tried(circuits, host) == "open"
            await asyncio.sleep(1)
        probed_s = [(at - began_at) / 1000 for at in host.calls]
        assert [round(later - earlier) for earlier, later in pairwise([0, *probed_s])] == [30, 60, 120]

    played(story)


def test_a_dead_probe_is_replaced_after_its_lease_and_its_late_answer_changes_nothing() -> None:
    async def story(ports: Ports, side: MeteredSide, host: Host) -> None:
        await opened(ports, host)
        await asyncio.sleep(RESET_S)
        host.error, host.lasts_s = None, 100
        hanging = asyncio.create_task(tried(Circuits(ports), host))
        await asyncio.sleep(POLICY.timeout_s + 9)
        assert await tried(Circuits(ports), host) == "open"
        await asyncio.sleep(2)
        host.lasts_s = 1_000
        second = asyncio.create_task(tried(Circuits(ports), host))
        await asyncio.sleep(1)
        held = dict(side.items)
        assert await hanging == "fine"
        assert side.items == held, "it is the second probe's to tell"
        second.cancel()
        await asyncio.wait({second})

    played(story)


def test_a_probe_that_is_cancelled_leaves_the_circuit_open_for_another() -> None:
    async def story(ports: Ports, side: MeteredSide, host: Host) -> None:
        await opened(ports, host)
        await asyncio.sleep(RESET_S)
        host.lasts_s, probe = 5, asyncio.create_task(tried(Circuits(ports), host))
        await asyncio.sleep(1)
        probe.cancel()
        await asyncio.wait({probe})
        (body,) = side.items.values()
        assert standing(read_circuit(body), ports.now()) is Standing.OPEN

    played(story)


def test_lost_answers_elect_no_second_probe_and_count_no_failure_twice() -> None:
    async def story(ports: Ports, side: MeteredSide, host: Host) -> None:
        circuits = Circuits(ports)
        for failures in range(1, 6):
            side.lose = 1
            assert await tried(circuits, host) == "down"
            (body,) = side.items.values()
            assert (circuit := read_circuit(body)) is not None
            assert circuit.failures == failures
        await asyncio.sleep(RESET_S)
        host.error, side.lose = None, 1
        found = await asyncio.gather(*(tried(Circuits(ports), host) for _ in range(9)))
        assert Counter(found) == {"fine": 1, "open": 8}
        (body,) = side.items.values()
        assert standing(read_circuit(body), ports.now()) is Standing.CLOSED

    played(story)


def test_an_election_that_nobody_confirms_elects_nobody() -> None:
    async def story(ports: Ports, side: MeteredSide, host: Host) -> None:
        await opened(ports, host)
        await asyncio.sleep(RESET_S)
        side.lose = 1_000
        assert await tried(Circuits(ports), host) == "open"
        assert not host.calls
        side.lose, host.error = 0, None
        await asyncio.sleep(POLICY.timeout_s + 11)
        assert await tried(Circuits(ports), host) == "fine"

    played(story)


def test_a_table_that_is_down_stops_nobody() -> None:
    async def story(ports: Ports, side: MeteredSide, host: Host) -> None:
        side.down, circuits = True, Circuits(ports)
        for _ in range(10):
            assert await tried(circuits, host) == "down"
        host.error = None
        assert await tried(circuits, host) == "fine"

    played(story)


def test_a_host_that_says_when_to_come_back_is_left_alone_until_then() -> None:
    async def story(ports: Ports, side: MeteredSide, host: Host) -> None:
        host.error = Transient("too_many_requests", "slow down", retry_after_s=100)
        assert await tried(Circuits(ports), host) == "too_many_requests"
        host.error = None
        await asyncio.sleep(99)
        assert await tried(Circuits(ports), host) == "open"
        await asyncio.sleep(2)
        assert await tried(Circuits(ports), host) == "fine"

    played(story)


def test_one_tenant_s_broken_host_stops_no_other_and_no_host_another() -> None:
    async def story(ports: Ports, side: MeteredSide, host: Host) -> None:
        await opened(ports, host)
        others = [of_host("bravo", "api.example.com"), of_host("acme", "other.example.com")]
        others += [of_type("acme", "api.example.com"), of_host("acme#host", "api.example.com")]
        for other in others:
            assert await tried(Circuits(ports), host, other) == "down"
        assert await tried(Circuits(ports), host) == "open"

    played(story)


def test_a_thousand_calls_under_way_when_it_opens_write_no_more_than_the_threshold() -> None:
    async def story(ports: Ports, side: MeteredSide, host: Host) -> None:
        circuits, host.lasts_s = Circuits(ports), 1
        found = await asyncio.gather(*(tried(circuits, host) for _ in range(1_000)))
        assert Counter(found) == {"down": 5, "open": 995}
        assert side.requests == {"get": 1, "swap": 5}

    played(story)


def test_an_open_circuit_is_neither_read_nor_written_until_its_time_is_over() -> None:
    async def story(ports: Ports, side: MeteredSide, host: Host) -> None:
        await opened(ports, host)
        circuits = Circuits(ports)
        side.requests.clear()
        for _ in range(RESET_S):
            assert await asyncio.gather(*(tried(circuits, host) for _ in range(20))) == ["open"] * 20
            assert await circuits.shut_s(KEY, Breaker()) > 0
            await asyncio.sleep(0.9)
        assert side.requests == {"get": 1}

    played(story)


def test_a_fault_of_aws_tells_nothing_of_the_host() -> None:
    async def story(ports: Ports, side: MeteredSide, host: Host) -> None:
        await opened(ports, host)
        await asyncio.sleep(RESET_S)
        host.error = WorldFault("throttled", "AWS")
        with pytest.raises(WorldFault, match="AWS"):
            await Circuits(ports).guarded(KEY, host.call, POLICY)
        assert await tried(Circuits(ports), host) == "open"

    played(story)


def test_a_call_that_takes_long_is_read_for_once() -> None:
    async def story(ports: Ports, side: MeteredSide, host: Host) -> None:
        host.error, host.lasts_s = None, 10
        assert await tried(Circuits(ports), host) == "fine"
        assert side.requests == {"get": 1}

    played(story)


def test_many_processes_whose_calls_fail_at_once_write_little_beyond_the_threshold() -> None:
    async def story(ports: Ports, side: MeteredSide, host: Host) -> None:
        processes, host.lasts_s = [Circuits(ports) for _ in range(20)], 1
        found = await asyncio.gather(*(tried(processes[n % 20], host) for n in range(1_000)))
        assert Counter(found) == {"down": 5, "open": 995}
        assert side.requests["swap"] <= 5 * 20

    played(story)


def test_a_name_that_cannot_be_a_key_is_refused() -> None:
    for name in ("", "x" * 256):
        with pytest.raises(Permanent, match="255"):
            of_host("acme", name)


# --- whole jobs -------------------------------------------------------------------------------------------------------


Handler = Callable[[GenericPayload, Context], Awaitable[object]]


def broken_until(at_s: float) -> Handler:
    async def handler(_payload: GenericPayload, context: Context) -> ProcessResult:
        if asyncio.get_running_loop().time() < at_s:
            raise Transient("down", "no answer")
        return ProcessResult()

    return handler


async def invoked(world: World, worker: Worker[Payload], *, wait_s: int = 0) -> int:
    """One Lambda invocation in the process of `worker`. → how many messages it got."""
    ports = world.ports
    messages = await ports.queues.receive("generic", max_messages=10, wait_s=wait_s)
    ends_at = ports.now() + 75_000
    failed = await run_batch(worker, messages, ports, queue="generic", ends_at=ends_at, who="test")
    await ports.queues.delete("generic", [held.receipt for held in messages if held.message_id not in failed])
    return len(messages)


def new_worker(world: World) -> Worker[Payload]:
    return cast("Worker[Payload]", Worker(world.type, world.ports, stack="test"))


@dataclass
class Flood:
    """Many jobs of one tenant, to the end."""

    attempts: int
    runs: int
    moves: int
    swaps: int


def flooded(handler: Handler, breaker: Breaker | None, *, processes: int, jobs_count: int = 1_000) -> Flood:
    """Worked by so many warm processes in turn, or (0) by a cold one each time."""

    async def story(world: World) -> Flood:
        side = MeteredSide()
        world = World(replace(world.ports, side=side), handler)
        world.type.circuit = breaker
        jobs = [await world.submit() for _ in range(jobs_count)]
        warm = [new_worker(world) for _ in range(processes)]
        for turn in range(5_000):
            await world.react()
            if not world.queues.held.get("generic"):
                break
            await invoked(world, warm[turn % processes] if warm else new_worker(world), wait_s=20)
        rows = [await world.row(job) for job in jobs]
        assert {row.status for row in rows} == {Status.SUCCESS}
        attempts = sum(row.attempts for row in rows)
        return Flood(attempts, len(world.runs), len(world.jobs.stream), side.requests["swap"])

    return in_world(handler, story)


@pytest.mark.parametrize("processes", [0, 1, 8])
def test_a_flood_on_a_broken_world_waits_in_the_queue_and_spends_no_attempt_beyond_the_threshold(
    processes: int,
) -> None:
    flood = flooded(broken_until(400), Breaker(), processes=processes)
    assert flood.attempts == 5
    assert flood.runs - 1_000 <= 5 + 5 + 10, "failures, probes, and those under way"
    assert flood.moves - 3_000 <= 2 * (5 + 5 + 10), "beyond submit, claim and settlement of each job"
    assert flood.swaps <= 20


@pytest.mark.parametrize("processes", [0, 8])
def test_a_host_that_the_handler_names_puts_its_jobs_off_without_an_attempt(processes: int) -> None:
    async def handler(_payload: GenericPayload, context: Context) -> ProcessResult:
        async def fetch() -> None:
            if asyncio.get_running_loop().time() < 400:
                raise ConnectionRefusedError

        await context.retry(fetch, circuit="api.example.com", policy=Policy(attempts_max=2, base_delay_s=0))
        return ProcessResult()

    flood = flooded(handler, None, processes=processes, jobs_count=200)
    assert flood.attempts <= 5
    assert flood.swaps <= 20


def test_jobs_of_another_tenant_never_notice() -> None:
    async def handler(_payload: GenericPayload, context: Context) -> ProcessResult:
        if context.tenant_id == "acme":
            raise Transient("down", "no answer")
        return ProcessResult()

    async def story(world: World) -> None:
        world.type.circuit = Breaker()
        for tenant_id in ["acme"] * 8 + ["bravo"] * 8:
            await world.service.submit(GenericPayload(operation="x", tenant_id=tenant_id))
        began_at = world.ports.now()
        worker = new_worker(world)
        for _ in range(4):
            await world.react()
            await invoked(world, worker)
        rows = list(world.jobs.rows.values())
        assert {row.status for row in rows if row.tenant_id == "bravo"} == {Status.SUCCESS}
        assert {row.status for row in rows if row.tenant_id == "acme"} == {Status.QUEUED}
        assert world.ports.now() - began_at < 1_000

    in_world(handler, story)


def test_a_type_that_asked_for_no_circuit_makes_no_request_for_one() -> None:
    async def story(world: World) -> None:
        side = MeteredSide()
        world = World(replace(world.ports, side=side), broken_until(60))
        for _ in range(20):
            await world.submit()
        await world.drain()
        assert not side.requests

    in_world(broken_until(60), story)


def test_a_message_is_hidden_before_the_claim_while_the_circuit_of_its_type_is_open() -> None:
    async def story(world: World) -> None:
        world.type.circuit = Breaker()
        until = world.ports.now() + 100_000
        body = circuit_json(Circuit("t", failures=5, open_until=until))
        await world.ports.side.put_once("default#", "circuit#type#generic", body)
        job = await world.submit()
        await world.react()
        assert await invoked(world, new_worker(world)) == 1
        assert not world.runs
        assert (await world.row(job)).epoch == 0
        (held,) = world.queues.held["generic"]
        assert until < held.visible_at <= until + 32_000
        await world.drain()
        assert (await world.row(job)).status is Status.SUCCESS
        assert len(world.runs) == 1

    in_world(broken_until(0), story)
