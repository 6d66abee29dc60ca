"""How a payload becomes a row."""

import asyncio

import pytest

from shared.admission import PAYLOAD_BYTES_MAX, place_of
from shared.errors import Conflict, InvalidInput
from shared.payloads.generic import GenericPayload
from shared.payloads.results import ProcessResult
from shared.runtime.context import Context
from tests.world import World, in_world


async def answer(_payload: GenericPayload, _context: Context) -> ProcessResult:
    return ProcessResult()


@pytest.mark.parametrize(
    ("size_bytes", "place"),
    [(0, "row"), (256, "row"), (257, "side"), (8_192, "side"), (8_193, "s3"), (PAYLOAD_BYTES_MAX, "s3")],
)
def test_the_size_decides_the_place(size_bytes: int, place: str) -> None:
    assert place_of(size_bytes) == place


def test_what_is_too_large_is_refused_with_its_size_and_leaves_nothing() -> None:
    async def story(world: World) -> None:
        with pytest.raises(InvalidInput, match=r"9000\d+ bytes; at most 8388608") as caught:
            await world.service.submit(GenericPayload(operation="x", parameters={"text": "y" * 9_000_000}))
        assert caught.value.field == "payload"
        assert not world.jobs.rows

    in_world(answer, story)


def test_the_same_key_and_payload_is_the_same_job_and_another_payload_a_conflict() -> None:
    async def story(world: World) -> None:
        first, again = [await world.submit("x", idempotency_key="order-7") for _ in range(2)]
        assert first.job_id == again.job_id
        with pytest.raises(Conflict):
            await world.submit("y", idempotency_key="order-7")
        await world.drain()
        assert len(world.runs) == 1
        assert (await world.submit("x", idempotency_key="order-7")).status == "SUCCESS"

    in_world(answer, story)


def test_of_many_that_submit_the_same_at_once_one_creates_it() -> None:
    async def story(world: World) -> None:
        jobs = await asyncio.gather(*(world.submit("x", idempotency_key="k") for _ in range(20)))
        assert len({(job.job_id, job.token) for job in jobs}) == 1
        assert len(world.jobs.stream) == 1

    in_world(answer, story)


@pytest.mark.parametrize("delay_s", [-1, 400 * 24 * 3600, float("nan")])
def test_a_delay_that_makes_no_sense_is_refused(delay_s: float) -> None:
    async def story(world: World) -> None:
        with pytest.raises(InvalidInput, match="seconds"):
            await world.submit("x", delay_s=delay_s)

    in_world(answer, story)


@pytest.mark.parametrize(("job_id", "key"), [("mine", "order-7"), (None, "")])
def test_a_key_that_would_not_be_the_jobs_name_is_refused(job_id: str | None, key: str) -> None:
    async def story(world: World) -> None:
        with pytest.raises(InvalidInput) as caught:
            await world.service.submit(GenericPayload(operation="x", job_id=job_id), idempotency_key=key)
        assert caught.value.field == "idempotency_key"

    in_world(answer, story)
