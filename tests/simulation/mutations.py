"""Longshore with one thing wrong: each mutation breaks a real function, and a checker of the simulation must notice."""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Final

import pytest

from shared import status
from shared.consequences import Act, consequences
from shared.delivery import Action, Delivery, Do, decide
from shared.envelope import Envelope
from shared.job import Job
from shared.memory import jobs as memory_jobs
from shared.moves import Lease, Move, reclaim
from shared.ports import Message, Ports
from shared.retry import Policy
from shared.runtime import attempt, audit, dead_letters, ending, reactor, service, worker
from shared.runtime.ending import failed
from shared.runtime.floor import Floor
from shared.runtime.host import Host
from shared.runtime.worker import Disposition, Parcel, Worker
from shared.status import MOVES, RULES, Event, Rule, Status
from tests.simulation.ledger import HELD, JOB_TYPE

Mutation = Callable[[pytest.MonkeyPatch], None]

# --- the table --------------------------------------------------------------------------------------------------------


def instead(old: Rule, *new: Rule) -> Mutation:
    """The table with `new` in place of a rule."""

    def mutate(patch: pytest.MonkeyPatch) -> None:
        groups = [new if rule is old else (rule,) for rule in RULES[old.event]]
        patch.setitem(status.RULES, old.event, tuple(rule for group in groups for rule in group))

    return mutate


def without_guards() -> dict[str, Mutation]:
    """Each guard of each rule, left out."""
    mutations = {}
    for rule in MOVES:
        for guard in rule.guards:
            others = tuple(name for name in rule.guards if name != guard)
            alone = " alone" if "ran alone" in rule.guards else ""
            name = f"{rule.event} from {rule.source}{alone} without '{guard}'"
            mutations[name] = instead(rule, replace(rule, guards=others))
    return mutations


def also_from(event: Event, source: Status) -> Mutation:
    """An event that moves what it must not."""
    rule = RULES[event][0]
    return instead(rule, rule, replace(rule, source=source))


def no_lease_needed(patch: pytest.MonkeyPatch) -> None:
    for event in HELD - {Event.BEAT}:
        weak = (
            replace(rule, guards=tuple(name for name in rule.guards if name != "holds lease")) for rule in RULES[event]
        )
        patch.setitem(status.RULES, event, tuple(weak))


def unconditional_writes(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(memory_jobs, "permitted", lambda event, row, facts: row is not None or event not in HELD)


# --- the order of things ----------------------------------------------------------------------------------------------


def acknowledged_before_the_settlement(patch: pytest.MonkeyPatch) -> None:
    run = Worker._run

    async def eager(self: Worker, job: Job, parcel: Parcel, message: Message, host: Host) -> Disposition:  # type: ignore[type-arg]  # of any payload
        await self._ports.queues.delete(JOB_TYPE, [message.receipt])
        return await run(self, job, parcel, message, host)

    patch.setattr(Worker, "_run", eager)


def published_where_all_runs_publish(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Job, "prefix", property(lambda job: f"artifacts/{job.tenant_id}/{job.job_id}/"))


def accepted_before_the_payload_is_kept(patch: pytest.MonkeyPatch) -> None:
    async def forget(ports: Ports, job: Job, body: str) -> None: ...

    patch.setattr(service, "keep_payload", forget)


def quarantined_after_the_acknowledgement(patch: pytest.MonkeyPatch) -> None:
    async def forget(ports: Ports, **_: str) -> None: ...

    patch.setattr(worker, "quarantine", forget)


# --- the worker -------------------------------------------------------------------------------------------------------


def deciding(when: Do, reason: str, do: Do) -> Mutation:
    """Another decision about a message whose claim was refused."""

    def mutant(row: Job | None, delivery: Delivery, now: int) -> Action:
        action = decide(row, delivery, now)
        return Action(do, "mutant", 60) if (action.do, action.reason) == (when, reason) else action

    return lambda patch: patch.setattr(worker, "decide", mutant)


def dying(*, alone: bool | None) -> Mutation:
    """Every death is taken for one that happened alone, or in company."""

    def mutant(seen: Job, lease: Lease, now: int) -> Move:
        return reclaim(replace(seen, alone=alone), lease, now)

    return lambda patch: patch.setattr(worker, "reclaim", mutant)


def everybody_said_to_be_alone(patch: pytest.MonkeyPatch) -> None:
    lease = Worker._lease
    patch.setattr(Worker, "_lease", lambda self, host: lease(self, replace(host, solitary=True)))


def taken_over_in_company(patch: pytest.MonkeyPatch) -> None:
    @asynccontextmanager
    async def alone(self: Floor) -> AsyncIterator[None]:
        yield

    patch.setattr(Floor, "alone", alone)


def lost_answers_not_recognised(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(memory_jobs, "happened", lambda move, image: False)


def payloads_all_alike(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Envelope, "payload_hash", property(lambda envelope: "0" * 32))


def faults_let_through(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Worker, "handle", Worker._handle)


def faults_called_failures(patch: pytest.MonkeyPatch) -> None:
    """What the world did to a run is its own failure."""
    patch.setattr(attempt, "snoozed", lambda fault: failed(fault, Policy()))
    patch.setattr(ending, "snoozed", lambda fault: failed(fault, Policy()))


# --- the reactor ------------------------------------------------------------------------------------------------------


def failed_sends_called_done(patch: pytest.MonkeyPatch) -> None:
    send = reactor._send

    async def optimistic(group: Sequence[reactor._Task], ports: Ports, stack: str) -> set[str]:
        await send(group, ports, stack)
        return set()

    patch.setattr(reactor, "_send", optimistic)


def waking(whom: Callable[[Job | None, Job | None], bool]) -> Mutation:
    """Only some are woken."""

    def mutant(old: Job | None, new: Job | None) -> tuple[Act, ...]:
        return consequences(old, new) if whom(old, new) else ()

    return lambda patch: patch.setattr(reactor, "consequences", mutant)


# --- those who come after ---------------------------------------------------------------------------------------------


def nobody_woken_by_the_audit(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(audit, "wakeup_for", lambda job: None)


def dead_letters_dropped(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(dead_letters, "fate", lambda *_: Action(Do.ACKNOWLEDGE, "mutant"))


MUTATIONS: Final[dict[str, Mutation]] = {
    "acknowledge before the settlement": acknowledged_before_the_settlement,
    "publish where all runs publish": published_where_all_runs_publish,
    "accept before the payload is kept": accepted_before_the_payload_is_kept,
    "acknowledge what is not in quarantine": quarantined_after_the_acknowledgement,
    "settle without holding the lease": no_lease_needed,
    "write unconditionally": unconditional_writes,
    "begin again what is done": also_from(Event.CLAIM, Status.SUCCESS),
    "begin again what has failed": also_from(Event.CLAIM, Status.FAILED),
    "begin what runs": also_from(Event.CLAIM, Status.RUNNING),
    "cancel what is over": also_from(Event.CANCEL, Status.SUCCESS),
    "acknowledge what is leased": deciding(Do.HIDE, "leased", Do.ACKNOWLEDGE),
    "acknowledge what is not due": deciding(Do.HIDE, "not_due", Do.ACKNOWLEDGE),
    "acknowledge what nobody works on": deciding(Do.RECLAIM, "lease_over", Do.ACKNOWLEDGE),
    "never take over": deciding(Do.RECLAIM, "lease_over", Do.HIDE),
    "never bury": deciding(Do.BURY, "lease_over", Do.RECLAIM),
    "pay for a neighbour's death": dying(alone=True),
    "pay for no death": dying(alone=None),
    "say that everybody is alone": everybody_said_to_be_alone,
    "take over in company": taken_over_in_company,
    "not recognise a lost answer": lost_answers_not_recognised,
    "take all payloads for alike": payloads_all_alike,
    "let one message's fault end the batch": faults_let_through,
    "pay for the world's faults": faults_called_failures,
    "call failed sends done": failed_sends_called_done,
    "wake nobody after the first time": waking(lambda old, _: old is None),
    "wake nobody for a start": waking(lambda old, new: old is not None or new is None or new.epoch == 0),
    "wake nobody by the audit": nobody_woken_by_the_audit,
    "drop dead letters": dead_letters_dropped,
    **without_guards(),
}
