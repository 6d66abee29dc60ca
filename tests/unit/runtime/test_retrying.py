"""Any function, tried again: by a job's policy, in virtual time."""

import asyncio
import threading
from collections.abc import Awaitable, Callable
from dataclasses import replace

import pytest
from structlog.testing import capture_logs

from shared.circuit import Breaker, CircuitOpen
from shared.errors import Permanent, Transient, WorldFault
from shared.memory.clock import run_virtual
from shared.memory.ports import memory_ports
from shared.payloads.generic import GenericPayload
from shared.payloads.results import ProcessResult
from shared.ports import Clock
from shared.retry import Policy, asked_s, is_the_worlds, next_try_s
from shared.runtime.breaker import Circuits
from shared.runtime.context import Context
from shared.runtime.logs import get_logger
from shared.runtime.retrying import Retrying
from shared.status import Status
from tests.world import World, in_world

DICE = 0.5
DOWN = Transient("down", "no answer")


class Flaky:
    """Raises `errors` in turn, then answers. `at_s`: when it was called."""

    def __init__(self, *errors: Exception) -> None:
        self.errors = list(errors)
        self.at_s: list[float] = []

    async def call(self, answer: str = "fine") -> str:
        self.at_s.append(asyncio.get_running_loop().time())
        if self.errors:
            raise self.errors.pop(0)
        return answer


def told(story: Callable[[Retrying], Awaitable[None]], *, ends_in_s: float = 10**6) -> None:
    async def main(now: Clock) -> None:
        ports = replace(memory_ports(now), dice=lambda: DICE)
        await story(Retrying(ports, "acme", Circuits(ports), get_logger(tenant_id="acme"), now() + 1000 * ends_in_s))

    run_virtual(main)


def test_a_call_is_tried_three_times_with_a_growing_jittered_pause() -> None:
    async def story(again: Retrying) -> None:
        flaky = Flaky(DOWN, ConnectionResetError())
        assert await again.retry(flaky.call, "third") == "third"
        assert flaky.at_s == [0, 0.5, 1.5]
        flaky = Flaky(DOWN, DOWN, DOWN)
        with pytest.raises(Transient, match="no answer"):
            await again.retry(flaky.call)
        assert len(flaky.at_s) == 3

    told(story)


def test_what_is_permanent_is_not_tried_again() -> None:
    async def story(again: Retrying) -> None:
        for error in (Permanent("no", "never"), TypeError(), WorldFault("throttled", "AWS"), CircuitOpen("host", 9)):
            flaky = Flaky(error)
            with pytest.raises(type(error)):
                await again.retry(flaky.call)
            assert len(flaky.at_s) == 1

    told(story)


def test_the_policy_classifies() -> None:
    async def story(again: Retrying) -> None:
        policy = Policy(retry_on=(LookupError,), give_up_on=(ConnectionError,))
        assert await again.retry(Flaky(KeyError(), IndexError()).call, policy=policy) == "fine"
        with pytest.raises(ConnectionResetError):
            await again.retry(Flaky(ConnectionResetError()).call, policy=policy)

    told(story)


def test_a_retry_after_is_waited_for_but_not_beyond_the_end_of_the_run() -> None:
    async def story(again: Retrying) -> None:
        flaky = Flaky(Transient("busy", "later", retry_after_s=70))
        await again.retry(flaky.call)
        assert flaky.at_s == [0, 70]
        with pytest.raises(Transient):
            await again.retry(Flaky(Transient("busy", "later", retry_after_s=31)).call)

    told(story, ends_in_s=100)


def test_a_call_that_hangs_is_cut_short_and_tried_again() -> None:
    async def story(again: Retrying) -> None:
        began_s: list[float] = []

        async def hang() -> None:
            began_s.append(asyncio.get_running_loop().time())
            await asyncio.sleep(1_000)

        with pytest.raises(TimeoutError):
            await again.retry(hang, policy=Policy(timeout_s=10, attempts_max=2))
        assert began_s == [0, 10.5]
        with pytest.raises(TimeoutError):
            await again.retry(hang)
        assert asyncio.get_running_loop().time() == 25, "with the run, not later"

    told(story, ends_in_s=25)


def test_a_plain_function_runs_in_a_thread_and_is_tried_again_alike() -> None:
    async def story(again: Retrying) -> None:
        threads: list[int] = []

        def plain(answer: str) -> str:
            threads.append(threading.get_ident())
            if len(threads) < 3:
                raise DOWN
            return answer

        assert await again.retry(plain, "fine") == "fine"
        assert threading.get_ident() not in threads
        assert await again.retry(lambda: Flaky().call()) == "fine"

    told(story)


def test_as_a_decorator_it_keeps_name_arguments_and_value() -> None:
    async def story(again: Retrying) -> None:
        errors: list[Exception] = [DOWN, DOWN]

        @again.retrying(policy=Policy(attempts_max=3))
        async def total(first: int, *, second: int) -> int:
            """Adds up."""
            if errors:
                raise errors.pop()
            return first + second

        assert await total(1, second=2) == 3
        assert (total.__name__, total.__doc__) == ("total", "Adds up.")

        @again.retrying()
        def plain(text: str) -> str:
            return text.upper()

        assert await plain("a") == "A"

    told(story)


def test_every_failure_is_logged_with_its_operation_and_note() -> None:
    async def story(again: Retrying) -> None:
        last = Transient("down", "still no answer")
        with capture_logs() as logs, pytest.raises(Transient) as raised:
            await again.retry(Flaky(DOWN, DOWN, last).call, operation="fetch", note="page 7")
        assert [entry["event"] for entry in logs] == ["trying_again", "trying_again", "action_failed"]
        assert {(entry["operation"], entry["note"]) for entry in logs} == {("fetch", "page 7")}
        assert {entry["tenant_id"] for entry in logs} == {"acme"}
        assert raised.value.__notes__ == ["in fetch: page 7"]

    told(story)


def test_recover_gets_the_last_error_and_cleanup_comes_last_whatever_the_end() -> None:
    async def story(again: Retrying) -> None:
        told: list[str] = []

        async def recover(error: Exception) -> str:
            told.append(f"recover {type(error).__name__}")
            return "instead"

        def cleanup() -> None:
            told.append("cleanup")

        assert (
            await again.retry(Flaky(KeyError(), ValueError(), OSError()).call, recover=recover, cleanup=cleanup)
            == "instead"
        )
        assert await again.retry(Flaky().call, recover=recover, cleanup=cleanup) == "fine"
        hanging = asyncio.create_task(again.retry(asyncio.sleep, 50, recover=recover, cleanup=cleanup))
        await asyncio.sleep(1)
        hanging.cancel()
        await asyncio.wait({hanging})
        assert told == ["recover OSError", "cleanup", "cleanup", "cleanup"]

    told(story)


def test_a_circuit_counts_each_try_and_an_open_one_may_be_recovered_from() -> None:
    async def story(again: Retrying) -> None:
        down = Flaky(*[DOWN] * 9)
        with pytest.raises(Transient):
            await again.retry(down.call, circuit="host")
        with pytest.raises(CircuitOpen) as refusal:
            await again.retry(down.call, circuit="host")
        assert refusal.value.field == "host#host"
        assert len(down.at_s) == 5
        assert await again.retry(down.call, circuit="host", recover=lambda error: "from the cache") == "from the cache"
        assert await again.retry(Flaky().call, circuit="other") == "fine"

    told(story)


def test_a_job_whose_circuit_is_open_is_put_off_without_an_attempt_and_says_why() -> None:
    async def handler(_payload: GenericPayload, context: Context) -> ProcessResult:
        await context.retry(Flaky(Transient("busy", "later", retry_after_s=200)).call, circuit="api.example.com")
        return ProcessResult()

    async def story(world: World) -> None:
        job = await world.submit()
        await world.react()
        await world.invoke()
        row = await world.row(job)
        assert (row.status, row.attempts) == (Status.QUEUED, 1), "its own failure opened it"
        other = await world.submit()
        await world.react()
        await world.invoke()
        row = await world.row(other)
        assert (row.status, row.attempts) == (Status.QUEUED, 0)
        assert row.history[-1].endswith("circuit_open host#api.example.com")
        assert row.due_at > world.ports.now() + 199_000

    in_world(handler, story)


# --- the decisions ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("error", "worlds"),
    [
        (DOWN, True),
        (ConnectionRefusedError(), True),
        (TimeoutError(), True),
        (OSError("no such host"), True),
        (ExceptionGroup("group", [TimeoutError()]), True),
        (FileNotFoundError(), False),
        (PermissionError(), False),
        (Permanent("code", "message"), False),
        (WorldFault("code", "message"), False),
        (KeyError(), False),
        (AssertionError(), False),
    ],
    ids=repr,
)
def test_whose_fault_it_is(error: Exception, worlds: bool) -> None:
    assert is_the_worlds(error, Policy()) is worlds


def test_a_type_says_itself_what_comes_from_its_world() -> None:
    assert is_the_worlds(KeyError(), Policy(retry_on=(KeyError,)))
    assert not is_the_worlds(TimeoutError(), Policy(give_up_on=(TimeoutError,)))


def test_there_is_a_next_try_while_attempts_remain() -> None:
    assert [next_try_s(DOWN, failures, Policy(), DICE) for failures in (1, 2, 3)] == [0.5, 1, None]
    assert next_try_s(Transient("c", "m", retry_after_s=9), 1, Policy(), DICE) == 9
    assert next_try_s(Permanent("c", "m"), 1, Policy(), DICE) is None
    assert asked_s(ExceptionGroup("group", [Transient("c", "m", retry_after_s=9)])) == 9


def test_a_call_that_its_own_run_cut_short_tells_nothing_of_its_host() -> None:
    """The host answers in 2 s; runs that have half a second left open no circuit, and begin nothing once it is over."""
    begun: list[int] = []

    async def slow() -> str:
        begun.append(1)
        await asyncio.sleep(2)
        return "fine"

    async def main(now: Clock) -> None:
        ports = replace(memory_ports(now), dice=lambda: DICE)
        circuits, log = Circuits(ports), get_logger(tenant_id="acme")
        policy = Policy(attempts_max=1, circuit=Breaker(failure_threshold=2))
        for _ in range(5):
            with pytest.raises(TimeoutError):
                await Retrying(ports, "acme", circuits, log, now() + 500).retry(slow, policy=policy, circuit="host")
        with pytest.raises(TimeoutError):
            await Retrying(ports, "acme", circuits, log, now() - 1).retry(slow, policy=policy, circuit="host")
        assert len(begun) == 5
        assert await Retrying(ports, "acme", circuits, log).retry(slow, policy=policy, circuit="host") == "fine"

    run_virtual(main)
