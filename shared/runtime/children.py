"""A job's children: beginning groups of them, making their rows, and reading how they ended.

- A group is written into the parent's row by a beat that must hold the lease, before its first child is made.
- Making a child is one conditional put: a run that comes after a dead one makes the same children again, and the rows
  that are there refuse it. The reactor sends their wake-ups.
- Children are not listed: who looks for them asks their parent.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Container, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final, TypeVar

from pydantic import JsonValue

from shared.admission import new_job
from shared.children import (
    CHILDREN_MAX,
    GROUPS_MAX,
    Group,
    Link,
    awaited,
    child_id,
    groups_of,
    groups_text,
    latest_groups,
    next_number,
)
from shared.consequences import Report
from shared.envelope import Envelope, seal
from shared.errors import Permanent, WorldFault
from shared.fan_in import END_OF
from shared.ids import digest
from shared.job import Job
from shared.limits import LIST_MAX
from shared.moves import begin_groups, redrive, submit
from shared.outcomes import WaitFor
from shared.payloads.base import Payload
from shared.payloads.results import ErrorBody
from shared.ports import Ports, Refused
from shared.runtime.documents import keep_payload, response_of
from shared.runtime.fan_in import tell, together
from shared.runtime.pruning import still_ending
from shared.runtime.run import Run, Stop
from shared.status import Status

AT_ONCE: Final = 25

T = TypeVar("T")

Made = Callable[[int], Envelope[Payload]]
"""index → the child's payload in its envelope"""


@dataclass(frozen=True, slots=True)
class ChildEnd:
    """How one child ended: `result` as its handler returned it (None if it failed), `error` why it failed."""

    step: str
    index: int
    job_id: str
    status: Status
    result: JsonValue = None
    error: ErrorBody | None = None


class Children:
    """Of the job that runs: `context.children`. `async for end in context.children` reads those it waited for."""

    def __init__(self, run: Run, ports: Ports) -> None:
        self._run = run
        self._ports = ports

    @property
    def job(self) -> Job:
        """The parent, with the groups that it has begun."""
        return self._run.job

    def __aiter__(self) -> AsyncIterator[ChildEnd]:
        """How each child of the last wait ended, in order; some may still be alive if one of them failed fast."""
        waited = set(awaited(self._run.job))
        groups = [group for group in groups_of(self._run.job) if group.number in waited]
        return ends_of(self._ports, self._run.job, groups)

    async def still_ending(self) -> bool:
        """Are children of the job's last life still being cancelled? Then it must not begin others."""
        return await still_ending(self._ports, self._run.job)

    async def begin(self, wanted: Sequence[tuple[str, int]], fresh: Container[str] = ()) -> tuple[Group, ...]:
        """Write down that these are begun now: (step, number of children). → their groups. They take the place of what
        the same steps had in an earlier life; those in `fresh` have other jobs than then.

        Raises Permanent("too_many_groups" or "too_many_children").
        """
        job, now, life = self._run.job, self._ports.now(), self._run.job.redrives or 0
        before = latest_groups(job)
        groups = list(groups_of(job))
        for step, total in wanted:
            if step not in before or before[step].redrives < life:
                born = before[step].born if step in before and step not in fresh else life
                groups.append(Group(next_number(groups), step, total, life, now, born))
        last = {group.step: group for group in groups}
        groups = [group for group in groups if last[group.step] is group]
        _check(groups)
        text = groups_text(groups)
        if text != job.groups:
            answer = await self._ports.jobs.apply(begin_groups(job, text, now))
            if isinstance(answer, Refused):
                self._run.halt(Stop.LOST)
                raise WorldFault("lease_lost", "another run has taken over")
            self._run.job = replace(job, groups=text)
        return tuple(last[step] for step, _ in wanted)

    async def make(self, group: Group, made: Made, indexes: Sequence[int], *, fails_fast: bool) -> str | None:
        """The rows of some of a group's children, a few at a time.

        In a later life of the parent, what succeeded is told to the new group, what did not is run again, and what was
        never made is made. → the id of a child that is on its way by itself, and must be waited for first; else None.
        """
        if group.redrives:
            return await self._make_again(group, made, indexes, fails_fast=fails_fast)
        for some in chunks(indexes, AT_ONCE):
            await asyncio.gather(*(self._make(self._new(group, made, index, fails_fast)) for index in some))
        return None

    async def _make_again(self, group: Group, made: Made, indexes: Sequence[int], *, fails_fast: bool) -> str | None:
        tenant_id = self._run.job.tenant_id
        for some in chunks(indexes, LIST_MAX):
            news = [self._new(group, made, index, fails_fast) for index in some]
            rows = await self._ports.jobs.get_many(tenant_id, [new.job.job_id for new in news])
            foreign = [(new, row) for new, row in zip(news, rows, strict=True) if not _is_done(new, row)]
            if busy := next((row.job_id for _, row in foreign if row and not row.status.is_terminal), None):
                return busy
            told = [Report(tenant_id, new.link, END_OF[row.status]) for new, row in foreign if row and _went_well(row)]
            await asyncio.gather(*(tell(self._ports, reports) for reports in together(told).values()))
            for few in chunks([(new, row) for new, row in foreign if row is None or not _went_well(row)], AT_ONCE):
                await asyncio.gather(*(self._make(new) if row is None else self._again(new, row) for new, row in few))
        return None

    def _new(self, group: Group, made: Made, index: int, fails_fast: bool) -> "_New":
        parent, ports = self._run.job, self._ports
        link = Link(parent.job_id, group.number, index, group.total, fails_fast, group.step)
        job_id, envelope = child_id(parent.tenant_id, parent.job_id, group, index), made(index)
        payload = envelope.payload and envelope.payload.model_copy(update={"tenant_id": parent.tenant_id})
        envelope = replace(envelope, tenant_id=parent.tenant_id, job_id=job_id, user_id=parent.user_id, payload=payload)
        job = new_job(envelope, now=ports.now(), token=ports.token(), lane=parent.priority)
        return _New(replace(job, parent=str(link)), link, envelope.body)

    async def _make(self, new: "_New") -> None:
        await keep_payload(self._ports, new.job, new.body)
        await self._ports.jobs.apply(submit(new.job, is_listed=False))

    async def _again(self, new: "_New", row: Job) -> None:
        """Refused only by whoever was quicker: a redrive by hand, whose end is looked at when it has come."""
        await keep_payload(self._ports, new.job, new.body)
        now, token = self._ports.now(), self._ports.token()
        await self._ports.jobs.apply(redrive(row, now, due_at=now, token=token, who="parent", again=new.job))


@dataclass(frozen=True, slots=True)
class _New:
    job: Job
    link: Link
    body: str


def _is_done(new: _New, row: Job | None) -> bool:
    """Was it made, or run again, for this very group?"""
    return row is not None and row.parent == new.job.parent


def _went_well(row: Job) -> bool:
    """A flow that was partly done has something to run again."""
    return row.status is Status.SUCCESS or (row.status is Status.PARTIAL_SUCCESS and row.type != "flow")


async def begin_wait(children: Children, wait: WaitFor, wait_number: int) -> WaitFor:
    """Make the children that a handler wants to wait for. The same wish again, after a crash, makes the same ones;
    another wish makes others. Raises WorldFault while those of the job's last life are still being cancelled."""
    if not wait.children:
        return wait
    if await children.still_ending():
        raise WorldFault("still_ending", "children of its last life are still being cancelled")
    envelopes = [seal(payload, "") for payload in wait.children]
    wish = digest("".join(envelope.payload_hash for envelope in envelopes))[:8]
    (group,) = await children.begin([(f"wait-{wait_number}-{wish}", len(envelopes))])
    busy = await children.make(group, envelopes.__getitem__, range(len(envelopes)), fails_fast=wait.fails_fast)
    if busy is not None:
        raise WorldFault("child_busy", f"{busy} is on its way by itself")
    return replace(wait, children=(), awaits=(*wait.awaits, group.number))


async def ends_of(ports: Ports, parent: Job, groups: Iterable[Group]) -> AsyncIterator[ChildEnd]:
    """How the children of these groups ended, in order: a hundred rows at a time, results as they are needed."""
    for group in groups:
        for some in chunks(range(group.total), LIST_MAX):
            ids = [child_id(parent.tenant_id, parent.job_id, group, index) for index in some]
            rows = list(zip(some, ids, await ports.jobs.get_many(parent.tenant_id, ids), strict=True))
            for few in chunks(rows, AT_ONCE):
                for end in await asyncio.gather(*(_end(ports, group.step, *one) for one in few)):
                    yield end


async def _end(ports: Ports, step: str, index: int, job_id: str, row: Job | None) -> ChildEnd:
    if row is None:
        gone = ErrorBody(code="gone", message="its row is no longer kept, or was never made")
        return ChildEnd(step, index, job_id, Status.CANCELLED, error=gone)
    if not row.status.is_terminal:
        return ChildEnd(step, index, row.job_id, row.status)
    response = await response_of(ports, row)
    return ChildEnd(step, index, row.job_id, row.status, response.data.result, response.error)


def chunks(values: Sequence[T], size: int) -> Iterator[Sequence[T]]:
    for start in range(0, len(values), size):
        yield values[start : start + size]


def _check(groups: Sequence[Group]) -> None:
    if len(groups) > GROUPS_MAX:
        raise Permanent("too_many_groups", f"at most {GROUPS_MAX} groups of children for one job", field="children")
    largest = max(groups, key=lambda group: group.total, default=None)
    if largest is not None and largest.total > CHILDREN_MAX:
        message = f"{largest.total:,} children of {largest.step}; at most {CHILDREN_MAX:,}"
        raise Permanent("too_many_children", message, field="children")
