"""Who brings the jobs of a simulated world, by every door, again and again until told that they are accepted; who asks
some of them to end, and brings some back that have ended."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from dataclasses import dataclass, field
from random import Random
from typing import Final, TypeVar, cast

from shared.errors import Conflict, NotFound, WorldFault
from shared.ids import derived_job_id
from shared.job import compact_json
from shared.payloads.base import Payload
from shared.payloads.generic import GenericOptions, GenericPayload
from shared.ports import Outgoing, Ports
from shared.runtime.beats import LEASE_MS, TaskBeats
from shared.runtime.definition import JobType
from shared.runtime.one_shot import run_once
from shared.runtime.service import Service
from tests.simulation.handlers import KINDS
from tests.simulation.ledger import JOB_TYPE
from tests.simulation.weather import Process
from tests.simulation.witness import Cloud

T = TypeVar("T")

DOORS: Final = {
    "submit": 4,
    "submit with a key": 2,
    "bare": 3,
    "anonymous": 1,
    "one-shot": 2,
    "unreadable payload": 1,
}
"""How many of so many jobs come by each."""

GARBAGE: Final = (
    "{",
    "[]",
    '"longshore"',
    '{"longshore": 2, "tenant_id": "default", "job_id": "j", "seq": 1}',
    '{"type": "backup", "database": "sqlite:///x"}',
)


@dataclass(frozen=True, slots=True)
class Order:
    """One job: which kind, by which door, when (seconds from the beginning), due how much later."""

    number: int
    kind: str
    door: str
    at_s: float
    delay_s: float
    big: bool
    work_s: float
    """How long each of its runs takes at least."""
    ends_at_s: float | None
    """When somebody asks it to end."""
    comes_back: bool
    """Somebody redrives it once it is over, if it has not succeeded."""

    @property
    def job_id(self) -> str:
        return f"job_{self.number}"

    def payload(self, *, job_id: str | None = None, text: str = "") -> GenericPayload:
        """A big one has no room in the row."""
        kind, text = KINDS[self.kind], "y" * 1_000 if self.big else text
        return GenericPayload(
            operation=self.kind,
            job_id=job_id,
            parameters={"text": text, "work_s": min(self.work_s, kind.timeout_s / 3)},
            options=GenericOptions(timeout=kind.timeout_s),
        )


def orders(random: Random) -> list[Order]:
    """Of few kinds: they meet each other's trouble more often."""
    kinds = random.sample(sorted(KINDS), random.randint(1, 5))
    return [
        Order(
            number,
            kind=random.choice(kinds),
            door=_one_of(random, DOORS),
            at_s=random.random() * random.choice((1, 60)),
            delay_s=random.choice((0, 0, 0, 0, 30, 1_200)),
            work_s=random.choice((0, 0, 1, 30)) * random.random(),
            big=random.random() < 0.3,
            ends_at_s=random.random() * random.choice((5, 120)) if random.random() < 0.25 else None,
            comes_back=random.random() < 0.2,
        )
        for number in range(random.randint(3, 16))
    ]


def _one_of(random: Random, weights: Mapping[str, int]) -> str:
    return random.choices(list(weights), list(weights.values()))[0]


@dataclass(slots=True)
class Producers:
    """`accepted`: the jobs by key, with what they should do. `garbage`: ids of messages that nobody can read."""

    cloud: Cloud
    job_type: JobType[GenericPayload]
    accepted: dict[str, Order] = field(default_factory=dict)
    garbage: list[str] = field(default_factory=list)
    rivals: dict[str, str] = field(default_factory=dict)
    """Ids of messages that name a job with another payload than its own → its key. Whoever comes first has it."""

    async def bring(self, order: Order) -> None:
        await asyncio.sleep(order.at_s)
        doors: dict[str, Callable[[Order], Awaitable[str]]] = {
            "submit": self._submit,
            "submit with a key": self._submit_with_key,
            "bare": self._send,
            "anonymous": self._send_anonymous,
            "one-shot": self._run_once,
            "unreadable payload": self._send_unreadable_payload,
        }
        job_id = await doors[order.door](order)
        key = f"default#{job_id}"
        self.accepted[key] = order
        self.cloud.ledger.story.add("accepted by {}: {} {}", order.door, order.kind, key)
        if order.ends_at_s is not None:
            await asyncio.sleep(order.ends_at_s)
            await self._ask_to_end(order, key)
        if order.comes_back:
            await self._bring_back(order, key)

    async def litter(self, body: str, at_s: float = 0.0, job_type: str = JOB_TYPE) -> None:
        """What is no job's, or is in the wrong queue."""
        await asyncio.sleep(at_s)
        self.garbage.append(await self._message(body, job_type))

    # --- doors --------------------------------------------------------------------------------------------------------

    async def _submit(self, order: Order) -> str:
        payload = order.payload(job_id=order.job_id)
        await self._until_told(order, lambda ports: Service(ports).submit(payload, delay_s=order.delay_s))
        return order.job_id

    async def _submit_with_key(self, order: Order) -> str:
        """I10: the same key means the same job, with another payload it is refused."""
        ledger, key, ids = self.cloud.ledger, f"key-{order.number}", set[str]()
        for _ in range(2):
            job = await self._until_told(
                order, lambda ports: Service(ports).submit(order.payload(), idempotency_key=key)
            )
            ids.add(job.job_id)
        ledger.check(ids == {derived_job_id("default", JOB_TYPE, key)}, "I10", "one key means one job", ids)
        other = GenericPayload(operation="quick", parameters={"other": True})
        try:
            await self._until_told(order, lambda ports: Service(ports).submit(other, idempotency_key=key))
        except Conflict:
            return ids.pop()
        ledger.check(False, "I10", "another payload under the same key is refused", key)
        return ids.pop()

    async def _send(self, order: Order) -> str:
        body = order.payload(job_id=order.job_id).model_dump_json(by_alias=True, exclude_defaults=True)
        await self._until_told(order, lambda ports: _sent(ports, body))
        if order.number % 3 == 0:
            rival = compact_json({"jobId": order.job_id, "operation": order.kind, "parameters": {"rival": True}})
            self.rivals[await self._message(rival)] = f"default#{order.job_id}"
        return order.job_id

    async def _send_anonymous(self, order: Order) -> str:
        return derived_job_id(JOB_TYPE, await self._message(order.payload().body_json()))

    async def _send_unreadable_payload(self, order: Order) -> str:
        self.cloud.ledger.unreadable.add(f"default#{order.job_id}")
        await self._message(compact_json({"job_id": order.job_id, "operation": 5}))
        return order.job_id

    async def _run_once(self, order: Order) -> str:
        """Somebody else may run it by the time that the process is started again."""
        payload = order.payload(job_id=order.job_id)

        async def run(ports: Ports) -> object:
            beats = TaskBeats(ports, lease_ms=LEASE_MS)
            return await run_once(payload, cast("JobType[Payload]", self.job_type), ports, beats, who="one-shot")

        try:
            await self._until_told(order, run)
        except Conflict:
            self.cloud.ledger.story.add("the one-shot leaves {} to others", order.job_id)
        return order.job_id

    # --- how ----------------------------------------------------------------------------------------------------------

    async def _until_told(self, order: Order, work: Callable[[Ports], Coroutine[object, object, T]]) -> T:
        """In one process after the other, until there is an answer."""
        while True:
            process = Process(f"producer {order.number}", self.cloud.weather, self.cloud.ledger.story)
            main = process.start(work(self.cloud.ports(process)))
            if await process.lived(main):
                try:
                    return await main
                except WorldFault as fault:
                    self.cloud.ledger.story.add("{}: {}", process.name, fault)
            await asyncio.sleep(1)

    async def _message(self, body: str, job_type: str = JOB_TYPE) -> str:
        """→ the id of the message, which is sent for sure."""
        await self.cloud.queues.send([Outgoing(job_type, body)])
        return self.cloud.queues.held[job_type][-1].message_id

    async def _ask_to_end(self, order: Order, key: str) -> None:
        self.cloud.ledger.asked.add(key)
        self.cloud.ledger.story.add("somebody asks {} to end", key)
        await self._told_or_refused(order, lambda ports: Service(ports).cancel(*key.split("#"), who="operator"))

    async def _bring_back(self, order: Order, key: str) -> None:
        rows = self.cloud.jobs.rows
        while key not in rows or not rows[key].status.is_terminal:  # noqa: ASYNC110  # virtual time: looking is free
            await asyncio.sleep(20)
        self.cloud.ledger.story.add("somebody redrives {}", key)
        await self._told_or_refused(order, lambda ports: Service(ports).redrive(*key.split("#"), who="operator"))

    async def _told_or_refused(self, order: Order, work: Callable[[Ports], Coroutine[object, object, object]]) -> None:
        try:
            await self._until_told(order, work)
        except (Conflict, NotFound) as refusal:
            self.cloud.ledger.story.add("operator of {}: {}", order.number, refusal)


async def _sent(ports: Ports, body: str) -> None:
    if await ports.queues.send([Outgoing(JOB_TYPE, body)]):
        raise WorldFault("not_taken", "the queue did not take the message")
