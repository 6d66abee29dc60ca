"""Ten thousand hostile messages: each ends in quarantine, as a failed job or as nobody's; nobody else notices."""

import asyncio
import itertools
from collections.abc import Sequence
from random import Random

from hypothesis import HealthCheck, given, settings

from shared.limits import MESSAGE_BYTES_MAX
from shared.memory.clock import run_virtual
from shared.memory.ports import memory_ports
from shared.payloads.base import Payload
from shared.ports import Clock, Message, Outgoing, Ports
from shared.runtime.definition import JobType
from tests.bench.stack import metered_stack
from tests.fuzz.arena import GOOD, Arena, arena
from tests.fuzz.hostile import CORPUS, batches, damaged

MADE_UP, DAMAGED = 4, 16

EXAMPLES = 10_000 // (MADE_UP + DAMAGED)


def mixed(hostile: Sequence[str]) -> list[str]:
    """Good ones first, in the middle and last."""
    middle = len(hostile) // 2
    return [GOOD[0], *hostile[:middle], GOOD[1], *hostile[middle:], GOOD[2]]


def what_happens_in_memory(hostile: Sequence[str]) -> list[str]:
    messages = [Message(f"m-{number}", f"r-{number}", body, 1, 0) for number, body in enumerate(mixed(hostile))]

    async def story(now: Clock) -> list[str]:
        fight = Arena(memory_ports(now))
        await fight.prepare()
        return await fight.work(messages)

    return run_virtual(story)


def test_whatever_is_sent_ends_well_and_disturbs_nobody() -> None:
    sent = 0

    @settings(max_examples=EXAMPLES, deadline=None, database=None, suppress_health_check=[*HealthCheck])
    @given(batches(MADE_UP, DAMAGED))
    def every_batch(hostile: list[str]) -> None:
        nonlocal sent
        sent += len(hostile)
        assert what_happens_in_memory(hostile) == []

    every_batch()
    assert sent >= 10_000


def test_every_message_of_the_corpus_ends_well() -> None:
    for start in range(0, len(CORPUS), 10):
        assert what_happens_in_memory(CORPUS[start : start + 10]) == []


def test_the_same_over_the_wire() -> None:
    """SQS, DynamoDB and S3 as the local cloud has them, through the real clients."""

    async def story() -> tuple[int, list[str]]:
        generic: JobType[Payload] = arena  # type: ignore[assignment]  # of one payload
        async with metered_stack({"generic": generic}) as stack:
            fight = Arena(stack.ports)
            await fight.prepare()
            await _send(stack.ports)
            return await _fought(stack.ports, fight)

    fought, wrong = asyncio.run(story())
    assert wrong == []
    assert fought > 300


async def _send(ports: Ports) -> None:
    """The corpus and as many damaged ones; SQS takes neither what is empty, nor over 1 MiB, nor no text."""
    dice = Random(1)
    bodies = (*CORPUS, *(damaged(dice, body) for body in CORPUS))
    fit = [body for body in bodies if body and _is_text(body) and len(body.encode()) <= MESSAGE_BYTES_MAX]
    messages = [Outgoing("generic", body) for body in fit]
    for start in range(0, len(messages), 7):
        assert not await ports.queues.send(
            [*messages[start : start + 7], *(Outgoing("generic", body) for body in GOOD)]
        )


async def _fought(ports: Ports, fight: Arena) -> tuple[int, list[str]]:
    """→ how many, and what was wrong."""
    wrong: list[str] = []
    for fought in itertools.count():
        messages = await ports.queues.receive("generic", max_messages=10, wait_s=0)
        if not messages:
            return 10 * fought, wrong
        wrong += await fight.work(messages)
    raise AssertionError("unreachable")


def _is_text(body: str) -> bool:
    """https://www.w3.org/TR/REC-xml/#charsets is what SQS takes."""
    return not any((char < " " and char not in "\t\n\r") or "\ud800" <= char <= "\udfff" for char in body)
