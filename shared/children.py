"""Children of a job: what a parent's row knows of them, and what a child's row knows of its parent. Pure.

    parent   groups   `number step total redrives began_at born, …`: of each step the group begun last, in order
             awaits   numbers of the groups that a WAITING row waits for: the end of any of them wakes it
    child    parent   `parent_id group index total flag step`; the flag `!`: its failure wakes the parent at once

- A group is written into the parent's row, by a beat that must hold the lease, before its first child is made: so who
  cancels a tree knows every child that there can be, and a run that lost its lease starts none.
- A child's id follows from (tenant, parent, step, index): whoever makes it makes the same job.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from shared.ids import derived_job_id
from shared.job import Job

GROUPS_MAX: Final = 400
"""They are written with each move of the parent."""

CHILDREN_MAX: Final = 100_000
"""Of one group."""


@dataclass(frozen=True, slots=True)
class Group:
    """Children that were begun together. `redrives`: how often the parent had been redriven by then; `born`: when these
    very jobs were first begun. A step that is run again for what had failed keeps its jobs; one whose values may have
    changed meanwhile has others."""

    number: int
    step: str
    total: int
    redrives: int
    began_at: int
    born: int = 0

    def __str__(self) -> str:
        return f"{self.number} {self.step} {self.total} {self.redrives} {self.began_at} {self.born}"


@dataclass(frozen=True, slots=True)
class Link:
    """A child's place: the `index`-th of the `total` of its group. `fails_fast`: its failure is told at once."""

    parent_id: str
    group: int
    index: int
    total: int
    fails_fast: bool
    step: str

    def __str__(self) -> str:
        flag = "!" if self.fails_fast else "-"
        return f"{self.parent_id} {self.group} {self.index} {self.total} {flag} {self.step}"


def read_link(text: str) -> Link:
    parent_id, group, index, total, flag, step = text.split(" ", 5)
    return Link(parent_id, int(group), int(index), int(total), flag == "!", step)


def groups_of(job: Job) -> tuple[Group, ...]:
    return tuple(_read_group(text) for text in job.groups.split(", ")) if job.groups else ()


def groups_text(groups: Iterable[Group]) -> str:
    return ", ".join(str(group) for group in groups)


def latest_groups(job: Job) -> dict[str, Group]:
    """step → the group that was begun last for it"""
    return {group.step: group for group in groups_of(job)}


def awaited(job: Job) -> tuple[int, ...]:
    """Numbers of the groups that the job waits for, or was waiting for when it was woken."""
    return tuple(int(number) for number in (job.awaits or "").split())


def awaits_text(numbers: Iterable[int]) -> str:
    return " ".join(str(number) for number in numbers)


def next_number(groups: Sequence[Group]) -> int:
    return groups[-1].number + 1 if groups else 0


def child_id(tenant_id: str, parent_id: str, group: Group, index: int) -> str:
    life = (str(group.born),) if group.born else ()
    return derived_job_id("child", tenant_id, parent_id, group.step, str(index), *life)


def _read_group(text: str) -> Group:
    number, step, total, redrives, began_at, *born = text.split(" ")
    return Group(int(number), step, int(total), int(redrives), int(began_at), int(born[0]) if born else 0)
