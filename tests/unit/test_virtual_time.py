"""Time that passes only when nobody has anything to do."""

import asyncio
import hashlib
import threading
import time

import pytest

from shared.memory.clock import EPOCH_MS, run_virtual
from shared.ports import Clock

DAY_S = 24 * 3600


def test_a_year_of_sleep_takes_no_time_and_is_a_year() -> None:
    async def main(now: Clock) -> int:
        await asyncio.gather(*(asyncio.sleep(days * DAY_S) for days in range(365)))
        return now()

    assert run_virtual(main) == EPOCH_MS + 364 * DAY_S * 1000


def test_sleepers_wake_in_the_order_of_their_times() -> None:
    async def main(now: Clock) -> list[int]:
        woken: list[int] = []

        async def sleeper(delay_s: float) -> None:
            await asyncio.sleep(delay_s)
            woken.append(now() - EPOCH_MS)

        await asyncio.gather(*(sleeper(delay_s) for delay_s in (3, 0.001, 2, 1_000_000, 0.5)))
        return woken

    assert run_virtual(main) == [1, 500, 2_000, 3_000, 1_000_000_000]


def test_a_timeout_ends_at_its_time_to_the_millisecond() -> None:
    async def main(now: Clock) -> int:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(2.5):
                await asyncio.Event().wait()
        return now() - EPOCH_MS

    assert run_virtual(main) == 2_500


def test_work_in_a_thread_takes_no_virtual_time_and_its_result_comes_before_any_timer() -> None:
    async def main(now: Clock) -> tuple[int, list[str]]:
        order: list[str] = []

        async def threaded() -> None:
            started.set()
            await asyncio.to_thread(gate.wait)
            order.append("thread")

        async def timer() -> None:
            await started.wait()
            asyncio.get_running_loop().call_soon(gate.set)
            await asyncio.sleep(1)
            order.append("timer")

        started, gate = asyncio.Event(), threading.Event()
        await asyncio.gather(threaded(), timer())
        return now() - EPOCH_MS, order

    assert run_virtual(main) == (1_000, ["thread", "timer"])


def test_many_short_pieces_of_work_in_threads_never_let_the_clock_slip() -> None:
    async def main(now: Clock) -> int:
        async def pieces() -> None:
            for _ in range(50):
                await asyncio.to_thread(time.monotonic)
            assert now() == EPOCH_MS

        await asyncio.gather(pieces(), pieces(), asyncio.sleep(1))
        return now() - EPOCH_MS

    assert run_virtual(main) == 1_000


def test_work_that_nobody_awaits_any_more_still_holds_the_clock() -> None:
    async def main(now: Clock) -> list[int]:
        ended_at: list[int] = []

        def work() -> None:
            hashlib.pbkdf2_hmac("sha256", b"", b"", 100_000)
            ended_at.append(now())

        abandoned = asyncio.create_task(asyncio.to_thread(work))
        await asyncio.sleep(0)
        abandoned.cancel()
        await asyncio.sleep(60)
        return ended_at

    assert run_virtual(main) == [EPOCH_MS]


def test_waiting_for_what_can_never_come_is_an_error_and_not_a_hang() -> None:
    async def main(_: Clock) -> None:
        await asyncio.Event().wait()

    with pytest.raises(RuntimeError, match="deadlock"):
        run_virtual(main)


def test_what_goes_wrong_inside_comes_out() -> None:
    async def main(_: Clock) -> None:
        await asyncio.to_thread(int, "not a number")

    with pytest.raises(ValueError, match="not a number"):
        run_virtual(main)
