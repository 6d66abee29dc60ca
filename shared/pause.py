"""Pauses: no job of a type, or of a tenant, begins until somebody resumes it. Pure. What runs goes on.

tenant.backup    the tenant's backups          stack.backup    everybody's (an admin's)
tenant.all       all that the tenant does      stack.all       everything
"""

from collections.abc import Iterable, Sequence
from typing import Final

from pydantic import BaseModel

from shared.errors import NotFound
from shared.job import rfc3339

PAUSES_MAX: Final = 1_000
"""Workers read them all every few seconds."""

ALL: Final = "all"

STACK: Final = "stack"


class Pause(BaseModel):
    """`tenant_id` None: all tenants; `type` None: all types. `since` in milliseconds. `is_resuming`: it holds nobody
    any more, and what it has kept is being woken."""

    tenant_id: str | None
    type: str | None
    since: int
    who: str
    reason: str | None = None
    is_resuming: bool = False
    token: str = ""

    @property
    def pause_id(self) -> str:
        """As its tenant calls it."""
        return f"{STACK if self.tenant_id is None else 'tenant'}.{self.type or ALL}"

    @property
    def sk(self) -> str:
        """No tenant and no type is called ""."""
        return f"{self.tenant_id or ''}#{self.type or ''}"

    def holds(self, tenant_id: str, job_type: str) -> bool:
        return not self.is_resuming and self.tenant_id in {None, tenant_id} and self.type in {None, job_type}


def pause_sk(pause_id: str, tenant_id: str) -> str:
    """Where the pause is that this tenant calls so. NotFound for what is no such name."""
    scope, _, job_type = pause_id.partition(".")
    if scope not in {STACK, "tenant"} or not job_type:
        raise NotFound("no_such_pause", f"nothing is paused as {pause_id[:64]!r}", field="pause_id")
    return f"{'' if scope == STACK else tenant_id}#{'' if job_type == ALL else job_type}"


def holding(pauses: Iterable[Pause], tenant_id: str, job_type: str) -> Pause | None:
    """One that keeps such a job from beginning."""
    return next((pause for pause in pauses if pause.holds(tenant_id, job_type)), None)


def told(pauses: Sequence[Pause], tenant_id: str) -> list[Pause]:
    """Those that concern this tenant, the newest first."""
    mine = [pause for pause in pauses if pause.tenant_id in {None, tenant_id}]
    return sorted(mine, key=lambda pause: -pause.since)


def pause_words(pause: Pause) -> str:
    what = f"{pause.type!r} is" if pause.type else "All is"
    who = "an admin" if pause.tenant_id is None else pause.who
    why = f": {pause.reason}" if pause.reason else ""
    return f"{what} paused by {who} since {rfc3339(pause.since)}{why}."
