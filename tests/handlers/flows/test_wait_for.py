"""A job that starts others and is woken when they are over."""

from typing import Literal

import pytest
from pydantic import BaseModel

from infra.testing import Longshore
from shared.errors import Permanent
from shared.outcomes import Snooze
from shared.payloads.base import Payload
from shared.retry import Policy
from shared.runtime.context import Context, WaitFor
from shared.runtime.definition import job
from shared.status import Status

UNLUCKY, SLOW = {-13}, {-99}


class PiecePayload(Payload):
    policy = Policy(attempts_max=1, inline_result=True)
    type: Literal["piece"] = "piece"
    number: int


class Piece(BaseModel):
    square: int


class WholePayload(Payload):
    type: Literal["whole"] = "whole"
    pieces: int
    fails_fast: bool = False
    timeout_s: float = 3_600.0


class Whole(BaseModel):
    squares: list[int | None]
    failed: list[str]


@pytest.fixture(autouse=True)
def types(longshore: Longshore) -> None:
    @longshore.use
    @job(PiecePayload)
    async def piece(payload: PiecePayload, _context: Context) -> Piece | Snooze:
        if payload.number in UNLUCKY:
            raise Permanent("unlucky", "thirteen")
        return Snooze(7_200) if payload.number in SLOW else Piece(square=payload.number**2)

    @longshore.use
    @job(WholePayload)
    async def whole(payload: WholePayload, context: Context) -> Whole | WaitFor:
        if context.checkpoint is None:
            numbers = [11, 12, -13, -99] if payload.pieces < 0 else range(payload.pieces)
            children = [PiecePayload(number=number) for number in numbers]
            return WaitFor(children, "cut", fails_fast=payload.fails_fast, timeout_s=payload.timeout_s)
        ends = [end async for end in context.children]
        squares = [end.result["square"] if isinstance(end.result, dict) else None for end in ends]
        return Whole(squares=squares, failed=[end.error.code for end in ends if end.error])  # type: ignore[arg-type]  # ints, as Piece has them


@pytest.mark.parametrize("pieces", [1, 2, 5, 201, 450])
def test_it_is_woken_once_with_every_end_in_order(longshore: Longshore, pieces: int) -> None:
    submitted = longshore.submit(WholePayload(pieces=pieces))
    longshore.drain()
    ended = longshore.job(submitted)
    assert ended.status is Status.SUCCESS
    assert [move.event for move in ended.history].count("wake") == 1
    assert longshore.result(submitted).data.result == {"squares": [n * n for n in range(pieces)], "failed": []}


def test_no_children_are_no_wait(longshore: Longshore) -> None:
    submitted = longshore.submit(WholePayload(pieces=0))
    longshore.drain()
    assert longshore.result(submitted).data.result == {"squares": [], "failed": []}


def test_failures_are_told_and_the_rest_is_waited_for(longshore: Longshore) -> None:
    submitted = longshore.submit(WholePayload(pieces=-1, timeout_s=1e6))
    longshore.drain()
    assert longshore.job(submitted).status is Status.WAITING
    SLOW.clear()
    longshore.drain(with_scheduled=True)
    assert longshore.result(submitted).data.result == {"squares": [121, 144, None, 9801], "failed": ["unlucky"]}
    SLOW.add(-99)


def test_who_wants_to_fail_fast_is_woken_by_the_first_failure(longshore: Longshore) -> None:
    submitted = longshore.submit(WholePayload(pieces=-1, fails_fast=True))
    longshore.drain()
    assert longshore.job(submitted).status is Status.SUCCESS
    assert longshore.result(submitted).data.result == {"squares": [121, 144, None, None], "failed": ["unlucky"]}


def test_who_waits_too_long_has_failed_and_its_children_are_cancelled(longshore: Longshore) -> None:
    submitted = longshore.submit(WholePayload(pieces=-1))
    longshore.drain()
    assert longshore.job(submitted).status is Status.WAITING
    longshore.clock.advance(3_601)
    longshore.drain()
    failed = longshore.job(submitted)
    assert (failed.status, failed.error and failed.error.code) == (Status.FAILED, "timed_out")
    assert all(row.status.is_terminal for row in longshore.world.jobs.rows.values())


def test_children_are_left_out_of_the_list(longshore: Longshore) -> None:
    submitted = longshore.submit(WholePayload(pieces=3))
    longshore.drain()
    listed = longshore.run(longshore.service.list("default"))
    assert [found.job_id for found in listed.jobs] == [submitted.job_id]
