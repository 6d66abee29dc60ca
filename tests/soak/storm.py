"""A storm over a running cloud, seeded, and the calm after it; then the books are gathered."""

import asyncio
import os
import signal
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from random import Random
from typing import Any, Final  # Any: what AWS answers

from pydantic_core import from_json

from shared.aws.clients import Clients
from shared.aws.faults import AwsRefusal
from shared.job import Job
from shared.ports import Ports
from shared.runtime.quarantine import PARTITION
from shared.runtime.service import Service
from shared.runtime.wiring import ports_of
from tests.soak import ledger
from tests.soak.cloud import Cloud, kill, signalled
from tests.soak.judge import SETTLED, Books
from tests.soak.producer import settings_at
from tests.soak.repair import repair

STACK: Final = "longshore"
QUEUE: Final = f"{STACK}-generic"
DEAD_LETTERS: Final = f"{STACK}-dead-letters"

START_S: Final = 60

RECEIVES_MAX: Final = 20
"""The template's."""


@dataclass(frozen=True, slots=True)
class Plan:
    """`customers` of each producer want one job after the other, and wait for each up to `patience_s`.

    `repair_after_s`: what is overdue by so much is woken again.
    """

    seed: int
    storm_s: float
    workers: int
    producers: int
    customers: int
    patience_s: float
    act_every_s: float
    repair_after_s: float
    calm_s: float


@dataclass
class Storm:
    plan: Plan
    cloud: Cloud
    clients: Clients
    ports: Ports
    dice: Random

    async def rage(self) -> None:
        """Everybody starts; then one thing after another goes wrong, each kind at least once."""
        for _ in range(self.plan.workers):
            self.cloud.start_worker()
        for _ in range(self.plan.producers):
            self._produce()
        loop = asyncio.get_running_loop()
        ends_s = loop.time() + START_S
        while loop.time() < ends_s and not any(line["what"] == "effect" for line in ledger.read(self.cloud.ledger)):  # noqa: ASYNC110  other processes write it
            await asyncio.sleep(0.1)
        ledger.tell("storm")
        begun_s, acts = loop.time(), [*self._acts(), self._purge]
        while (passed_s := loop.time() - begun_s) < self.plan.storm_s:
            await asyncio.sleep(self.dice.uniform(0.5, 1.5) * self.plan.act_every_s)
            self._look_after_workers()
            if not acts:
                acts = [*([self._purge] if passed_s < self.plan.storm_s / 2 else []), *self._acts()]
            await acts.pop(0)()
        for producer in self.cloud.producers:
            kill(producer.pid)
        ledger.tell("calm")

    async def calm(self) -> None:
        """Until all that was accepted is over and no message is left, but not longer than the plan allows."""
        loop = asyncio.get_running_loop()
        ends_s = loop.time() + self.plan.calm_s
        repaired_s = 0.0
        while loop.time() < ends_s:
            self._look_after_workers()
            rows = await self.rows()
            if all(row.status.is_terminal for row in rows) and not await self.messages_left():
                return
            if loop.time() > repaired_s + self.plan.repair_after_s / 2:
                repaired_s = loop.time()
                await repair(self.ports, after_s=self.plan.repair_after_s)
            await asyncio.sleep(0.5 if self.plan.storm_s < 60 else 3)

    async def books(self) -> Books:
        rows = {row.key: row for row in await self.rows()}
        kept = await self.ports.side.query(PARTITION, limit=10_000)
        logs = self.cloud.logs()
        return Books(
            lines=ledger.read(self.cloud.ledger),
            rows=rows,
            histories={key: await self._history(row) for key, row in rows.items()},
            results={key: await self._result(row) for key, row in rows.items() if row.status in SETTLED},
            quarantine=[str(from_json(body)["body"]) for _, body in kept],
            messages_left=await self.messages_left(),
            dead_letters=logs.count("dead_letter_sent_back"),
            bugs=logs.count("worker_bug"),
        )

    async def rows(self) -> list[Job]:
        found: list[Job] = []
        cursor: str | None = None
        while True:
            page = await self.ports.jobs.scan(cursor=cursor)
            found += page.jobs
            if (cursor := page.cursor) is None:
                return found

    async def messages_left(self) -> int:
        """In all queues, visible or not."""
        names = ["", "NotVisible", "Delayed"]
        asked = [f"ApproximateNumberOfMessages{name}" for name in names]
        left = 0
        for queue in (QUEUE, DEAD_LETTERS):
            answer = await self._sqs("get_queue_attributes", queue, AttributeNames=asked)
            left += sum(int(value) for value in answer["Attributes"].values())
        return left

    # --- what goes wrong ----------------------------------------------------------------------------------------------

    def _acts(self) -> list[Callable[[], Awaitable[None]]]:
        """In the order in which they happen. Purges come early: what they take of bare messages nobody can repair."""
        acts = [self._kill_worker, self._kill_container, self._kill_producer, self._kill_reactor, self._give_up]
        return self.dice.sample(acts, len(acts))

    async def _kill_worker(self) -> None:
        victim = self.cloud.workers.pop(self.dice.randrange(len(self.cloud.workers)))
        self._killed("worker", victim.pid)
        victim.wait()
        self.cloud.start_worker()

    async def _kill_producer(self) -> None:
        victim = self.cloud.producers.pop(self.dice.randrange(len(self.cloud.producers)))
        self._killed("producer", victim.pid)
        victim.wait()
        self._produce()

    async def _kill_container(self) -> None:
        if alive := self.cloud.containers(of_reactor=False):
            self._killed("container", self.dice.choice(alive))

    async def _kill_reactor(self) -> None:
        if alive := self.cloud.containers(of_reactor=True):
            self._killed("reactor", self.dice.choice(alive))

    async def _purge(self) -> None:
        """SQS allows one a minute."""
        try:
            await self._sqs("purge_queue", QUEUE)
        except AwsRefusal as refusal:
            if "PurgeQueueInProgress" not in refusal.code:
                raise
        else:
            ledger.tell("purged")

    async def _give_up(self) -> None:
        """Everybody who works is asleep, while somebody else receives what is there too often: it is given up."""
        asleep = [*(worker.pid for worker in self.cloud.workers), *self.cloud.containers(of_reactor=False)]
        for pid in asleep:
            signalled(pid, signal.SIGSTOP)
        for number in range(RECEIVES_MAX):
            wait = {"WaitTimeSeconds": int(number == 0), "VisibilityTimeout": 0}
            await self._sqs("receive_message", QUEUE, MaxNumberOfMessages=10, **wait)
        for pid in asleep:
            signalled(pid, signal.SIGCONT)
        ledger.tell("given_up")

    def _look_after_workers(self) -> None:
        """Whom a job has killed is replaced."""
        assert self.cloud.up.poll() is None, "the local cloud died"
        for worker in [worker for worker in self.cloud.workers if worker.poll() is not None]:
            self.cloud.workers.remove(worker)
            self.cloud.start_worker()

    # --- small things -------------------------------------------------------------------------------------------------

    def _killed(self, target: str, pid: int) -> None:
        kill(pid)
        ledger.tell("killed", target=target, victim=pid)

    def _produce(self) -> None:
        plan = self.plan
        self.cloud.start_producer(self.dice.getrandbits(32), plan.customers, plan.patience_s)

    async def _sqs(self, operation: str, queue: str, **arguments: Any) -> Any:
        url = f"{self.cloud.endpoint_url}/123456789012/{queue}"
        return await self.clients.call("sqs", operation, QueueUrl=url, **arguments)

    async def _history(self, row: Job) -> list[str]:
        """What the row had no room for, and what it shows."""
        older = await self.ports.side.query(row.key, limit=100, prefix="history#") if row.epoch > 3 else ()
        return [entry for _, body in reversed(older) for entry in from_json(body)] + list(row.history)

    async def _result(self, row: Job) -> object:
        """The epoch that the published result says it is of."""
        result: Any = (await Service(self.ports).result(row)).data.result
        return result["data"]["epoch"]


async def soak(plan: Plan, cloud: Cloud) -> Books:
    """The storm and the calm after it."""
    os.environ[ledger.VARIABLE] = str(cloud.ledger)
    settings = settings_at(cloud.endpoint_url)
    clients = Clients(endpoint_url=cloud.endpoint_url, region=settings.region, credentials=settings.credentials)
    async with ports_of(settings) as ports:
        storm = Storm(plan, cloud, clients, ports, Random(plan.seed))
        try:
            await storm.rage()
            await storm.calm()
            return await storm.books()
        finally:
            await clients.close()
