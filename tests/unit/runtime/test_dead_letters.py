"""Dead letters heal: what is over is dropped, what is due is sent back, what can't be read is kept; none is lost."""

import json
from collections.abc import Sequence
from dataclasses import replace

import pytest
import structlog

from shared.admission import new_job
from shared.dead_letters import DeadLetter, read_letter, read_returned
from shared.envelope import Envelope, Wakeup, wakeup_body
from shared.errors import WorldFault
from shared.ids import derived_job_id
from shared.job import Job
from shared.moves import Lease, claim_bare
from shared.payloads.generic import GenericPayload
from shared.payloads.results import ProcessResult
from shared.ports import Applied, Outgoing
from shared.runtime.context import Context
from shared.runtime.dead_letters import heal
from shared.runtime.documents import keep_payload
from shared.status import Status
from tests.world import World, in_world

BARE = '{"operation": "x"}'


async def answer(_payload: GenericPayload, _context: Context) -> ProcessResult:
    return ProcessResult()


def given_up(world: World) -> list[DeadLetter]:
    """Whatever lies in the queue has been received too often."""
    held = world.queues.held["generic"]
    letters = [DeadLetter(message.message_id, message.body, "generic", message.returned) for message in held]
    held.clear()
    return letters


async def healed(world: World, *letters: DeadLetter) -> list[str]:
    """→ what was sent back."""
    assert await heal(letters, world.ports, stack="t") == []
    return [message.body for message in world.queues.held.get("generic", [])]


async def kept(world: World) -> dict[str, dict[str, str]]:
    return {sk: json.loads(body) for sk, body in await world.ports.side.query("quarantine", limit=99)}


def test_a_wakeup_that_never_ran_goes_back_and_its_job_loses_no_attempt() -> None:
    async def story(world: World) -> None:
        job = await world.submit()
        await world.react()
        (letter,) = given_up(world)
        assert await healed(world, letter) == [letter.body]
        await world.drain()
        row = await world.row(job)
        assert (row.status, row.attempts, len(world.runs)) == (Status.SUCCESS, 0, 1)

    in_world(answer, story)


def test_a_bare_message_stays_the_same_job_however_often_it_is_sent_again() -> None:
    """A copy has another message id, of which the job's would be made."""

    async def story(world: World) -> None:
        await world.send(BARE)
        (letter,) = given_up(world)
        await healed(world, letter, letter)
        await world.drain()
        assert [run.job_id for run in world.runs] == [derived_job_id("generic", letter.message_id)]
        assert await kept(world) == {}

    in_world(answer, story)


@pytest.mark.parametrize("body", [BARE, '{"operation": "x", "job_id": "mine"}', '{"operation": 1}'])
def test_a_bare_message_whose_worker_died_comes_back_as_its_jobs_wakeup(body: str) -> None:
    async def story(world: World) -> None:
        await world.send(body)
        (letter,) = given_up(world)
        dying = await died(world, letter)
        assert await healed(world, letter) == [wakeup_body(Wakeup("default", dying.job_id, 1))]
        await world.drain()
        row = await world.row(dying)
        assert row.status is (Status.FAILED if body == '{"operation": 1}' else Status.SUCCESS)
        assert row.attempts == (1 if body == '{"operation": 1}' else 0)
        assert await kept(world) == {}

    in_world(answer, story)


async def died(world: World, letter: DeadLetter) -> Job:
    """A worker claims the letter's job and is never heard of again."""
    parcel = read_letter(letter)
    assert isinstance(parcel, Envelope)
    job = new_job(parcel, now=world.ports.now(), token="t")
    await keep_payload(world.ports, job, parcel.body)
    lease = Lease(token="dead", until=world.ports.now() + 1000, alone=False, who="dead")
    answer = await world.ports.jobs.apply(claim_bare(job, lease))
    assert isinstance(answer, Applied)
    return answer.job


def test_a_message_that_cannot_be_read_as_a_payload_fails_its_job_which_its_owner_sees() -> None:
    async def story(world: World) -> None:
        await world.send('{"operation": 1}')
        (letter,) = given_up(world)
        await healed(world, letter)
        await world.drain()
        row = await world.service.get("default", derived_job_id("generic", letter.message_id))
        assert (row.status, await kept(world)) == (Status.FAILED, {})

    in_world(answer, story)


def test_the_stale_the_finished_and_the_ghosts_are_dropped() -> None:
    async def story(world: World) -> None:
        done = await world.submit()
        await world.drain()
        ghost = wakeup_body(Wakeup("default", "job_none", 1))
        over = wakeup_body(Wakeup("default", done.job_id, 1))
        with structlog.testing.capture_logs() as logs:
            assert await healed(world, letter_of(ghost), letter_of(over)) == []
        assert [log["reason"] for log in logs if log["event"] == "dead_letter_dropped"] == ["ghost", "settled"]
        assert await kept(world) == {}

    in_world(answer, story)


def test_a_wakeup_of_an_earlier_seq_is_dropped() -> None:
    async def story(world: World) -> None:
        job = await world.submit(delay_s=100)
        world.jobs.rows[job.key] = replace(job, seq=2)
        assert await healed(world, letter_of(wakeup_body(Wakeup("default", job.job_id, 1)))) == []

    in_world(answer, story)


def letter_of(body: str, *, returned: int = 0, source: str | None = "generic", message_id: str = "m-1") -> DeadLetter:
    return DeadLetter(message_id, body, source, returned)


@pytest.mark.parametrize(
    ("letter", "key", "reason"),
    [
        (letter_of("nonsense"), "generic#m-1", "not JSON"),
        (letter_of("nonsense", source=None), "dead-letters#m-1", "not JSON"),
        (letter_of('{"type": "backup", "operation": "x"}'), "generic#m-1", "was sent to the queue of 'generic'"),
        (letter_of(BARE, source="gone"), "gone#m-1", "there is no job type 'gone'"),
        (letter_of(BARE, source=None), "dead-letters#m-1", "there is no job type ''"),
        (letter_of('{"operation": "x", "type": 7}', source=None), "dead-letters#m-1", "7 was sent"),
        (letter_of('{"database": "sqlite:///x"}', source="backup"), "backup#m-1", "no_such_queue"),
        (
            letter_of('{"operation": "x", "parameters": {"long": "' + "x" * 1_048_530 + '"}}'),
            "generic#m-1",
            "too_large",
        ),
    ],
    ids=["nonsense", "nonsense of nobody", "another type", "no such type", "of nobody", "no name", "no queue", "large"],
)
def test_what_can_never_be_handled_is_kept_with_its_reason(letter: DeadLetter, key: str, reason: str) -> None:
    async def story(world: World) -> None:
        assert await healed(world, letter) == []
        ((found, item),) = (await kept(world)).items()
        assert found == key
        assert reason in item["reason"]

    in_world(answer, story)


def test_another_payload_for_a_job_that_exists_is_kept() -> None:
    async def story(world: World) -> None:
        await world.service.submit(GenericPayload(operation="x", job_id="mine"))
        assert await healed(world, letter_of('{"operation": "other", "job_id": "mine"}')) == []
        assert "another payload" in (await kept(world))["generic#m-1"]["reason"]

    in_world(answer, story)


def test_where_the_endpoint_does_not_name_the_queue_the_row_or_the_message_does() -> None:
    async def story(world: World) -> None:
        job = await world.submit()
        wakeup = wakeup_body(Wakeup("default", job.job_id, 1))
        named = '{"type": "generic", "operation": "y", "job_id": "mine"}'
        sent = await healed(world, letter_of(wakeup, source=None), letter_of(named, source=None))
        assert sorted(sent) == sorted([wakeup, named])

    in_world(answer, story)


def test_every_return_waits_longer_and_the_alarm_hears_of_the_third() -> None:
    async def story(world: World) -> None:
        await world.submit()
        await world.react()
        delays_s, counted = [], []
        for _ in range(7):
            (letter,) = given_up(world)
            with structlog.testing.capture_logs() as logs:
                await healed(world, letter)
            (held,) = world.queues.held["generic"]
            delays_s.append((held.visible_at - world.ports.now()) / 1000)
            counted.append(sum(log.get("dead_letter_returned", 0) for log in logs))
        assert delays_s == [30, 60, 120, 240, 480, 900, 900]
        assert counted == [0, 0, 1, 1, 1, 1, 1]

    in_world(answer, story)


def test_a_letter_is_deleted_only_after_its_copy_was_taken() -> None:
    async def story(world: World) -> None:
        job = await world.submit()
        letter = letter_of(wakeup_body(Wakeup("default", job.job_id, 1)), message_id="good")

        async def refused(_messages: Sequence[Outgoing]) -> Sequence[int]:
            return [0]

        async def down(*_args: object, **_kwargs: object) -> object:
            raise WorldFault("throttled", "slow down")

        async def broken(*_args: object, **_kwargs: object) -> object:
            raise ZeroDivisionError

        for port, name, fault in (
            (world.queues, "send", refused),
            (world.queues, "send", down),
            (world.jobs, "get", down),
            (world.jobs, "get", broken),
        ):
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(port, name, fault)
                assert await heal([letter, letter_of("nonsense", message_id="bad")], world.ports, stack="t") == ["good"]
        assert list(await kept(world)) == ["generic#bad"]
        assert await healed(world, letter) == [letter.body]

    in_world(answer, story)


def test_a_letter_that_cannot_even_be_kept_stays() -> None:
    async def story(world: World) -> None:
        async def down(*_args: object, **_kwargs: object) -> bool:
            raise WorldFault("throttled", "slow down")

        world.ports.side.put_once = down  # type: ignore[method-assign]  # a table that throttles
        assert await heal([letter_of("nonsense")], world.ports, stack="t") == ["m-1"]

    in_world(answer, story)


@pytest.mark.parametrize("value", [None, "", "x", "-1", "1e3", "٣", "9" * 5000])
def test_a_count_that_somebody_else_wrote_is_none(value: str | None) -> None:
    assert read_returned(value) == 0
    assert read_returned("12") == 12
